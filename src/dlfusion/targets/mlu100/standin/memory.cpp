// Device memory, and page-locked host memory.
#include "memory.hpp"

#include <cstring>
#include <map>
#include <string>

#include "queue.hpp"
#include "state.hpp"

namespace standin {
namespace {

constexpr std::size_t DEVICE_BYTES = std::size_t{8} << 30;
// No 64-bit host maps these addresses, so that a program that reads through one crashes.
constexpr std::uintptr_t FIRST_ADDRESS = std::uintptr_t{1} << 55;
// Buffers keep this distance: what runs over the end of one does not reach the next.
constexpr std::uintptr_t ALIGNMENT = 1 << 16;
// What fresh memory holds: as halves or floats these bytes are NaN, so that reading too early shows in the results.
constexpr int FRESH_BYTE = 0xff;

struct Buffer {
  std::size_t bytes;
  std::unique_ptr<std::uint8_t[]> data;
};

class DeviceMemory final : public Leakable {
 public:
  DeviceMemory() : Leakable("device buffer") {}

  void* allocate(std::size_t bytes) {
    if (bytes == 0 || bytes > DEVICE_BYTES - used_) return nullptr;
    std::unique_ptr<std::uint8_t[]> data(new (std::nothrow) std::uint8_t[bytes]);
    if (data == nullptr) return nullptr;
    std::memset(data.get(), FRESH_BYTE, bytes);
    const std::uintptr_t address = next_;
    next_ += (bytes / ALIGNMENT + 2) * ALIGNMENT;
    used_ += bytes;
    buffers_.emplace(address, Buffer{bytes, std::move(data)});
    return reinterpret_cast<void*>(address);
  }

  void release(void* pointer) {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    const auto found = buffers_.find(address);
    require(found != buffers_.end(), Fault::BAD_POINTER, "to be freed: " + description(address));
    used_ -= found->second.bytes;
    buffers_.erase(found);
  }

  std::uint8_t* bytes_at(const void* pointer, std::size_t bytes, const char* what) const {
    const auto address = reinterpret_cast<std::uintptr_t>(pointer);
    auto after = buffers_.upper_bound(address);
    const bool known = after != buffers_.begin() && address - std::prev(after)->first < std::prev(after)->second.bytes;
    require(known, Fault::BAD_POINTER, std::string(what) + ": " + description(address));
    const auto& [begin, buffer] = *std::prev(after);
    const std::size_t offset = address - begin;
    require(bytes <= buffer.bytes - offset, Fault::TOO_SMALL,
            std::string(what) + ": " + std::to_string(bytes) + " bytes are needed, but the buffer has " +
                std::to_string(buffer.bytes - offset));
    return buffer.data.get() + offset;
  }

  std::size_t live() const override { return buffers_.size(); }

  void clear() override {
    buffers_.clear();
    used_ = 0;
  }

 private:
  std::string description(std::uintptr_t address) const {
    if (address == 0) return "the address is null";
    if (address < FIRST_ADDRESS || address >= next_) return "the address is not on the device; is it a host pointer?";
    if (buffers_.count(address) == 0) return "the buffer was freed, or the address is not where it begins";
    return "the buffer is alive";
  }

  std::map<std::uintptr_t, Buffer> buffers_;
  std::uintptr_t next_ = FIRST_ADDRESS;
  std::size_t used_ = 0;
};

DeviceMemory& memory() {
  static DeviceMemory* const only = new DeviceMemory;
  return *only;
}

class HostBuffers final : public Leakable {
 public:
  HostBuffers() : Leakable("host buffer") {}

  void* allocate(std::size_t bytes) {
    std::unique_ptr<std::uint8_t[]> data(new (std::nothrow) std::uint8_t[bytes]);
    require(data != nullptr, Fault::NO_MEMORY, "the host has no memory left");
    void* const address = data.get();
    buffers_.emplace(address, std::move(data));
    return address;
  }

  void release(void* address) {
    require(buffers_.erase(address) == 1, Fault::BAD_POINTER, "no buffer of cnrtMallocHost is at this address");
  }

  std::size_t live() const override { return buffers_.size(); }
  void clear() override { buffers_.clear(); }

