// Elementary functions on vectors, accurate to about one unit in the last place, without libm.
#pragma once
#include "vector.hpp"

namespace dlfusion {

// x where x >= 0, else slope * x; NaN stays NaN.
DLFUSION_INLINE Vector leaky(Vector x, Vector slope) { return x < Vector{} ? x * slope : x; }

DLFUSION_INLINE Vector absolute(Vector x) {
  return reinterpret_cast<Vector>(reinterpret_cast<IntVector>(x) & 0x7fffffff);
}

DLFUSION_INLINE Vector with_sign_of(Vector size, Vector x) {
  const IntVector sign = reinterpret_cast<IntVector>(x) & ~0x7fffffff;
  return reinterpret_cast<Vector>(reinterpret_cast<IntVector>(size) | sign);
}

DLFUSION_INLINE Vector square_root(Vector x) {
  Vector root;
#if defined(__AVX512F__)
  asm("vsqrtps %1, %0" : "=v"(root) : "v"(x));
#elif defined(__AVX__)
  asm("vsqrtps %1, %0" : "=x"(root) : "x"(x));
#elif defined(__aarch64__)
  asm("fsqrt %0.4s, %1.4s" : "=w"(root) : "w"(x));
#else
  root = x;
  for (int lane = 0; lane < LANES; ++lane) root[lane] = __builtin_sqrtf(x[lane]);
#endif
  return root;
}

// The largest integer not above x. From 2^23 on all floats are integers; they, infinities and NaN stay what they are.
DLFUSION_INLINE Vector rounded_down(Vector x) {
  const IntVector has_fraction = absolute(x) < broadcast(8388608.0f);
  const Vector kept = has_fraction ? x : Vector{};
  const Vector whole = __builtin_convertvector(__builtin_convertvector(kept, IntVector), Vector);
  const Vector lower = x < whole ? whole - 1.0f : whole;
  return has_fraction ? with_sign_of(lower, x) : x;
}

DLFUSION_INLINE Vector rounded_up(Vector x) { return -rounded_down(-x); }

// 2^n as long as that is a normal number.
DLFUSION_INLINE Vector power_of_two(IntVector n) { return reinterpret_cast<Vector>((n + 127) << 23); }

// e^x = 2^exponent * (1 + rest), rest = e^r - 1.
struct SplitExponential {
  Vector rest;
  IntVector exponent;
};

// x = n ln 2 + r with |r| <= ln 2 / 2, ln 2 split into two parts so that n * part is exact; polynomial of Cephes' expf.
DLFUSION_INLINE SplitExponential split_exponential(Vector x) {
  const Vector shift = broadcast(12582912.0f);  // 1.5 * 2^23: adding it rounds to an integer in the low mantissa bits
  const Vector shifted = x * 1.44269504088896341f + shift;
  const Vector n = shifted - shift;
  const Vector r = (x - n * 0.693359375f) - n * -2.12194440e-4f;
  Vector p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  return {p * (r * r) + r, reinterpret_cast<IntVector>(shifted) - 0x4b400000};
}

// e^x, relative error below 2e-7; NaN stays NaN. Below -87.3 and above 87.3 it
// returns the value at that bound, so that neither it nor its reciprocal is a subnormal number, which cores are slow with.
DLFUSION_INLINE Vector exponential(Vector x) {
  const SplitExponential split = split_exponential(at_most(at_least(x, broadcast(-87.3f)), broadcast(87.3f)));
  return (split.rest + 1.0f) * power_of_two(split.exponent);
}

// e^x over the whole range of floats: subnormal numbers, 0 and infinity too. The power of two comes in two factors,
// because 2^-150 and 2^128 are no normal numbers.
DLFUSION_INLINE Vector full_exponential(Vector x) {
  const SplitExponential split = split_exponential(at_most(at_least(x, broadcast(-104.0f)), broadcast(89.0f)));
  const IntVector half = split.exponent >> 1;
  return (split.rest + 1.0f) * power_of_two(half) * power_of_two(split.exponent - half);
}

// e^x - 1 without cancellation near zero, for x up to 87.3.
DLFUSION_INLINE Vector exponential_minus_one(Vector x) {
  const SplitExponential split = split_exponential(at_most(at_least(x, broadcast(-87.3f)), broadcast(87.3f)));
  const Vector scale = power_of_two(split.exponent);
  return split.rest * scale + (scale - 1.0f);
}

// log(1 + r) = r + this, for 1 + r in [sqrt(1/2), sqrt(2)): the polynomial of Cephes' logf.
DLFUSION_INLINE Vector logarithm_rest(Vector r) {
  Vector p = r * 7.0376836292e-2f - 1.1514610310e-1f;
  p = p * r + 1.1676998740e-1f;
  p = p * r - 1.2420140846e-1f;
  p = p * r + 1.4249322787e-1f;
  p = p * r - 1.6668057665e-1f;
  p = p * r + 2.0000714765e-1f;
  p = p * r - 2.4999993993e-1f;
  p = p * r + 3.3333331174e-1f;
  const Vector square = r * r;
  return p * r * square - 0.5f * square;
}

// The natural logarithm of positive, normal numbers; relative error below 2e-7.
DLFUSION_INLINE Vector natural_logarithm(Vector x) {
  // x = 2^exponent * m with m in [sqrt(1/2), sqrt(2)).
  const IntVector bits = reinterpret_cast<IntVector>(x) - 0x3f3504f3;
  const IntVector exponent = bits >> 23;
  const Vector m = reinterpret_cast<Vector>((bits & 0x007fffff) + 0x3f3504f3);
  const Vector e = __builtin_convertvector(exponent, Vector);
  const Vector r = m - 1.0f;
  return (logarithm_rest(r) + e * -2.12194440e-4f) + r + e * 0.693359375f;
}

// The natural logarithm of any number: that of 0 is minus infinity, those below are NaN.
DLFUSION_INLINE Vector full_logarithm(Vector x) {
  const Vector size = absolute(x);
  const IntVector subnormal = size < broadcast(1.17549435e-38f);
  const Vector scaled = subnormal ? size * 8388608.0f : size;
  const Vector moved = natural_logarithm(scaled) - (subnormal ? broadcast(15.9423852f) : Vector{});  // 23 ln 2
  const Vector finite = x == Vector{} ? broadcast(-__builtin_inff()) : moved;
  const Vector positive = x > broadcast(3.40282347e38f) ? x : finite;
  return x >= Vector{} ? positive : broadcast(__builtin_nanf(""));
}

// log(1 + y) for 0 <= y <= 1, without cancellation near zero.
DLFUSION_INLINE Vector logarithm_of_one_plus(Vector y) {
  const IntVector large = y > broadcast(0.41421356f);
  const Vector r = large ? y * 0.5f - 0.5f : y;
  return (r + logarithm_rest(r)) + (large ? broadcast(0.693147181f) : Vector{});
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
  const Vector near = p * square * size + size;
  const Vector far = 1.0f - 2.0f / (exponential(size + size) + 1.0f);
  return with_sign_of(size < broadcast(0.625f) ? near : far, x);
}

// Minimax polynomials: x + x p(x^2) near zero, else 1 - e^p(|x|); from 4 on the nearest float is 1.
DLFUSION_INLINE Vector error_function(Vector x) {
  const Vector size = at_most(absolute(x), broadcast(4.0f));
  const Vector square = x * x;
  Vector p = square * -5.96761703e-4f + 4.99119423e-3f;
  p = p * square - 2.67681349e-2f;
  p = p * square + 1.12819925e-1f;
  p = p * square - 3.76125336e-1f;
  p = p * square + 1.28379166e-1f;
  const Vector near = p * x + x;
  Vector q = size * -1.72853470e-5f + 3.83197126e-4f;
  q = q * (size * size) + (size * -3.88396438e-3f + 2.42546219e-2f);
  q = q * size - 1.06777877e-1f;
  q = q * size - 6.34846687e-1f;
  q = q * size - 1.28717512e-1f;
  const Vector far = with_sign_of(1.0f - exponential(q * size - size), x);
  return size < broadcast(0.927734375f) ? near : far;
}

DLFUSION_INLINE Vector softplus(Vector x) {
  return at_least(x, Vector{}) + logarithm_of_one_plus(full_exponential(-absolute(x)));
}

DLFUSION_INLINE Vector softsign(Vector x) { return x / (1.0f + absolute(x)); }

// x tanh(log(1 + e)) with e = e^x: the hyperbolic tangent is n / (n + 2) with n = e (e + 2), and 1 from x = 20 on.
DLFUSION_INLINE Vector mish(Vector x) {
  const Vector e = full_exponential(at_most(x, broadcast(20.0f)));
  const Vector n = e * (e + 2.0f);
  return x * (n / (n + 2.0f));
}

// x sigmoid(slope x); minus infinity gives NaN, as the product does.
DLFUSION_INLINE Vector swish(Vector x, Vector slope) { return x / (1.0f + full_exponential(-(x * slope))); }

// Exact to about 1e-7 of x: far below zero 1 + erf cancels, as it does in every engine that computes the definition.
DLFUSION_INLINE Vector gelu(Vector x) { return 0.5f * x * (1.0f + error_function(x * 0.707106781f)); }

// x / 2 (1 + tanh(u)) = x sigmoid(2 u) with u = sqrt(2 / pi) (x + 0.044715 x^3).
DLFUSION_INLINE Vector gelu_by_tanh(Vector x) {
  return x / (1.0f + full_exponential(x * (x * x * -0.0713548163f - 1.59576912f)));
}

}  // namespace dlfusion
