// How the weights of a register block are stored, and how they become vectors.
//
// A storage type W offers `size`, the floats of memory that a number of weights takes, and `load`, the vectors of O output
// units from one step of the weights:
//
//   Float32Weights   [O][LANES] floats
//   Bfloat16Weights  [O / 2][LANES] words of 32 bits, each the weights of two output units, and for an odd O [LANES] halves
//
// A bfloat16 is the upper half of a float32, so that widening it is exact. The first unit of a pair is the lower half of
// the word; the second one is the whole word, without a mask: the bits of the first stand where its mantissa goes on, and
// whoever packs weights rounds with them in place (targets/cpu/bfloat16.py). One load and one shift give two vectors.
// Sums stay float32, and so do the multiplications: vdpbf16ps, which multiplies pairs of bfloat16, runs at half the
// rate of float32 multiply-adds on Sapphire Rapids (measured), and without it every AVX-512 and AVX2 machine will do.
//
// Measured share of what reading alone reaches, one core of Sapphire Rapids, fully connected layer from memory: float32
// 97 %, bfloat16 95 %.
#pragma once
#include "vector.hpp"

namespace dlfusion {

struct Float32Weights {
  static constexpr long size(long weights) { return weights; }

  template <int O>
  static DLFUSION_INLINE void load(Vector (&units)[O], const float* from) {
    DLFUSION_UNROLL
    for (int o = 0; o < O; ++o) units[o] = dlfusion::load(from + o * LANES);
  }
};

struct Bfloat16Weights {
  typedef unsigned Words __attribute__((vector_size(LANES * sizeof(unsigned))));
  typedef unsigned StoredWords __attribute__((vector_size(LANES * sizeof(unsigned)), aligned(4), may_alias));
  typedef unsigned short StoredHalves __attribute__((vector_size(LANES * sizeof(unsigned short)), aligned(2), may_alias));

  static constexpr long size(long weights) { return weights / 2; }

  template <int O>
  static DLFUSION_INLINE void load(Vector (&units)[O], const float* from) {
    DLFUSION_UNROLL
    for (int o = 0; o + 1 < O; o += 2) {
      const Words pair = *reinterpret_cast<const StoredWords*>(from + o / 2 * LANES);
      units[o] = reinterpret_cast<Vector>(pair << 16);
      units[o + 1] = reinterpret_cast<Vector>(pair);
    }
    if constexpr (O % 2 != 0) {
      const StoredHalves last = *reinterpret_cast<const StoredHalves*>(from + O / 2 * LANES);
      units[O - 1] = reinterpret_cast<Vector>(__builtin_convertvector(last, Words) << 16);
    }
  }
};

}  // namespace dlfusion
