// Direct convolution into a blocked tensor, from a blocked tensor or, for few input channels, from a planar one.
//
// A register block is O channel units x P neighbouring pixels of one output row. It sums over input units, kernel rows,
// taps (kernel columns) and lanes; every lane step loads O vectors of weights and P single input values, each for O * P
// multiply-adds. What a lane is depends on the input: of a blocked tensor a channel of its unit, of a planar one (whose
// unit is one channel) a kernel column, which is then no tap of its own.
//
// Weights: [group of O output units][input unit][kernel row][tap][lane][O][LANES], read once and in order for each
// register block. Source of blocking and layout: Georganas et al., "Anatomy of High-Performance Deep Learning
// Convolutions on SIMD Architectures", SC 2018.
#pragma once
#include "epilogue.hpp"

namespace dlfusion {

struct ConvShape {
  int kernel_rows;
  int row_stride;
  int row_dilation;
  int pad_top;
  int origin;         // floats from the first tap of output column 0 to input column 0
  int taps;
  int tap_stride;     // floats
  int lanes;          // of every input unit but the tensor's last
  int last_lanes;
  int unit_channels;  // input channels in one unit of the input: LANES or 1
  int group_inputs;   // channels of one group of the convolution
  int group_outputs;
  int units;          // input units that weights are stored for, of each group of output units
  long weights;       // offsets into the constants
  long bias;
  EpilogueSteps steps;
};

// The register block's way through the input and the weights.
struct ConvWalk {
  const float* const* rows;  // one pointer per kernel row that lies inside the input
  long column;               // floats from there to the first tap of the block's first pixel
  long unit_stride;
  int units;
  int rows_count;
  int taps;
  int tap_stride;
  int lanes;
  int last_lanes;
  long skipped_weights;      // floats, for each unit: of the kernel rows outside the input
};

template <int O, int P, int PIXEL, class E>
__attribute__((noinline)) void conv_register_block(const ConvWalk& walk, const float* weights, const float* bias,
                                                   const typename E::Slots& slots, float* output, long output_stride,
                                                   int output_unit, long offset) {
  Vector sum[O][P];
  DLFUSION_UNROLL
  for (int o = 0; o < O; ++o) {
    DLFUSION_UNROLL
    for (int p = 0; p < P; ++p) sum[o][p] = load(bias + o * LANES);
  }
  for (int unit = 0; unit < walk.units; ++unit) {
    const int lanes = unit + 1 == walk.units ? walk.last_lanes : walk.lanes;
    const long column = walk.column + unit * walk.unit_stride;
    for (int row = 0; row < walk.rows_count; ++row) {
      const float* tap = walk.rows[row] + column;
      for (int t = 0; t < walk.taps; ++t, tap += walk.tap_stride) {
        const float* end = tap + lanes;
        for (const float* x = tap; x != end; ++x) {
          Vector w[O];
          DLFUSION_UNROLL
          for (int o = 0; o < O; ++o) w[o] = load(weights + o * LANES);
          weights += O * LANES;
          DLFUSION_UNROLL
          for (int p = 0; p < P; ++p) {
            const Vector value = broadcast(x[p * PIXEL]);
            DLFUSION_UNROLL
            for (int o = 0; o < O; ++o) sum[o][p] += value * w[o];
          }
        }
        weights += (walk.lanes - lanes) * (O * LANES);
      }
    }
    weights += walk.skipped_weights;
  }
  DLFUSION_UNROLL
  for (int o = 0; o < O; ++o) {
    DLFUSION_UNROLL
    for (int p = 0; p < P; ++p) {
      const long place = offset + p * LANES;
      store(output + o * output_stride + place, E::template apply<Blocked>(sum[o][p], slots, output_unit + o, place));
    }
  }
}

// The kernel rows that lie inside the input for one output row, and where their input rows start.
constexpr int MAXIMUM_KERNEL_ROWS = 64;
struct KernelRows {
  const float* row[MAXIMUM_KERNEL_ROWS];
  int first;
  int count;
};

DLFUSION_INLINE KernelRows kernel_rows(const ConvShape& shape, const Rows& input, int output_row) {
  KernelRows result;
  const int top = output_row * shape.row_stride - shape.pad_top;
  int first = 0;
  while (first < shape.kernel_rows && top + first * shape.row_dilation < 0) ++first;
  int end = shape.kernel_rows;
  while (end > first && top + (end - 1) * shape.row_dilation >= input.height) --end;
  result.first = first;
  result.count = end - first;
  for (int i = first; i < end; ++i) result.row[i - first] = input.row(top + i * shape.row_dilation) - shape.origin;
  return result;
}

// One output row of O output units from `unit` on: segments of P pixels or, where the width does not divide, P - 1.
template <int O, int P, int SHORT, int PIXEL, class E>
DLFUSION_INLINE void conv_row(const ConvShape& shape, const Call& call, const KernelRows& rows, const typename E::Slots& slots,
                              int unit, float* output_row) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  const int last_channel = (unit + O) * LANES < output.channels ? (unit + O) * LANES - 1 : output.channels - 1;
  const int first_input = unit * LANES / shape.group_outputs * shape.group_inputs;
  const int end_input = (last_channel / shape.group_outputs + 1) * shape.group_inputs;
  const int first_unit = first_input / shape.unit_channels;
  const int end_unit = (end_input + shape.unit_channels - 1) / shape.unit_channels;
  const int lane_floats = O * LANES;
  const long row_weights = static_cast<long>(shape.taps) * shape.lanes * lane_floats;
  const long unit_weights = shape.kernel_rows * row_weights;
  const bool reaches_last = end_input == input.channels;

