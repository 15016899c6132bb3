// Elementary functions on vectors, accurate to about one unit in the last place, without libm.
#pragma once
#include "vector.hpp"

namespace dlfusion {

// x where x >= 0, else slope * x; NaN stays NaN.
DLFUSION_INLINE Vector leaky(Vector x, Vector slope) { return x < Vector{} ? x * slope : x; }

DLFUSION_INLINE Vector absolute(Vector x) {
  return reinterpret_cast<Vector>(reinterpret_cast<IntVector>(x) & 0x7fffffff);
}

DLFUSION_INLINE Vector square_root(Vector x) {
  Vector root;
#if defined(__AVX512F__)
  asm("vsqrtps %1, %0" : "=v"(root) : "v"(x));
#elif defined(__AVX__)
  asm("vsqrtps %1, %0" : "=x"(root) : "x"(x));
#else
  for (int lane = 0; lane < LANES; ++lane) root[lane] = __builtin_sqrtf(x[lane]);
#endif
  return root;
}

// e^x, relative error below 2e-7; NaN stays NaN. Below -87.3 and above 87.3 it
// returns the value at that bound, so that neither it nor its reciprocal is a subnormal number, which cores are slow with.
// x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 split into two parts so that n * part is exact; polynomial of Cephes' expf.
DLFUSION_INLINE Vector exponential(Vector x) {
  x = at_most(at_least(x, broadcast(-87.3f)), broadcast(87.3f));
  const Vector shift = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer in the low mantissa bits
  const Vector shifted = x * 1.44269504088896341f + shift;
  const Vector n = shifted - shift;
  const Vector r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  Vector p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * (r * r) + r + 1.0f;
  const IntVector exponent = (reinterpret_cast<IntVector>(shifted) - 0x4b400000 + 127) << 23;
  return p * reinterpret_cast<Vector>(exponent);
}

// The natural logarithm of positive, normal numbers; relative error below 2e-7 (Cephes' logf).
DLFUSION_INLINE Vector natural_logarithm(Vector x) {
  // x = 2^exponent * m with m in [sqrt(1/2), sqrt(2)).
  const IntVector bits = reinterpret_cast<IntVector>(x) - 0x3f3504f3;
  const IntVector exponent = bits >> 23;
  const Vector m = reinterpret_cast<Vector>((bits & 0x007fffff) + 0x3f3504f3);
  const Vector e = __builtin_convertvector(exponent, Vector);
  const Vector r = m - 1.0f;
  Vector p = r * 7.0376836292e-2f - 1.1514610310e-1f;
  p = p * r + 1.1676998740e-1f;
  p = p * r - 1.2420140846e-1f;
  p = p * r + 1.4249322787e-1f;
  p = p * r - 1.6668057665e-1f;
  p = p * r + 2.0000714765e-1f;
  p = p * r - 2.4999993993e-1f;
  p = p * r + 3.3333331174e-1f;
  const Vector square = r * r;
  return ((p * r * square - 0.5f * square) + e * -2.12194440e-4f) + r + e * 0.693359375f;
}

DLFUSION_INLINE Vector sigmoid(Vector x) { return 1.0f / (1.0f + exponential(-x)); }

// Near zero the odd polynomial of Cephes' tanhf, because 1 - 2 / (e^2x + 1) cancels there.
DLFUSION_INLINE Vector hyperbolic_tangent(Vector x) {
  const Vector size = absolute(x);
  const Vector square = x * x;
  Vector p = square * -5.70498872745e-3f + 2.06390887954e-2f;
  p = p * square - 5.37397155531e-2f;
  p = p * square + 1.33314422036e-1f;
  p = p * square - 3.33332819422e-1f;
  const Vector near = p * square * x + x;
  const Vector far = 1.0f - 2.0f / (exponential(size + size) + 1.0f);
  const Vector signed_far = x < Vector{} ? -far : far;
  return size < broadcast(0.625f) ? near : signed_far;
}

}  // namespace dlfusion
