// One vector of floats, as wide as the instruction set that the file is compiled for.
// GCC and Clang vector extensions only: no intrinsics header, so that generated files compile fast.
#pragma once
#include <cstddef>

#if defined(__AVX512F__)
#define DLFUSION_LANES 16
#elif defined(__AVX__)
#define DLFUSION_LANES 8
#else
#define DLFUSION_LANES 4
#endif

#define DLFUSION_INLINE inline __attribute__((always_inline))
#define DLFUSION_UNROLL _Pragma("GCC unroll 32")

namespace dlfusion {

constexpr int LANES = DLFUSION_LANES;

typedef float Vector __attribute__((vector_size(LANES * sizeof(float))));
typedef int IntVector __attribute__((vector_size(LANES * sizeof(int))));
typedef float UnalignedVector __attribute__((vector_size(LANES * sizeof(float)), aligned(sizeof(float)), may_alias));

DLFUSION_INLINE Vector load(const float* from) { return *reinterpret_cast<const UnalignedVector*>(from); }
DLFUSION_INLINE void store(float* to, Vector value) { *reinterpret_cast<UnalignedVector*>(to) = value; }
// Keeps a loaded vector in a register: GCC would read it again for each of two or three uses, for the price of a load each.
DLFUSION_INLINE void keep(Vector& value) {
#if defined(__AVX512F__)
  asm("" : "+v"(value));
#elif defined(__AVX__)
  asm("" : "+x"(value));
#elif defined(__aarch64__)
  asm("" : "+w"(value));
#else
  static_cast<void>(value);
#endif
}
// Keeps an address in a register: GCC would otherwise compute that of each of the loads that follow.
DLFUSION_INLINE void keep(const float*& address) { asm("" : "+r"(address)); }
// Written as a subtraction because x - 0 folds to a broadcast, while 0 + x must keep the sign of -0 and stays an addition.
DLFUSION_INLINE Vector broadcast(float value) { return value - Vector{}; }
// NaN in `a` propagates as in ONNX Runtime's max(x, low): the comparison is false and `a` is kept.
DLFUSION_INLINE Vector at_least(Vector a, Vector low) { return a < low ? low : a; }
DLFUSION_INLINE Vector at_most(Vector a, Vector high) { return a > high ? high : a; }
// The greater of two numbers or vectors; NaN if one is: `value` wins if it is NaN, and a NaN in `so_far` never loses.
template <class Value>
DLFUSION_INLINE Value greater(Value so_far, Value value) {
  const Value larger = so_far < value ? value : so_far;
  return value != value ? value : larger;
}

}  // namespace dlfusion
