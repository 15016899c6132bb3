// 1x1 convolution without padding or groups into an odd number of half vectors of output channels, such as 24 with 16 lanes;
// blocked tensors.
//
// A whole vector for the last half would be computed for nothing. Instead a vector holds HALF_LANES output channels for two
// neighbouring input channels, in even and odd lanes, and one broadcast of two inputs meets it; even and odd lanes are added
// at the end. A register block is H such halves x P pixels. Weights: [pair of input channels][H][LANES], bias: [H][LANES]
// with zeros in odd lanes. Share of peak on a Sapphire Rapids core, warm: 97 % for 144 -> 24, where whole vectors reach 75 %.
//
// With Bfloat16Pairs a lane holds two input channels instead of one. Share of the peak of float32 on a Zen 4 core, warm: 145 %
// for 144 -> 24; converting the input takes a sixth of the time.
#pragma once
#include "conv_1x1.hpp"
#include "shuffle.hpp"

namespace dlfusion {

constexpr int HALF_LANES = LANES / 2;

typedef long long PairVector __attribute__((vector_size(LANES * sizeof(float))));
typedef long long UnalignedPair __attribute__((aligned(sizeof(float)), may_alias));

// Two neighbouring floats in all even and odd lanes.
DLFUSION_INLINE Vector broadcast_pair(const float* from) {
  return reinterpret_cast<Vector>(PairVector{} + *reinterpret_cast<const UnalignedPair*>(from));
}

// The even (FIRST = 0) or odd (FIRST = 1) lanes of `a`, followed by those of `b`.
template <int FIRST, int... LANE>
DLFUSION_INLINE Vector every_second(Vector a, Vector b, Indices<LANE...>) {
  return DLFUSION_SHUFFLE(a, b, (FIRST + 2 * LANE)...);
}
DLFUSION_INLINE Vector add_pairs(Vector a, Vector b) {
  return every_second<0>(a, b, AllLanes()) + every_second<1>(a, b, AllLanes());
}

// `count` register blocks side by side, the first of them block `first` of the row, at `input` and `offset`.
template <int H, int P, int STRIDE, class E, class W>
__attribute__((noinline)) void half_blocks(const PixelWalk& walk, const float* input, const float* weights,
                                           const float* bias, const typename E::Slots& slots, float* output, long offset,
                                           int first, int count) {
  constexpr int PIXEL = STRIDE * W::UNIT;
  const int pairs = walk.channels / 2;
  const long unit_step = walk.unit_stride - W::UNIT;
  const float* soon_input = walk.input.from + static_cast<long>(first) * pairs * walk.input.advance;
  for (int block = 0; block < count; ++block, input += P * PIXEL, offset += P * LANES) {
    Vector sum[H][P];
    DLFUSION_UNROLL
    for (int h = 0; h < H; ++h) {
      DLFUSION_UNROLL
      for (int p = 0; p < P; ++p) sum[h][p] = load(bias + h * LANES);
    }
    const float* weight = weights;
    const float* pixels = input;
    for (int pair = 1; pair <= pairs; ++pair, weight += H * LANES) {
      __builtin_prefetch(soon_input, 0, 2);
      soon_input += walk.input.advance;
      Vector w[H];
      DLFUSION_UNROLL
      for (int h = 0; h < H; ++h) w[h] = load(weight + h * LANES);
      DLFUSION_UNROLL
      for (int p = 0; p < P; ++p) {
        const Vector values = broadcast_pair(pixels + p * PIXEL);
        DLFUSION_UNROLL
        for (int h = 0; h < H; ++h) W::multiply_add(sum[h][p], values, w[h]);
      }
      pixels += 2 + (unit_step & -static_cast<long>(pair % (W::UNIT / 2) == 0));
    }
    DLFUSION_UNROLL
    for (int h = 0; h < H; h += 2) {
      DLFUSION_UNROLL
      for (int p = 0; p < P; ++p) {
        const int unit = h / 2;
        const long place = offset + p * LANES;
        const Vector value = add_pairs(sum[h][p], sum[h + 1 < H ? h + 1 : h][p]);
        store(output + unit * walk.output_stride + place, E::template apply<Blocked>(value, slots, unit, place));
      }
    }
  }
}

// H x P: the register block; H halves are all output channels. SHORT: 1 if some blocks are one pixel shorter, so that the
// width divides. STRIDE: of columns. The input's channels are a multiple of two steps. W: whose products (weights.hpp).
template <int H, int P, int SHORT, int STRIDE, class E, class W = Float32Weights>
void conv_1x1_halves(const Conv1x1Shape& shape, const Call& call) {
  static_assert(H % 2 == 1, "whole vectors are for conv_1x1");
  constexpr int STEP = W::Inputs::CONVERTED ? 1 : STRIDE;  // conversion takes only the columns that are read
  const Rows& output = *call.output;
  typename W::Inputs inputs(call, shape.scratch_rows, {0, output.width, STRIDE});
  const Rows& input = inputs.rows;
  const float* weights = call.constants + shape.weights;
  const float* bias = call.constants + shape.bias;
  const int blocks = (output.width + P - 1) / P;
  const int full = SHORT ? output.width - blocks * (P - 1) : blocks;
  const int channels = input.channels / W::CHANNELS;
  const long steps = static_cast<long>(blocks) * (channels / 2);
  const long advance = (inputs.source.row_stride + steps - 1) / steps;
  PixelWalk walk = {channels, input.channel_stride, output.channel_stride, 0, {weights, 0}, {weights, 0}};
  typename E::Slots slots;
  // All channels are computed together, so that cores which are to share them share the rows instead.
  const int first = call.from + call.part.begin(call.to - call.from);
  const int end = call.from + call.part.end(call.to - call.from);
  for (int row = first; row < end; ++row) {
    const int input_index = row * shape.row_stride;
    inputs.need(input_index, input_index + 1);
    const float* from = input.row(input_index);
    float* to = output.row(row);
    walk.input = {from, 0};
    if (row + 1 < end) walk.input = {inputs.source.row(input_index + shape.row_stride), advance};
    E::at_row(slots, shape.steps, call, row);
    half_blocks<H, P, STEP, E, W>(walk, from, weights, bias, slots, to, 0, 0, full);
    if constexpr (SHORT != 0) {
      const long done = static_cast<long>(full) * P;
      half_blocks<H, P - 1, STEP, E, W>(walk, from + done * STEP * W::UNIT, weights, bias, slots, to, done * LANES, full,
                                        blocks - full);
    }
    clear_pads(output, to, 0, (H + 1) / 2, LANES);
  }
}

}  // namespace dlfusion