  ConvWalk walk;
  walk.rows = rows.row;
  walk.unit_stride = input.channel_stride;
  walk.units = end_unit - first_unit;
  walk.rows_count = rows.count;
  walk.taps = shape.taps;
  walk.tap_stride = shape.tap_stride;
  walk.lanes = shape.lanes;
  walk.last_lanes = reaches_last ? shape.last_lanes : shape.lanes;
  walk.skipped_weights = unit_weights - rows.count * row_weights;

  const float* weights = call.constants + shape.weights + rows.first * row_weights +
                         static_cast<long>(unit) * LANES * shape.units * (unit_weights / lane_floats);
  const float* bias = call.constants + shape.bias + static_cast<long>(unit) * LANES;
  float* to = output_row + unit * output.channel_stride;
  const int segments = (output.width + P - 1) / P;
  const int full = SHORT ? output.width - segments * (P - 1) : segments;
  int column = 0;
  for (int segment = 0; segment < segments; ++segment) {
    walk.column = first_unit * input.channel_stride + static_cast<long>(column) * PIXEL;
    const long offset = static_cast<long>(column) * LANES;
    if (segment < full) {
      conv_register_block<O, P, PIXEL, E>(walk, weights, bias, slots, to, output.channel_stride, unit, offset);
      column += P;
    } else if constexpr (SHORT != 0) {
      conv_register_block<O, P - 1, PIXEL, E>(walk, weights, bias, slots, to, output.channel_stride, unit, offset);
      column += P - 1;
    }
  }
  clear_pads(output, output_row, unit, unit + O, LANES);
}

// Rows are taken in tiles whose input stays in the second-level cache while all output units pass over it.
constexpr long TILE_FLOATS = 160 * 1024;

// O x P: the register block. REST: the output units left over after groups of O (0: none). SHORT: 1 if some segments are
// one pixel shorter, so that the width divides. PIXEL: floats between the inputs of neighbouring outputs.
template <int O, int P, int REST, int SHORT, int PIXEL, class E>
void conv_blocked(const ConvShape& shape, const Call& call) {
  const Rows& output = *call.output;
  const int units = (output.channels + LANES - 1) / LANES;
  const int groups = units / O;
  const int total = groups + (REST != 0);
  const int group_begin = call.part.begin(total);
  const int group_end = call.part.end(total);
  const long input_row = call.inputs[0].row_stride * shape.row_stride;
  const int tile = input_row < TILE_FLOATS ? static_cast<int>(TILE_FLOATS / input_row) : 1;
  for (int from = call.from; from < call.to; from += tile) {
    const int to = from + tile < call.to ? from + tile : call.to;
    for (int group = group_begin; group < group_end; ++group) {
      for (int row = from; row < to; ++row) {
        const KernelRows rows = kernel_rows(shape, call.inputs[0], row);
        typename E::Slots slots;
        E::at_row(slots, shape.steps, call, row);
        if (group < groups) {
          conv_row<O, P, SHORT, PIXEL, E>(shape, call, rows, slots, group * O, output.row(row));
        } else if constexpr (REST != 0) {
          conv_row<REST, P, SHORT, PIXEL, E>(shape, call, rows, slots, group * O, output.row(row));
        }
      }
    }
  }
}

}  // namespace dlfusion
