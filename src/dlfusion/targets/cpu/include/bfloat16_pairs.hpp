// Products of bfloat16: vdpbf16ps multiplies two neighbouring input channels by their weights and adds both products to a
// float32 sum, in every lane.
//
// Weights are packed as words of 32 bits, each the weights of two input channels for one output lane. Inputs are float32 in
// memory, as everywhere: the rows that a call needs are converted into its scratch memory, once for all output units, so that
// two channels of a pixel are one word to broadcast. A register block is that of float32 (weights.hpp), with half the steps.
// Both are rounded to the nearest bfloat16, of two equally near ones the even one; denormals count as zero, NaN and infinity
// stay what they are.
//
// vdpbf16ps issues as often as a float32 multiply-add of 512 bits on Zen 4: it reaches 234 GFLOP/s there, twice as much, in
// every register block of 14 sums or more (measured). On Sapphire Rapids it reaches half the rate of float32 (measured), so
// that instruction sets with it are chosen by processor (targets/cpu/isa.py). Converting takes 2 cycles for a vector of 16 on
// Zen 4, stores being the limit.
#pragma once
#include "weights.hpp"

#if defined(__AVX512BF16__)  // compilers for other processors do not know the registers

namespace dlfusion {

// Two vectors as bfloat16, those of `first` before those of `second`.
DLFUSION_INLINE Vector narrowed(Vector first, Vector second) {
  Vector halves;
  asm("vcvtne2ps2bf16 %1, %2, %0" : "=v"(halves) : "v"(first), "v"(second));
  return halves;
}

// Keeps the first `count` lanes; the others become zero, whatever they hold.
DLFUSION_INLINE Vector first_lanes(Vector value, int count) {
  IntVector lane;
  DLFUSION_UNROLL
  for (int i = 0; i < LANES; ++i) lane[i] = i;
  return reinterpret_cast<Vector>(reinterpret_cast<IntVector>(value) & (lane < IntVector{} + count));
}

// Rows of a blocked tensor as bfloat16 in a call's scratch memory, [row][channel unit][column][LANES / 2 words]: a ring of
// `capacity` rows, which are converted when they are needed first. Lanes past the last channel become zero.
struct NarrowedRows {
  static constexpr bool CONVERTED = true;
  static constexpr int UNIT = LANES / 2;
  const Rows& source;
  Rows rows;
  Columns columns;
  int done = 0;  // rows before this one were needed before

  DLFUSION_INLINE NarrowedRows(const Call& call, int capacity, const Columns& read)
      : source(call.inputs[0]), rows(source), columns(read) {
    const long units = (source.channels + LANES - 1) / LANES;
    rows.capacity = capacity;
    rows.channel_stride = (columns.count + 1L) / 2 * LANES;  // columns are converted in pairs
    rows.row_stride = units * rows.channel_stride;
    rows.data = call.scratch - static_cast<long>(columns.first) * UNIT;
  }

  DLFUSION_INLINE int tile(int row_stride, int window_rows) const { return (rows.capacity - window_rows) / row_stride + 1; }

  // Rows are needed in ascending order, those of padding too.
  DLFUSION_INLINE void need(int first, int end) {
    const int last = end < source.height ? end : source.height;
    for (int row = first > done ? first : done; row < last; ++row) convert(row);
    done = last > done ? last : done;
  }

 private:
  __attribute__((noinline)) void convert(int row) const {
    const long column = static_cast<long>(columns.step) * LANES;
    for (int channel = 0; channel < source.channels; channel += LANES) {
      const long unit = channel / LANES;
      const float* from = source.row(row) + unit * source.channel_stride + static_cast<long>(columns.first) * LANES;
      float* to = rows.row(row) + unit * rows.channel_stride + static_cast<long>(columns.first) * UNIT;
      const int exist = source.channels - channel;
      if (exist >= LANES) {
        convert_unit(to, from, column, [](Vector value) { return value; });
      } else {
        convert_unit(to, from, column, [exist](Vector value) { return first_lanes(value, exist); });
      }
    }
  }

  template <class Mask>
  DLFUSION_INLINE void convert_unit(float* to, const float* from, long column, const Mask& mask) const {
    const int pairs = columns.count / 2;
    for (int pair = 0; pair < pairs; ++pair, from += 2 * column, to += LANES) {
      store(to, narrowed(mask(load(from)), mask(load(from + column))));
    }
    if (columns.count % 2 != 0) store(to, narrowed(mask(load(from)), Vector{}));
  }
};

struct Bfloat16Pairs {
  static constexpr int CHANNELS = 2;
  static constexpr int UNIT = NarrowedRows::UNIT;
  using Inputs = NarrowedRows;

  static constexpr long size(long weights) { return weights / 2; }

  template <int O>
  static DLFUSION_INLINE void load(Vector (&units)[O], const float* from) {
    Float32Weights::load(units, from);
  }

  static DLFUSION_INLINE Vector broadcast(const float* from) {
    typedef int Word __attribute__((may_alias));
    return reinterpret_cast<Vector>(IntVector{} + *reinterpret_cast<const Word*>(from));
  }

  static DLFUSION_INLINE void multiply_add(Vector& sum, Vector value, Vector weight) {
    asm("vdpbf16ps %2, %1, %0" : "+v"(sum) : "v"(value), "v"(weight));
  }
};

}  // namespace dlfusion

#endif
