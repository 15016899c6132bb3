// Rearranging lanes of vectors, and building vectors from scattered floats.
#pragma once
#include "vector.hpp"

// The lanes of `a` followed by those of `b`, picked by constant indices.
#if defined(__clang__) || __GNUC__ >= 12
#define DLFUSION_SHUFFLE(a, b, ...) __builtin_shufflevector(a, b, __VA_ARGS__)
#else
#define DLFUSION_SHUFFLE(a, b, ...) __builtin_shuffle(a, b, IntVector{__VA_ARGS__})
#endif

namespace dlfusion {

template <int... LANE>
struct Indices {};

#if DLFUSION_LANES == 16
typedef Indices<0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15> AllLanes;
#elif DLFUSION_LANES == 8
typedef Indices<0, 1, 2, 3, 4, 5, 6, 7> AllLanes;
#else
typedef Indices<0, 1, 2, 3> AllLanes;
#endif

template <int... LANE>
DLFUSION_INLINE IntVector lane_numbers(Indices<LANE...>) {
  return IntVector{LANE...};
}

// {lanes[0][offset], lanes[1][offset], ...}
template <int... LANE>
DLFUSION_INLINE Vector gather(const float* const* lanes, long offset, Indices<LANE...>) {
  return Vector{lanes[LANE][offset]...};
}

// {from[0], from[step], from[2 * step], ...}
template <int... LANE>
DLFUSION_INLINE Vector load_strided(const float* from, long step, Indices<LANE...>) {
  return Vector{from[LANE * step]...};
}

// Lanes SHIFT, SHIFT + 1, ... of `a` followed by `b`.
template <int SHIFT, int... LANE>
DLFUSION_INLINE Vector window(Vector a, Vector b, Indices<LANE...>) {
  return DLFUSION_SHUFFLE(a, b, (LANE + SHIFT)...);
}

// Lanes of `a` and `b` by turns, from lane FIRST on.
template <int FIRST, int... LANE>
DLFUSION_INLINE Vector interleave(Vector a, Vector b, Indices<LANE...>) {
  return DLFUSION_SHUFFLE(a, b, (FIRST + LANE / 2 + LANE % 2 * LANES)...);
}

// Exchanges the off-diagonal blocks of STEP x STEP that two rows, STEP apart, share.
template <int STEP, int... LANE>
DLFUSION_INLINE void exchange(Vector& a, Vector& b, Indices<LANE...>) {
  const Vector low = DLFUSION_SHUFFLE(a, b, ((LANE & STEP) != 0 ? LANE - STEP + LANES : LANE)...);
  const Vector high = DLFUSION_SHUFFLE(a, b, ((LANE & STEP) != 0 ? LANE + LANES : LANE + STEP)...);
  a = low;
  b = high;
}

// Transposes a LANES x LANES matrix: Eklundh's method, blocks of halving size.
template <int STEP = LANES / 2>
DLFUSION_INLINE void transpose(Vector (&rows)[LANES]) {
  DLFUSION_UNROLL
  for (int i = 0; i < LANES; ++i) {
    if ((i & STEP) == 0) exchange<STEP>(rows[i], rows[i + STEP], AllLanes());
  }
  if constexpr (STEP > 1) transpose<STEP / 2>(rows);
}

DLFUSION_INLINE float largest_lane(Vector v) {
  float result = v[0];
  for (int lane = 1; lane < LANES; ++lane) result = v[lane] > result ? v[lane] : result;
  return result;
}

DLFUSION_INLINE float sum_of_lanes(Vector v) {
  float result = v[0];
  for (int lane = 1; lane < LANES; ++lane) result += v[lane];
  return result;
}

}  // namespace dlfusion
