// Stands in for the runtime's memory.hpp in sanitized builds: everything comes from the heap, whose borders the sanitizer
// guards. Activations start as NaN, so that a value that nobody wrote shows, and the gaps that the test left between
// buffers (gaps.hpp) may not be touched.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "gaps.hpp"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(start, size)
#define ASAN_UNPOISON_MEMORY_REGION(start, size)
#endif

namespace dlfusion {

constexpr std::size_t ALIGNMENT_BYTES = 64;
constexpr std::size_t GAP_BYTES = 64 * sizeof(float);

inline void* heap(std::size_t bytes) {
  const std::size_t rounded = (bytes + ALIGNMENT_BYTES - 1) / ALIGNMENT_BYTES * ALIGNMENT_BYTES;
  void* memory = std::aligned_alloc(ALIGNMENT_BYTES, rounded);
  if (memory != nullptr) ASAN_POISON_MEMORY_REGION(static_cast<char*>(memory) + bytes, rounded - bytes);
  return memory;
}

inline void release(void* memory, std::size_t bytes) {
  ASAN_UNPOISON_MEMORY_REGION(memory, bytes);
  std::free(memory);
}

class ZeroedMemory {
 public:
  ZeroedMemory() = default;
  ZeroedMemory(const ZeroedMemory&) = delete;
  ZeroedMemory& operator=(const ZeroedMemory&) = delete;
  ~ZeroedMemory() { release(data_, bytes_); }

  int allocate(std::size_t bytes) {
    // A context allocates its tensors first, then its scratch; what follows belongs to the thread pool.
    static int allocations = 0;
    const int index = allocations++;
    if (bytes == 0) return 0;
    bytes_ = bytes;
    data_ = heap(bytes);
    if (data_ == nullptr) return 1;
    std::memset(data_, index < 2 ? 0xff : 0, bytes);
    const std::size_t stride = index == 1 ? bytes / CORES : bytes;
    for (std::size_t start = 0; index < 2 && start + stride <= bytes; start += stride) {
      for (std::size_t gap : index == 0 ? TENSOR_GAPS : SCRATCH_GAPS) {
        ASAN_POISON_MEMORY_REGION(static_cast<char*>(data_) + start + gap * sizeof(float), GAP_BYTES);
      }
    }
    return 0;
  }

  void* data() const { return data_; }
  float* floats() const { return static_cast<float*>(data_); }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

class MappedFile {
 public:
  MappedFile() = default;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() { release(data_, bytes_); }

  int open(const char* path, const char*) {
    std::FILE* file = std::fopen(path, "rb");
    if (file == nullptr) return 1;
    std::fseek(file, 0, SEEK_END);
    bytes_ = static_cast<std::size_t>(std::ftell(file));
    std::rewind(file);
    if (bytes_ > 0) data_ = heap(bytes_);
    const bool complete = bytes_ == 0 || std::fread(data_, 1, bytes_, file) == bytes_;
    std::fclose(file);
    return complete ? 0 : 1;
  }

  const void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace dlfusion
