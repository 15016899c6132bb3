// Which instruction-set extensions the CPU and the operating system support, asked at run time.
#pragma once
#include <cstring>

#if defined(__x86_64__) || defined(__i386__)
#include <cpuid.h>
#endif

namespace dlfusion {

#if defined(__x86_64__) || defined(__i386__)

// Where CPUID reports an extension, and which register state the system must save for it (bits of XCR0: 0x6 is
// 256-bit state, 0xe6 is 512-bit state). Intel Software Developer's Manual, volume 2, instruction CPUID.
struct CpuFeature {
  const char* name;
  unsigned leaf;
  int register_index;  // eax, ebx, ecx, edx
  int bit;
  unsigned saved_state;
  unsigned subleaf = 0;
};

constexpr CpuFeature CPU_FEATURES[] = {
    {"avx", 1, 2, 28, 0x6},        {"fma", 1, 2, 12, 0x6},        {"avx2", 7, 1, 5, 0x6},
    {"avx512f", 7, 1, 16, 0xe6},   {"avx512dq", 7, 1, 17, 0xe6},  {"avx512bw", 7, 1, 30, 0xe6},
    {"avx512vl", 7, 1, 31, 0xe6},  {"avx512vnni", 7, 2, 11, 0xe6},
    {"avx512bf16", 7, 0, 5, 0xe6, 1},
};

inline bool cpu_supports(const CpuFeature& feature) {
  unsigned registers[4] = {0, 0, 0, 0};
  if (!__get_cpuid(1, &registers[0], &registers[1], &registers[2], &registers[3])) return false;
  const bool system_saves_state = (registers[2] >> 27) & 1;
  if (!system_saves_state) return false;
  unsigned state = 0, state_high = 0;
  asm volatile("xgetbv" : "=a"(state), "=d"(state_high) : "c"(0));
  if ((state & feature.saved_state) != feature.saved_state) return false;
  if (!__get_cpuid_count(feature.leaf, feature.subleaf, &registers[0], &registers[1], &registers[2], &registers[3])) return false;
  return (registers[feature.register_index] >> feature.bit) & 1;
}

// Whether this CPU has the extension with the name that compilers give it (-m<name>). An unknown name is not supported.
inline bool cpu_supports(const char* name, std::size_t length) {
  for (const CpuFeature& feature : CPU_FEATURES) {
    if (std::strlen(feature.name) == length && std::memcmp(feature.name, name, length) == 0) {
      return cpu_supports(feature);
    }
  }
  return false;
}

#else

inline bool cpu_supports(const char*, std::size_t) { return false; }

#endif

// The first of the blank-separated `names` that this CPU lacks, with its length; null if it has all of them.
inline const char* missing_cpu_feature(const char* names, std::size_t* length) {
  for (const char* name = names; *name != '\0';) {
    *length = std::strcspn(name, " ");
    if (*length > 0 && !cpu_supports(name, *length)) return name;
    name += *length;
    name += std::strspn(name, " ");
  }
  return nullptr;
}

}  // namespace dlfusion
