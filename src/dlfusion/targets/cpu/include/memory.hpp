// Memory of the operating system: zeroed pages for activations, and files mapped read-only.
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>

namespace dlfusion {

// Zeroed memory, on a 64-byte boundary or better. Pages count as used only once they are written.
class ZeroedMemory {
 public:
  ZeroedMemory() = default;
  ZeroedMemory(const ZeroedMemory&) = delete;
  ZeroedMemory& operator=(const ZeroedMemory&) = delete;

  ~ZeroedMemory() {
    if (data_ != nullptr) munmap(mapping_, mapped_bytes_);
  }

  // Returns 0, or the system's error number; to be called once.
  int allocate(std::size_t bytes) {
    if (bytes == 0) return 0;
    const bool large = bytes >= HUGE_PAGE;
    mapped_bytes_ = bytes + (large ? HUGE_PAGE : 0);
    mapping_ = mmap(nullptr, mapped_bytes_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping_ == MAP_FAILED) return errno;
    const std::uintptr_t address = reinterpret_cast<std::uintptr_t>(mapping_);
    const std::uintptr_t aligned = large ? (address + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE : address;
    data_ = reinterpret_cast<void*>(aligned);
#if defined(MADV_HUGEPAGE)
    // Only whole huge pages are asked for, so that no memory is used beyond `bytes`. It is advice: failure is no error.
    if (large) madvise(data_, bytes / HUGE_PAGE * HUGE_PAGE, MADV_HUGEPAGE);
#endif
    return 0;
  }

  // Null if nothing was allocated.
  void* data() const { return data_; }
  float* floats() const { return static_cast<float*>(data_); }

 private:
  static constexpr std::size_t HUGE_PAGE = std::size_t{2} << 20;

  void* mapping_ = nullptr;
  std::size_t mapped_bytes_ = 0;
  void* data_ = nullptr;
};

// A whole file, read-only; its pages are shared by all processes that map it.
class MappedFile {
 public:
  MappedFile() = default;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  ~MappedFile() {
    if (data_ != nullptr) munmap(data_, bytes_);
  }

  // Maps the file at `path` or, if that is a folder, the file `name` in it. Returns 0, or the system's error number. An
  // empty file has null data.
  int open(const char* path, const char* name) {
    const int folder = ::open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const int file = folder < 0 ? ::open(path, O_RDONLY | O_CLOEXEC) : openat(folder, name, O_RDONLY | O_CLOEXEC);
    const int failure = file < 0 ? errno : map(file);
    if (file >= 0) ::close(file);
    if (folder >= 0) ::close(folder);
    return failure;
  }

  const void* data() const { return data_; }
  std::size_t bytes() const { return bytes_; }

 private:
  int map(int descriptor) {
    struct stat information;
    if (fstat(descriptor, &information) != 0) return errno;
    if (!S_ISREG(information.st_mode)) return EISDIR;
    bytes_ = static_cast<std::size_t>(information.st_size);
    if (bytes_ == 0) return 0;
    void* mapping = mmap(nullptr, bytes_, PROT_READ, MAP_SHARED, descriptor, 0);
    if (mapping == MAP_FAILED) return errno;
    data_ = mapping;
    // Reading starts now instead of at the first run's page faults.
    madvise(data_, bytes_, MADV_WILLNEED);
    return 0;
  }

  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace dlfusion
