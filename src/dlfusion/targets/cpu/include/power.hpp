// Powers of any exponent, computed in double precision: float32 loses a digit to the product of exponent and logarithm.
#pragma once
#include "elementary.hpp"

namespace dlfusion {

// As many doubles as fit a register, and the floats and integers that go with them.
constexpr int DOUBLES = LANES / 2;
typedef double DoubleVector __attribute__((vector_size(DOUBLES * sizeof(double))));
typedef long long LongVector __attribute__((vector_size(DOUBLES * sizeof(long long))));
typedef float HalfVector __attribute__((vector_size(DOUBLES * sizeof(float)), aligned(sizeof(float)), may_alias));

DLFUSION_INLINE DoubleVector broadcast_double(double value) { return value - DoubleVector{}; }

// log(x) of positive finite numbers that are no subnormal doubles, which no float is: 2 atanh((m - 1) / (m + 1)) and the
// exponent. Its series ends where the terms fall below 2^-38.
DLFUSION_INLINE DoubleVector precise_logarithm(DoubleVector x) {
  const LongVector bits = reinterpret_cast<LongVector>(x) - 0x3fe6a09e667f3bcdLL;  // sqrt(1/2)
  const LongVector exponent = bits >> 52;
  const DoubleVector m = reinterpret_cast<DoubleVector>((bits & 0x000fffffffffffffLL) + 0x3fe6a09e667f3bcdLL);
  const DoubleVector s = (m - 1.0) / (m + 1.0);
  const DoubleVector square = s * s;
  DoubleVector p = square * (1.0 / 15.0) + 1.0 / 13.0;
  p = p * square + 1.0 / 11.0;
  p = p * square + 1.0 / 9.0;
  p = p * square + 1.0 / 7.0;
  p = p * square + 1.0 / 5.0;
  p = p * square + 1.0 / 3.0;
  return 2.0 * (p * square * s + s) + __builtin_convertvector(exponent, DoubleVector) * 0.69314718055994530942;
}

// e^x for |x| <= 200, by Taylor's series to the ninth power of a rest of at most ln 2 / 2.
DLFUSION_INLINE DoubleVector precise_exponential(DoubleVector x) {
  const DoubleVector shift = broadcast_double(6755399441055744.0);  // 1.5 * 2^52
  const DoubleVector shifted = x * 1.44269504088896340736 + shift;
  const DoubleVector r = x - (shifted - shift) * 0.69314718055994530942;
  DoubleVector p = r * (1.0 / 362880.0) + 1.0 / 40320.0;
  p = p * r + 1.0 / 5040.0;
  p = p * r + 1.0 / 720.0;
  p = p * r + 1.0 / 120.0;
  p = p * r + 1.0 / 24.0;
  p = p * r + 1.0 / 6.0;
  p = p * r + 0.5;
  p = p * r + 1.0;
  p = p * r + 1.0;
  const LongVector n = reinterpret_cast<LongVector>(shifted) - 0x4338000000000000LL;
  return p * reinterpret_cast<DoubleVector>((n + 1023) << 52);
}

// |x|^y, but for the cases that `power` decides.
DLFUSION_INLINE DoubleVector precise_power(DoubleVector x, DoubleVector y) {
  const DoubleVector infinity = broadcast_double(__builtin_inf());
  const DoubleVector logarithm = x == DoubleVector{} ? -infinity : (x < infinity ? precise_logarithm(x) : x);
  const DoubleVector exponent = y * logarithm;
  const DoubleVector low = broadcast_double(-200.0), high = broadcast_double(200.0);
  const DoubleVector above = exponent < low ? low : exponent;
  return precise_exponential(above > high ? high : above);
}

// x^y as C defines pow. A function of its own, because it is long and rarely used.
inline __attribute__((noinline)) void power_of_lanes(const float* x, const float* y, float* result) {
  for (int half = 0; half < LANES; half += DOUBLES) {
    const DoubleVector size = __builtin_convertvector(*reinterpret_cast<const HalfVector*>(x + half), DoubleVector);
    const DoubleVector exponent = __builtin_convertvector(*reinterpret_cast<const HalfVector*>(y + half), DoubleVector);
    *reinterpret_cast<HalfVector*>(result + half) =
        __builtin_convertvector(precise_power(size, exponent), HalfVector);
  }
}

DLFUSION_INLINE Vector power(Vector x, Vector y) {
  const Vector size = absolute(x);
  alignas(Vector) float sizes[LANES], exponents[LANES], results[LANES];
  store(sizes, size);
  store(exponents, y);
  power_of_lanes(sizes, exponents, results);
  const Vector infinity = broadcast(__builtin_inff());
  const IntVector is_one = (y == Vector{}) | (x == broadcast(1.0f)) | ((size == broadcast(1.0f)) & (absolute(y) == infinity));
  const Vector magnitude = is_one ? broadcast(1.0f) : load(results);
  // A negative base: the sign of odd exponents, NaN for those that are no integers. From 2^24 on all are even.
  const IntVector whole = rounded_down(y) == y;
  const Vector half = y * 0.5f;
  const IntVector odd = whole & (rounded_down(half) != half);
  const Vector signed_magnitude = odd ? with_sign_of(magnitude, x) : magnitude;
  const IntVector undefined = (x < Vector{}) & ~whole & (size < infinity);
  return undefined ? broadcast(__builtin_nanf("")) : signed_magnitude;
}

}  // namespace dlfusion
