// How fast cores can be at most: loops that multiply and add in registers, or read or write one level of memory, and do
// nothing else. Kernels are held against these rates (targets/cpu/peak.py).
//
// Each function is the `run` of a Block. Cores read and write parts of their own of `run.tensors`.
#pragma once
#include <cstddef>

#include "runtime.hpp"
#include "vector.hpp"

namespace dlfusion {

// Keeps a loop's result alive.
DLFUSION_INLINE void use(Vector value) {
  volatile float place = value[0];
  (void)place;
}

// The calls of a block cost as much as those of any block that a model has.
inline void do_nothing(const Run&, int) {}

// SUMS vectors do not wait for each other.
template <long ROUNDS, int SUMS>
void multiply_adds(const Run&, int core) {
  const float seed = 1.0f / static_cast<float>(core + 2);  // not known when compiling
  Vector sum[SUMS];
  DLFUSION_UNROLL
  for (int i = 0; i < SUMS; ++i) sum[i] = broadcast(seed + static_cast<float>(i));
  const Vector factor = broadcast(seed), term = broadcast(seed * 0.5f);
  for (long round = 0; round < ROUNDS; ++round) {
    DLFUSION_UNROLL
    for (int i = 0; i < SUMS; ++i) sum[i] = sum[i] * factor + term;
  }
  Vector total = {};
  for (int i = 0; i < SUMS; ++i) total += sum[i];
  use(total);
}

// Adds up `floats` numbers, a multiple of 16 vectors; they begin on a cache line.
DLFUSION_INLINE Vector read(const float* from, long floats, Vector start) {
  constexpr int SUMS = 16;
  Vector sum[SUMS] = {start};
  for (long at = 0; at < floats; at += SUMS * LANES) {
    DLFUSION_UNROLL
    for (int i = 0; i < SUMS; ++i) sum[i] += load(from + at + i * LANES);
  }
  Vector total = {};
  for (int i = 0; i < SUMS; ++i) total += sum[i];
  return total;
}

// Writes `floats` numbers, as many and as aligned as for `read`. The compiler must not see that nobody reads them.
DLFUSION_INLINE void write(float* to, long floats) {
  constexpr int AT_ONCE = 16;
  const Vector value = broadcast(1.0f);
  for (long at = 0; at < floats; at += AT_ONCE * LANES) {
    DLFUSION_UNROLL
    for (int i = 0; i < AT_ONCE; ++i) store(to + at + i * LANES, value);
    asm volatile("" ::: "memory");
  }
}

// Reads the first FLOATS of the core's part PASSES times; parts are STRIDE floats apart.
template <long STRIDE, long FLOATS, int PASSES>
void read_cache(const Run& run, int core) {
  Vector total = {};
  for (int pass = 0; pass < PASSES; ++pass) total = read(run.tensors + core * STRIDE, FLOATS, total);
  use(total);
}

// The same with writing.
template <long STRIDE, long FLOATS, int PASSES>
void write_cache(const Run& run, int core) {
  for (int pass = 0; pass < PASSES; ++pass) write(run.tensors + core * STRIDE, FLOATS);
}

// Where in the core's part, which has STRIDE floats, the next FLOATS begin: by the time a place comes again, all of the
// part was used, and with the parts of the other cores that is more than caches hold. `next` is of the core alone.
template <long STRIDE, long FLOATS>
DLFUSION_INLINE float* next_place(const Run& run, int core, long& next) {
  float* place = run.tensors + core * STRIDE + next;
  next = next + 2 * FLOATS <= STRIDE ? next + FLOATS : 0;
  return place;
}

template <long STRIDE, long FLOATS, int CORES>
void read_memory(const Run& run, int core) {
  static long next[CORES][16];  // a cache line for each core
  use(read(next_place<STRIDE, FLOATS>(run, core, next[core][0]), FLOATS, Vector{}));
}

template <long STRIDE, long FLOATS, int CORES>
void write_memory(const Run& run, int core) {
  static long next[CORES][16];
  write(next_place<STRIDE, FLOATS>(run, core, next[core][0]), FLOATS);
}

// Gives every page of FLOATS floats memory of its own, once: pages that were never written are all one page of zeros.
template <long FLOATS>
void take_memory(const Run& run, int) {
  constexpr long PAGE_FLOATS = 1024;
  if (run.tensors[0] != 0.0f) return;
  for (long at = 0; at < FLOATS; at += PAGE_FLOATS) run.tensors[at] = 1.0f;
}

}  // namespace dlfusion
