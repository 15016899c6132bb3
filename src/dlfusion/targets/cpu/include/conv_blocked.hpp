// Direct convolution from a blocked tensor into a blocked tensor.
//
// A register block is O channel units x P neighbouring pixels of one output row. It sums over input units, kernel rows,
// taps (kernel columns) and the LANES channels of a unit; every step, of one channel, loads O vectors of weights and P
// single input values for O * P multiply-adds.
//
// Weights: [group of O output units][input unit][kernel row][tap][lane][O][LANES], read once and in order for each
// register block; the last two dimensions are stored as W says (weights.hpp). Source of blocking and layout: Georganas et
// al., "Anatomy of High-Performance Deep Learning Convolutions on SIMD Architectures", SC 2018.
//
// With Bfloat16Pairs a step takes two channels; input rows are converted in the scratch memory (bfloat16_pairs.hpp). Share of
// the peak of float32 on a Zen 4 core, warm: 194-216 % on 3x3 and 5x5 layers, strides 1 and 2; of 200 %, padding counted.
#pragma once
#include "bfloat16_pairs.hpp"
#include "epilogue.hpp"
#include "weights.hpp"

namespace dlfusion {

struct ConvShape {
  int kernel_rows;
  int row_stride;
  int row_dilation;
  int pad_top;
  int pad_left;
  int kernel_columns;
  int column_dilation;
  int group_inputs;   // channels of one group of the convolution
  int group_outputs;
  int units;          // input units that weights are stored for, of each group of output units
  int scratch_rows;   // input rows that the scratch memory holds as bfloat16
  long weights;       // offsets into the constants
  long bias;
  EpilogueSteps steps;
};

// Memory that will be needed soon: for each tap that it sums, a register block fetches `lines` cache lines of it into the
// second-level cache. Spread that thinly, the fetches hide behind the arithmetic; hardware prefetchers do not see that far.
struct Ahead {
  const float* from;
  int lines;
};
constexpr int LINE_FLOATS = 16;
constexpr int MAXIMUM_AHEAD = 3;
constexpr int STREAM_DISTANCE = 2048;  // floats; measured

// A register block's way through the input and the weights.
struct ConvWalk {
  const float* const* rows;  // one pointer for each kernel row that lies inside the input
  long column;               // floats from there to the first tap of the block's first pixel
  long unit_stride;
  int units;
  int row_count;
  int taps;
  int tap_stride;
  int last_steps;            // of the channels of the last unit
  long row_skip;             // floats of weights passed over after each kernel row, and after each unit
  long unit_skip;
  Ahead ahead[MAXIMUM_AHEAD];
  int ahead_count;
};

// Sums P pixels of O units; neighbouring inputs lie PIXEL floats apart, neighbouring outputs OUTPUT_PIXEL floats.
template <int O, int P, int PIXEL, int OUTPUT_PIXEL, class E, class W = Float32Weights>
__attribute__((noinline)) void conv_register_block(const ConvWalk& walk, const float* weights, const float* bias,
                                                   const typename E::Slots& slots, float* output, long output_stride,
                                                   int output_unit, long offset) {
  constexpr long STEP_WEIGHTS = W::size(W::CHANNELS * O * LANES);
  long taps_done = 0;
  Vector sum[O][P];
  DLFUSION_UNROLL
  for (int o = 0; o < O; ++o) {
    DLFUSION_UNROLL
    for (int p = 0; p < P; ++p) sum[o][p] = load(bias + o * LANES);
  }
  for (int unit = 0; unit < walk.units; ++unit) {
    const int steps = unit + 1 == walk.units ? walk.last_steps : W::UNIT;
    const long column = walk.column + unit * walk.unit_stride;
    for (int row = 0; row < walk.row_count; ++row) {
      const float* tap = walk.rows[row] + column;
      for (int t = 0; t < walk.taps; ++t, tap += walk.tap_stride, ++taps_done) {
        for (int i = 0; i < walk.ahead_count; ++i) {
          const Ahead& ahead = walk.ahead[i];
          const float* line = ahead.from + taps_done * ahead.lines * LINE_FLOATS;
          for (int k = 0; k < ahead.lines; ++k) __builtin_prefetch(line + k * LINE_FLOATS, 0, 2);
        }
        const float* end = tap + steps;
        for (const float* x = tap; x != end; ++x) {
          Vector w[O];
          W::load(w, weights);
          if constexpr (P == 1) {
            // With one pixel, weights stream from memory faster than hardware prefetchers look ahead.
            constexpr int LINES = (STEP_WEIGHTS + LINE_FLOATS - 1) / LINE_FLOATS;
            DLFUSION_UNROLL
            for (int i = 0; i < LINES; ++i) __builtin_prefetch(weights + i * LINE_FLOATS + STREAM_DISTANCE, 0, 3);
          }
          weights += STEP_WEIGHTS;
          DLFUSION_UNROLL
          for (int p = 0; p < P; ++p) {
            const Vector value = W::broadcast(x + p * PIXEL);
            DLFUSION_UNROLL
            for (int o = 0; o < O; ++o) W::multiply_add(sum[o][p], value, w[o]);
          }
        }
        weights += (W::UNIT - steps) * STEP_WEIGHTS;
      }
      weights += walk.row_skip;
    }
    weights += walk.unit_skip;
  }
  DLFUSION_UNROLL
  for (int o = 0; o < O; ++o) {
    DLFUSION_UNROLL
    for (int p = 0; p < P; ++p) {
      const long place = offset + p * OUTPUT_PIXEL;
      store(output + o * output_stride + place, E::template apply<Blocked>(sum[o][p], slots, output_unit + o, place));
    }
  }
}

// The kernel rows that lie inside the input, with the start of the input row that each meets.
constexpr int MAXIMUM_KERNEL_ROWS = 256;
struct KernelRows {
  const float* row[MAXIMUM_KERNEL_ROWS];
  int first;
  int count;
};

// `top` is the input row that the first of `kernel_rows` meets, the others follow `dilation` rows apart.
DLFUSION_INLINE void find_kernel_rows(KernelRows& found, const Rows& input, int top, int kernel_rows, int dilation) {
  int first = 0;
  while (first < kernel_rows && top + first * dilation < 0) ++first;
  int end = kernel_rows;
  while (end > first && top + (end - 1) * dilation >= input.height) --end;
  found.first = first;
  found.count = end - first;
  for (int i = first; i < end; ++i) found.row[i - first] = input.row(top + i * dilation);
}

// Which input units the output units [unit, unit + count) read.
struct UnitRange {
  int first;
  int end;
  int last_lanes;  // channels of the last of them that exist
};

DLFUSION_INLINE UnitRange input_units(const ConvShape& shape, const Call& call, int unit, int count) {
  const int outputs = call.output->channels;
  const int last_channel = (unit + count) * LANES < outputs ? (unit + count) * LANES - 1 : outputs - 1;
  const int first_input = unit * LANES / shape.group_outputs * shape.group_inputs;
  const int end_input = (last_channel / shape.group_outputs + 1) * shape.group_inputs;
  const int end_unit = (end_input + LANES - 1) / LANES;
  const int exist = call.inputs[0].channels - (end_unit - 1) * LANES;
  return {first_input / LANES, end_unit, exist < LANES ? exist : LANES};
}

// The columns of one output row that a convolution produces, and the taps it produces them from.
struct ConvColumns {
  int count;
  long first_offset;  // floats from output column 0 to the first column produced
  int origin;         // floats from the first tap of that column to input column 0
  int taps;
  int tap_stride;     // floats
  int stored_taps;    // taps that weights are stored for
};

// What to fetch while one output row is computed, each piece a contiguous run of floats.
struct Soon {
  const float* from[MAXIMUM_AHEAD];
  long floats[MAXIMUM_AHEAD];
  int count = 0;

