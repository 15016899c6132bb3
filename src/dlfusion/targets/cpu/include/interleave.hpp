// Interleaving vectors: the columns of a transposed convolution's phases become neighbours.
#pragma once
#include "shuffle.hpp"

namespace dlfusion {

template <int... LANE>
DLFUSION_INLINE void interleave_pair(Vector& a, Vector& b, Indices<LANE...>) {
  const Vector low = DLFUSION_SHUFFLE(a, b, (LANE / 2 + LANE % 2 * LANES)...);
  const Vector high = DLFUSION_SHUFFLE(a, b, (LANE / 2 + LANE % 2 * LANES + LANES / 2)...);
  a = low;
  b = high;
}

// Replaces S vectors by their elements in the order a[0] b[0] ... a[1] b[1] ...
template <int S>
DLFUSION_INLINE void interleave(Vector (&vectors)[S]) {
  if constexpr (S == 2) {
    interleave_pair(vectors[0], vectors[1], AllLanes());
  } else if constexpr (S > 2) {
    float from[S * LANES];
    float to[S * LANES];
    for (int s = 0; s < S; ++s) store(from + s * LANES, vectors[s]);
    for (int i = 0; i < LANES; ++i) {
      for (int s = 0; s < S; ++s) to[i * S + s] = from[s * LANES + i];
    }
    for (int s = 0; s < S; ++s) vectors[s] = load(to + s * LANES);
  }
}

}  // namespace dlfusion