 private:
  std::map<void*, std::unique_ptr<std::uint8_t[]>> buffers_;
};

HostBuffers& host_buffers() {
  static HostBuffers* const only = new HostBuffers;
  return *only;
}

std::size_t batch_bytes(std::size_t bytes, int data_parallelism) {
  require_ways(data_parallelism);
  require(bytes <= DEVICE_BYTES, Fault::NO_MEMORY, "the device has 8 GiB");
  return bytes * static_cast<std::size_t>(data_parallelism);
}

cnrtRet_t allocate_for_cnrt(const char* function, void** place, std::size_t bytes, int data_parallelism) {
  return cnrt_call(function, [&] {
    require_argument(place, "the place for the address");
    require_device();
    require(bytes > 0, Fault::BAD_VALUE, "no buffer has 0 bytes");
    void* const address = allocate_on_device(batch_bytes(bytes, data_parallelism));
    require(address != nullptr, Fault::NO_MEMORY, "the device has no room for " + std::to_string(bytes) + " bytes");
    *place = address;
  });
}

}  // namespace

void* allocate_on_device(std::size_t bytes) { return memory().allocate(bytes); }

void free_on_device(void* address) { memory().release(address); }

std::uint8_t* device_bytes(const void* address, std::size_t bytes, const char* what) {
  return memory().bytes_at(address, bytes, what);
}

void require_ways(int data_parallelism) {
  require(data_parallelism >= 1 && data_parallelism <= DEVICE_CORES, Fault::OUT_OF_RANGE,
          "data parallelism must be 1 to 32, but is " + std::to_string(data_parallelism));
}

}  // namespace standin

using namespace standin;

void* cnmlMalloc(size_t size) { return cnmlMallocBatch(size, 1); }

void* cnmlMallocBatch(size_t size, int data_parallelism) {
  void* address = nullptr;
  cnml_call("cnmlMallocBatch", [&] {
    require_device();
    address = allocate_on_device(batch_bytes(size, data_parallelism));
    require(address != nullptr, Fault::NO_MEMORY, "the device has no room for " + std::to_string(size) + " bytes");
  });
  return address;
}

cnmlStatus_t cnmlFreeBuffer(void* ptr) {
  return cnml_call("cnmlFreeBuffer", [&] { free_on_device(ptr); });
}

cnrtRet_t cnrtMalloc(void** pPtr, size_t bytes) { return allocate_for_cnrt("cnrtMalloc", pPtr, bytes, 1); }

cnrtRet_t cnrtMallocBatch(void** pPtr, size_t bytes, int data_parallelism) {
  return allocate_for_cnrt("cnrtMallocBatch", pPtr, bytes, data_parallelism);
}

cnrtRet_t cnrtFree(void* ptr) {
  return cnrt_call("cnrtFree", [&] { free_on_device(ptr); });
}

cnrtRet_t cnrtMallocHost(void** pPtr, size_t bytes, cnrtMemType_t type) {
  return cnrt_call("cnrtMallocHost", [&] {
    require_argument(pPtr, "the place for the address");
    require(bytes > 0, Fault::BAD_VALUE, "no buffer has 0 bytes");
    require(type == CNRT_MEMTYPE_DEFAULT || type == CNRT_MEMTYPE_LOCKED, Fault::BAD_VALUE,
            "host memory is CNRT_MEMTYPE_DEFAULT or CNRT_MEMTYPE_LOCKED");
    *pPtr = host_buffers().allocate(bytes);
  });
}

cnrtRet_t cnrtFreeHost(void* ptr) {
  return cnrt_call("cnrtFreeHost", [&] { host_buffers().release(ptr); });
}

cnrtRet_t cnrtMemcpy(void* dest, void* src, size_t bytes, cnrtMemTransDir_t dir) {
  return cnrt_call("cnrtMemcpy", [&] {
    require_device();
    const bool from_device = dir == CNRT_MEM_TRANS_DIR_DEV2HOST || dir == CNRT_MEM_TRANS_DIR_DEV2DEV;
    const bool to_device = dir == CNRT_MEM_TRANS_DIR_HOST2DEV || dir == CNRT_MEM_TRANS_DIR_DEV2DEV;
    require(from_device || to_device, Fault::BAD_VALUE, "no such direction");
    require_argument(src, "the source");
    require_argument(dest, "the destination");
    if (from_device) require_written(range_of(src, bytes));
    if (to_device) require_unused(range_of(dest, bytes));
    const void* const source = from_device ? device_bytes(src, bytes, "source") : src;
    void* const destination = to_device ? device_bytes(dest, bytes, "destination") : dest;
    std::memmove(destination, source, bytes);
  });
}
