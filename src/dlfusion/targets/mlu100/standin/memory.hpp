// The memory of the device, which the host cannot read: addresses are numbers, and only these functions know the data.
#pragma once
#include <cstddef>
#include <cstdint>

namespace standin {

// Null if the device has no room left.
void* allocate_on_device(std::size_t bytes);
void free_on_device(void* address);

// Where the host keeps `bytes` of device memory from `address` on; the pointer is good until the buffer is freed.
// Fails if the address is not the device's, if its buffer was freed, or if the buffer ends earlier.
std::uint8_t* device_bytes(const void* address, std::size_t bytes, const char* what);

// A part of the device's memory.
struct Range {
  std::uintptr_t begin;
  std::size_t bytes;

  bool overlaps(const Range& other) const {
    return begin < other.begin + other.bytes && other.begin < begin + bytes;
  }
};

inline Range range_of(const void* address, std::size_t bytes) {
  return {reinterpret_cast<std::uintptr_t>(address), bytes};
}

// Fails unless 1 to 32 ways are asked for.
void require_ways(int data_parallelism);

}  // namespace standin
