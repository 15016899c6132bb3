// How the weights of a register block are stored, how they become vectors, and what inputs multiply them.
//
// A register block sums in steps. A storage type W offers `CHANNELS`, the input channels of one step; `UNIT`, the floats of
// memory that one pixel of an input unit takes, a step of each after the other; `size`, the floats that a number of weights
// takes; `load`, the vectors of O output units from the weights of one step; `broadcast`, the inputs of one step of one
// pixel; `multiply_add`; and `Inputs`, the rows that broadcasts read. The weights of one step:
//
//   Float32Weights   [O][LANES] floats
//   Bfloat16Weights  [O / 2][LANES] words of 32 bits, each the weights of two output units, and for an odd O [LANES] halves
//   Bfloat16Pairs    [O][LANES] words, each the weights of two input channels (bfloat16_pairs.hpp)
//
// A bfloat16 is the upper half of a float32, so that widening it is exact. The first unit of a pair is the lower half of
// the word; the second one is the whole word, without a mask: the bits of the first stand where its mantissa goes on, and
// whoever packs weights rounds with them in place (targets/cpu/bfloat16.py). One load and one shift give two vectors.
// Sums stay float32, and so do the multiplications, so that every AVX-512 and AVX2 machine will do.
//
// Measured share of what reading alone reaches, one core of Sapphire Rapids, fully connected layer from memory: float32
// 97 %, bfloat16 95 %.
#pragma once
#include "rows.hpp"

namespace dlfusion {

// Which columns of its input rows a kernel reads: `count` from `first` on, or every `step`-th of so many.
struct Columns {
  int first;
  int count;
  int step;
};

// Output rows are taken in tiles whose input rows stay in the second-level cache while all output units pass over them.
constexpr long TILE_FLOATS = 160 * 1024;

DLFUSION_INLINE int tile_rows(const Rows& input, int row_stride) {
  const long floats = input.row_stride * row_stride;
  return floats < TILE_FLOATS ? static_cast<int>(TILE_FLOATS / floats) : 1;
}

// The input's rows as they are. Offers what all `Inputs` do: the layer's input `source`; `rows`, which hold rows
// [first, end) as products read them after `need(first, end)`; and the most output rows that may be computed together, where
// each of them reads a window of so many rows.
struct OwnRows {
  static constexpr bool CONVERTED = false;
  const Rows& source;
  const Rows& rows;

  DLFUSION_INLINE OwnRows(const Call& call, int, const Columns&) : source(call.inputs[0]), rows(source) {}
  DLFUSION_INLINE int tile(int row_stride, int) const { return tile_rows(source, row_stride); }
  DLFUSION_INLINE void need(int, int) const {}
};

// Inputs and products as float32.
struct Float32Products {
  static constexpr int CHANNELS = 1;
  static constexpr int UNIT = LANES;
  using Inputs = OwnRows;

  static DLFUSION_INLINE Vector broadcast(const float* from) { return dlfusion::broadcast(*from); }
  static DLFUSION_INLINE void multiply_add(Vector& sum, Vector value, Vector weight) { sum += value * weight; }
};

struct Float32Weights : Float32Products {
  static constexpr long size(long weights) { return weights; }

  template <int O>
  static DLFUSION_INLINE void load(Vector (&units)[O], const float* from) {
    DLFUSION_UNROLL
    for (int o = 0; o < O; ++o) units[o] = dlfusion::load(from + o * LANES);
  }
};

struct Bfloat16Weights : Float32Products {
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
