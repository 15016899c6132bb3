// 1x1 convolution without padding or groups, from a blocked tensor into a blocked tensor: for each row a product of the
// weights with the row's pixels.
//
// A register block is O channel units x P pixels, P * STRIDE columns wide. It sums over the input's channels; each of them
// takes O vectors of weights and P single input values for O * P multiply-adds. Weights: [group of O output units]
// [input channel][O][LANES], stored as W says (weights.hpp), read once and in order for each register block. One loop runs
// over all channels, without a branch where a channel unit ends: cores mispredict the end of an inner loop of 16 rounds,
// which costs up to a tenth (measured). Share of peak on a Sapphire Rapids core, warm: 98-100 % with 96 input channels or
// more, 94 % with 64, 81 % with 16 (where every sixteenth step results are also clipped and stored).
//
// With Bfloat16Pairs a step takes two channels; input rows are converted in the scratch memory (bfloat16_pairs.hpp). Share of
// the peak of float32 on a Zen 4 core, warm: 176-193 % with 64 input channels or more, 147 % for 16 -> 96.
#pragma once
#include "bfloat16_pairs.hpp"
#include "epilogue.hpp"
#include "weights.hpp"

namespace dlfusion {

struct Conv1x1Shape {
  int row_stride;
  int scratch_rows;  // input rows that the scratch memory holds as bfloat16
  long weights;  // offsets into the constants
  long bias;
  EpilogueSteps steps;
};

// Memory that will be needed soon. For each step that it sums, a register block fetches one line, at `from`, into
// the second-level cache and moves on by `advance` floats.
struct SoonRead {
  const float* from;
  long advance;
};

// The way of one row's register blocks through the input and the output.
struct PixelWalk {
  int channels;  // steps of input channels
  long unit_stride;
  long output_stride;
  int output_unit;
  SoonRead weights;
  SoonRead input;
};

// Adds the products of one step: those of P pixels, PIXEL floats apart, with O vectors of weights.
template <int O, int P, int PIXEL, class W>
DLFUSION_INLINE void add_channel(Vector (&sum)[O][P], const float* pixels, const float* weights) {
  Vector weight[O];
  W::load(weight, weights);
  DLFUSION_UNROLL
  for (int p = 0; p < P; ++p) {
    const Vector value = W::broadcast(pixels + p * PIXEL);
    DLFUSION_UNROLL
    for (int o = 0; o < O; ++o) W::multiply_add(sum[o][p], value, weight[o]);
  }
}

// `count` register blocks side by side, the first of them block `first` of the row, at `input` and `offset`. With NEXT,
// the next call reads channels of the same pixels that lie NEXT floats behind: these are fetched, one pixel at each step,
// since pixels that are pages apart, as tiles are, are not foreseen by hardware.
template <int O, int P, int STRIDE, class E, class W, int NEXT = 0>
__attribute__((noinline)) void pixel_blocks(const PixelWalk& walk, const float* input, const float* weights,
                                            const float* bias, const typename E::Slots& slots, float* output,
                                            long offset, int first, int count) {
  constexpr int PIXEL = STRIDE * W::UNIT;
  const long steps = static_cast<long>(first) * walk.channels;
  const long unit_step = walk.unit_stride - W::UNIT;
  const float* soon_weights = walk.weights.from + steps * walk.weights.advance;
  const float* soon_input = walk.input.from + steps * walk.input.advance;
  for (int block = 0; block < count; ++block, input += P * PIXEL, offset += P * LANES) {
    Vector sum[O][P];
    DLFUSION_UNROLL
    for (int o = 0; o < O; ++o) {
      DLFUSION_UNROLL
      for (int p = 0; p < P; ++p) sum[o][p] = load(bias + o * LANES);
    }
    const float* weight = weights;
    const float* pixels = input;
    const float* next = input + NEXT;
    for (int channel = 1; channel <= walk.channels; ++channel, weight += W::size(W::CHANNELS * O * LANES)) {
      if constexpr (O > 1) {  // with one unit there is no next group of them, and loads are scarce
        __builtin_prefetch(soon_weights, 0, 2);
        soon_weights += walk.weights.advance;
      }
      __builtin_prefetch(soon_input, 0, 2);
      soon_input += walk.input.advance;
      const long at_end = -static_cast<long>(channel % W::UNIT == 0);  // of a channel unit: all bits
      if constexpr (NEXT > 0) {
        __builtin_prefetch(next, 0, 3);
        next += PIXEL + ((walk.unit_stride - W::UNIT * PIXEL) & at_end);
      }
      add_channel<O, P, PIXEL, W>(sum, pixels, weight);
      pixels += 1 + (unit_step & at_end);
    }
    DLFUSION_UNROLL
    for (int o = 0; o < O; ++o) {
      DLFUSION_UNROLL
      for (int p = 0; p < P; ++p) {
        const long place = offset + p * LANES;
        store(output + o * walk.output_stride + place,
              E::template apply<Blocked>(sum[o][p], slots, walk.output_unit + o, place));
      }
    }
  }
}

// One output row of O units: blocks of P pixels and, where the width does not divide, of P - 1.
template <int O, int P, int SHORT, int STRIDE, class E, class W>
DLFUSION_INLINE void pixel_row(const PixelWalk& walk, int width, const float* input, const float* weights,
                               const float* bias, const typename E::Slots& slots, float* output) {
  const int blocks = (width + P - 1) / P;
  const int full = SHORT ? width - blocks * (P - 1) : blocks;
  pixel_blocks<O, P, STRIDE, E, W>(walk, input, weights, bias, slots, output, 0, 0, full);
  if constexpr (SHORT != 0) {
    const long done = static_cast<long>(full) * P;
    pixel_blocks<O, P - 1, STRIDE, E, W>(walk, input + done * STRIDE * W::UNIT, weights, bias, slots, output, done * LANES,
                                         full, blocks - full);
  }
}

// The weights that follow are fetched while a group computes, if the second-level cache holds both.
constexpr long PIXEL_FETCH_FLOATS = 192 * 1024;

// O x P: the register block. REST: the output units left over after groups of O (0: none). SHORT: 1 if some blocks are one
// pixel shorter, so that the width divides. STRIDE: of columns.
template <int O, int P, int REST, int SHORT, int STRIDE, class E, class W = Float32Weights>
void conv_1x1(const Conv1x1Shape& shape, const Call& call) {
  constexpr int STEP = W::Inputs::CONVERTED ? 1 : STRIDE;  // conversion takes only the columns that are read
  const Rows& output = *call.output;
  typename W::Inputs inputs(call, shape.scratch_rows, {0, output.width, STRIDE});
  const Rows& input = inputs.rows;
  const int groups = (output.channels + LANES - 1) / LANES / O;
  const int group_begin = call.part.begin(groups + (REST != 0));
  const int group_end = call.part.end(groups + (REST != 0));
  PixelWalk walk;
  walk.channels = (input.channels + W::CHANNELS - 1) / W::CHANNELS;
  walk.unit_stride = input.channel_stride;
  walk.output_stride = output.channel_stride;
  const long group_weights = walk.channels * W::size(W::CHANNELS * LANES * O);
  const long steps = static_cast<long>((output.width + P - 1) / P) * walk.channels;
  const long input_advance = (inputs.source.row_stride + steps - 1) / steps;
  const int tile = inputs.tile(shape.row_stride, 1);
  typename E::Slots slots;
  for (int from = call.from; from < call.to; from += tile) {
    const int to = from + tile < call.to ? from + tile : call.to;
    const long share = group_weights / (to - from);
    const long share_advance = (share + steps - 1) / steps;
    for (int group = group_begin; group < group_end; ++group) {
      walk.output_unit = group * O;
      const float* weights = call.constants + shape.weights + group * group_weights;
      const float* bias = call.constants + shape.bias + static_cast<long>(walk.output_unit) * LANES;
      // Behind the last group lie the constants of the layers that run next.
      const bool continues = group + 1 < group_end || group_end == groups + (REST != 0);
      const bool fetches_weights = continues && group_weights <= PIXEL_FETCH_FLOATS;
      for (int row = from; row < to; ++row) {
        const int input_index = row * shape.row_stride;
        if (group == group_begin) inputs.need(input_index, input_index + 1);
        const float* input_row = input.row(input_index);
        float* output_row = output.row(row);
        float* first_unit = output_row + walk.output_unit * output.channel_stride;
        E::at_row(slots, shape.steps, call, row);
        walk.weights = {weights, 0};
        if (fetches_weights) walk.weights = {weights + group_weights + (row - from) * share, share_advance};
        walk.input = {input_row, 0};
        if (group == group_begin && row + 1 < call.to) {
          walk.input = {inputs.source.row(input_index + shape.row_stride), input_advance};
        }
        if (group < groups) {
          pixel_row<O, P, SHORT, STEP, E, W>(walk, output.width, input_row, weights, bias, slots, first_unit);
          clear_pads(output, output_row, walk.output_unit, walk.output_unit + O, LANES);
        } else if constexpr (REST != 0) {
          pixel_row<REST, P, SHORT, STEP, E, W>(walk, output.width, input_row, weights, bias, slots, first_unit);
          clear_pads(output, output_row, walk.output_unit, walk.output_unit + REST, LANES);
        }
      }
    }
  }
}

}  // namespace dlfusion