  DLFUSION_INLINE void add(const float* start, long size) {
    from[count] = start;
    floats[count] = size;
    ++count;
  }
};

// One output row of O units from `unit` on, in segments of P pixels or, where the width does not divide, P - 1.
template <int O, int P, int SHORT, int PIXEL, int OUTPUT_PIXEL, class E, class W = Float32Weights>
DLFUSION_INLINE void conv_row(const ConvShape& shape, const Call& call, const Rows& input, const ConvColumns& columns,
                              const KernelRows& rows, const typename E::Slots& slots, const float* all_weights, int unit,
                              float* output_row, const Soon& soon) {
  const UnitRange range = input_units(shape, call, unit, O);
  const long row_weights = columns.stored_taps * W::size(LANES * LANES);  // floats, of one output unit
  const long unit_weights = shape.kernel_rows * row_weights;

  ConvWalk walk;
  walk.rows = rows.row;
  walk.unit_stride = input.channel_stride;
  walk.units = range.end - range.first;
  walk.row_count = rows.count;
  walk.taps = columns.taps;
  walk.tap_stride = columns.tap_stride;
  walk.last_steps = (range.last_lanes + W::CHANNELS - 1) / W::CHANNELS;
  walk.row_skip = (columns.stored_taps - columns.taps) * W::size(O * LANES * LANES);
  walk.unit_skip = O * (unit_weights - rows.count * row_weights);

  const float* weights = all_weights + O * rows.first * row_weights + unit * shape.units * unit_weights;
  const float* bias = call.constants + shape.bias + static_cast<long>(unit) * LANES;
  const long output_stride = call.output->channel_stride;
  float* to = output_row + unit * output_stride;
  const int segments = (columns.count + P - 1) / P;
  const int full = SHORT ? columns.count - segments * (P - 1) : segments;
  const int taps = walk.units * walk.row_count * walk.taps;
  walk.ahead_count = taps > 0 ? soon.count : 0;
  for (int i = 0; i < walk.ahead_count; ++i) {
    walk.ahead[i].lines = static_cast<int>((soon.floats[i] / LINE_FLOATS + segments * taps - 1) / (segments * taps));
  }
  int column = 0;
  for (int segment = 0; segment < segments; ++segment) {
    for (int i = 0; i < walk.ahead_count; ++i) {
      walk.ahead[i].from = soon.from[i] + static_cast<long>(segment) * taps * walk.ahead[i].lines * LINE_FLOATS;
    }
    walk.column = range.first * input.channel_stride - columns.origin + static_cast<long>(column) * PIXEL;
    const long offset = columns.first_offset + static_cast<long>(column) * OUTPUT_PIXEL;
    if (segment < full) {
      conv_register_block<O, P, PIXEL, OUTPUT_PIXEL, E, W>(walk, weights, bias, slots, to, output_stride, unit, offset);
      column += P;
    } else if constexpr (SHORT != 0) {
      conv_register_block<O, P - 1, PIXEL, OUTPUT_PIXEL, E, W>(walk, weights, bias, slots, to, output_stride, unit,
                                                               offset);
      column += P - 1;
    }
  }
}

// Weights of one group of output units that the second-level cache holds beside those in use.
constexpr long LARGEST_FETCH = 192 * 1024;

// The last of the input rows that the next output row reads: the others are in the cache already.
DLFUSION_INLINE void add_input_rows(Soon& soon, const ConvShape& shape, const Rows& input, int next_top) {
  const int last = next_top + (shape.kernel_rows - 1) * shape.row_dilation;
  for (int i = 0; i < 2 && i < shape.row_stride && i < shape.kernel_rows; ++i) {
    if (last - i >= 0 && last - i < input.height) soon.add(input.row(last - i), input.row_stride);
  }
}

// O x P: the register block. REST: the output units left over after groups of O (0: none). SHORT: 1 if some segments are
// one pixel shorter, so that the width divides. STRIDE: of columns.
template <int O, int P, int REST, int SHORT, int STRIDE, class E, class W = Float32Weights>
void conv_blocked(const ConvShape& shape, const Call& call) {
  constexpr int PIXEL = STRIDE * W::UNIT;
  const Rows& output = *call.output;
  const int window_columns = (shape.kernel_columns - 1) * shape.column_dilation + 1;
  const int window_rows = (shape.kernel_rows - 1) * shape.row_dilation + 1;
  typename W::Inputs inputs(call, shape.scratch_rows, {-shape.pad_left, (output.width - 1) * STRIDE + window_columns, 1});
  const Rows& input = inputs.rows;
  const int groups = (output.channels + LANES - 1) / LANES / O;
  const int group_begin = call.part.begin(groups + (REST != 0));
  const int group_end = call.part.end(groups + (REST != 0));
  const float* weights = call.constants + shape.weights;
  const ConvColumns columns = {output.width,         0,
                               shape.pad_left * W::UNIT,        shape.kernel_columns,
                               shape.column_dilation * W::UNIT, shape.kernel_columns};
  const long group_weights =
      static_cast<long>(shape.units) * shape.kernel_rows * shape.kernel_columns * W::size(LANES * LANES * O);
  const int tile = inputs.tile(shape.row_stride, window_rows);
  KernelRows rows;
  typename E::Slots slots;
  for (int from = call.from; from < call.to; from += tile) {
    const int to = from + tile < call.to ? from + tile : call.to;
    for (int group = group_begin; group < group_end; ++group) {
      const int unit = group * O;
      for (int row = from; row < to; ++row) {
        float* output_row = output.row(row);
        const int top = row * shape.row_stride - shape.pad_top;
        if (group == group_begin) inputs.need(top, top + window_rows);
        find_kernel_rows(rows, input, top, shape.kernel_rows, shape.row_dilation);
        E::at_row(slots, shape.steps, call, row);
        Soon soon;
        if (group + 1 < group_end && group_weights <= LARGEST_FETCH) {
          const long share = group_weights / (to - from);
          soon.add(weights + (group + 1) * group_weights + (row - from) * share, share);
        }
        if (group == group_begin && row + 1 < call.to) add_input_rows(soon, shape, inputs.source, top + shape.row_stride);
        if (group < groups) {
          conv_row<O, P, SHORT, PIXEL, LANES, E, W>(shape, call, input, columns, rows, slots, weights, unit, output_row, soon);
        } else if constexpr (REST != 0) {
          conv_row<REST, P, SHORT, PIXEL, LANES, E, W>(shape, call, input, columns, rows, slots, weights, unit, output_row,
                                                       soon);
        }
        clear_pads(output, output_row, unit, group < groups ? unit + O : unit + REST, LANES);
      }
    }
  }
}

}  // namespace dlfusion
