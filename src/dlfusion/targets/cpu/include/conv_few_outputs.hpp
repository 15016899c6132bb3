// Direct convolution from a blocked tensor into a planar one: last layers, with few output channels.
//
// A blocked output would waste all lanes but a few, so lanes run over the input's channels: a sum is a vector of partial
// sums, one for each lane, of one output at one pixel. The register block is O outputs x P pixels; every tap loads one
// vector of weights for each output and one vector of the input for each pixel. With one output, TAPS neighbouring kernel
// columns share the loads of the pixels that they have in common. At the end a tree of additions turns the sums of LANES
// pixels into one vector of outputs.
//
// Weights: [group of O outputs][input unit][kernel row][kernel column][O][LANES].
//
// Share of peak on a Sapphire Rapids core, rows in the second-level cache: 3x3 64 -> 1 77 % (a blocked output: 6 %), 32 -> 4
// 77 %, 64 -> 3 87 %, 9x9 64 -> 3 97 %; 1x1 64 -> 2 33 %, which is the speed of that cache.
#pragma once
#include "epilogue.hpp"
#include "shuffle.hpp"

namespace dlfusion {

struct FewOutputsShape {
  int kernel_rows;
  int row_stride;
  int row_dilation;
  int pad_top;
  int pad_left;
  int kernel_columns;
  int column_dilation;
  long weights;  // offsets into the constants
  long bias;
  EpilogueSteps steps;
};

constexpr int FEW_OUTPUTS_KERNEL_ROWS = 32;

// What one output row reads and writes.
template <class E>
struct FewOutputsRow {
  const float* input[FEW_OUTPUTS_KERNEL_ROWS];  // each kernel row that lies inside the input, from the first tap on
  int count;
  long skipped;                                 // floats of one output's weights for the kernel rows before those
  float* output;
  typename E::Slots slots;
};

// The way through the input that all rows share.
struct FewOutputsWalk {
  int units;
  long unit_stride;
  int last_lanes;        // channels of the last unit
  int column_groups;     // of TAPS kernel columns each
  long column_stride;    // floats from one group to the next
  long unit_weights;     // floats of one output's weights for one input unit, and for all of them
  long output_weights;
};

// The sums of two neighbouring pixels, or groups of STEP pixels, as one vector: in each pair of lanes STEP apart, the
// first gets the pair's sum of `a`, the second that of `b`.
template <int STEP, int... LANE>
DLFUSION_INLINE Vector fold(Vector a, Vector b, Indices<LANE...>) {
  const Vector straight = DLFUSION_SHUFFLE(a, b, ((LANE & STEP) != 0 ? LANE + LANES : LANE)...);
  const Vector crossed = DLFUSION_SHUFFLE(a, b, ((LANE & STEP) != 0 ? LANE - STEP + LANES : LANE + STEP)...);
  return straight + crossed;
}

// Folds COUNT vectors, whose pixels are STEP lanes apart, into the first one.
template <int COUNT, int STEP>
DLFUSION_INLINE void fold_all(Vector (&vectors)[COUNT]) {
  if constexpr (COUNT > 1) {
    Vector folded[COUNT / 2];
    DLFUSION_UNROLL
    for (int i = 0; i < COUNT / 2; ++i) folded[i] = fold<STEP>(vectors[2 * i], vectors[2 * i + 1], AllLanes());
    fold_all<COUNT / 2, 2 * STEP>(folded);
    vectors[0] = folded[0];
  }
}

// Adds the products of TAPS neighbouring kernel columns. Lanes that have no channel may hold anything: `exists` leaves
// them out.
template <int O, int P, int TAPS, int PIXEL, bool PARTIAL>
DLFUSION_INLINE void few_outputs_taps(Vector (&sum)[O][P], const float* from, const float* weights, IntVector exists) {
  Vector w[TAPS][O];
  DLFUSION_UNROLL
  for (int t = 0; t < TAPS; ++t) {
    DLFUSION_UNROLL
    for (int o = 0; o < O; ++o) w[t][o] = load(weights + (t * O + o) * LANES);
  }
  DLFUSION_UNROLL
  for (int i = 0; i < P + TAPS - 1; ++i) {
    Vector x = load(from + i * PIXEL);
    if constexpr (PARTIAL) x = exists ? x : Vector{};
    if constexpr (O * TAPS > 1) keep(x);
    DLFUSION_UNROLL
    for (int t = 0; t < TAPS; ++t) {
      if (i < t || i - t >= P) continue;
      DLFUSION_UNROLL
      for (int o = 0; o < O; ++o) sum[o][i - t] += x * w[t][o];
    }
  }
}

template <int O, int P, int TAPS, int PIXEL, bool PARTIAL, class E>
DLFUSION_INLINE void few_outputs_unit(Vector (&sum)[O][P], const FewOutputsWalk& walk, const FewOutputsRow<E>& row,
                                      long offset, const float* weights, IntVector exists) {
  for (int k = 0; k < row.count; ++k) {
    const float* from = row.input[k] + offset;
    for (int group = 0; group < walk.column_groups; ++group, from += walk.column_stride) {
      few_outputs_taps<O, P, TAPS, PIXEL, PARTIAL>(sum, from, weights, exists);
      weights += TAPS * O * LANES;
    }
  }
}

// Sums P pixels from the input's `offset` on, folded into one vector for each output.
template <int O, int P, int TAPS, int PIXEL, bool PARTIAL, class E>
__attribute__((noinline)) void few_outputs_block(const FewOutputsWalk& walk, const FewOutputsRow<E>& row, long offset,
                                                 const float* weights, Vector (&folded)[O]) {
  Vector sum[O][P] = {};
  const int whole = PARTIAL ? walk.units - 1 : walk.units;
  for (int unit = 0; unit < whole; ++unit, offset += walk.unit_stride, weights += O * walk.unit_weights) {
    few_outputs_unit<O, P, TAPS, PIXEL, false>(sum, walk, row, offset, weights, IntVector{});
  }
  if constexpr (PARTIAL) {
    const IntVector exists = lane_numbers(AllLanes()) < walk.last_lanes;
    few_outputs_unit<O, P, TAPS, PIXEL, true>(sum, walk, row, offset, weights, exists);
  }
  DLFUSION_UNROLL
  for (int o = 0; o < O; ++o) {
    fold_all<P, 1>(sum[o]);
    folded[o] = sum[o][0];
  }
}

// O outputs of one row, from output `channel` on, at LANES pixels from `column` on.
template <int O, int P, int TAPS, int PIXEL, bool PARTIAL, class E>
DLFUSION_INLINE void few_outputs_segment(const FewOutputsShape& shape, const Call& call, const FewOutputsWalk& walk,
                                         const FewOutputsRow<E>& row, int channel, long column) {
  const float* weights = call.constants + shape.weights + channel * walk.output_weights + row.skipped * O;
  const float* bias = call.constants + shape.bias + channel;
  Vector folded[LANES / P][O];
  for (int i = 0; i < LANES / P; ++i) {
    few_outputs_block<O, P, TAPS, PIXEL, PARTIAL>(walk, row, (column + i * P) * PIXEL, weights, folded[i]);
  }
  DLFUSION_UNROLL
  for (int o = 0; o < O; ++o) {
    Vector parts[LANES / P];
    DLFUSION_UNROLL
    for (int i = 0; i < LANES / P; ++i) parts[i] = folded[i][o];
    fold_all<LANES / P, P>(parts);
    const Vector result = parts[0] + broadcast(bias[o]);
    float* output = row.output + (channel + o) * call.output->channel_stride;
    store(output + column, E::template apply<Planar>(result, row.slots, channel + o, column));
  }
}

// Where output row `index` lies, and the input rows that it meets.
template <class E>
DLFUSION_INLINE void find_few_outputs_row(FewOutputsRow<E>& row, const FewOutputsShape& shape, const Call& call,
                                          int index) {
  const Rows& input = call.inputs[0];
  const int top = index * shape.row_stride - shape.pad_top;
  int first = 0;
  while (first < shape.kernel_rows && top + first * shape.row_dilation < 0) ++first;
  row.skipped = static_cast<long>(first) * shape.kernel_columns * LANES;
  row.count = 0;
  for (int k = first; k < shape.kernel_rows && top + k * shape.row_dilation < input.height; ++k) {
    row.input[row.count++] = input.row(top + k * shape.row_dilation) - static_cast<long>(shape.pad_left) * LANES;
  }
  row.output = call.output->row(index);
  E::at_row(row.slots, shape.steps, call, index);
}

// O x P: the register block. REST: the outputs left over after groups of O (0: none). TAPS: kernel columns that share
// loads; they divide the kernel's. STRIDE: of columns. PARTIAL: whether the last input unit has fewer channels than lanes.
template <int O, int P, int REST, int TAPS, int STRIDE, bool PARTIAL, class E>
void conv_few_outputs(const FewOutputsShape& shape, const Call& call) {
  constexpr int PIXEL = STRIDE * LANES;
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  const int groups = output.channels / O;
  const int group_begin = call.part.begin(groups + (REST != 0));
  const int group_end = call.part.end(groups + (REST != 0));
  const int cleared = group_end * O < output.channels ? group_end * O : output.channels;
  FewOutputsWalk walk;
  walk.units = (input.channels + LANES - 1) / LANES;
  walk.unit_stride = input.channel_stride;
  walk.last_lanes = input.channels - (walk.units - 1) * LANES;
  walk.column_groups = shape.kernel_columns / TAPS;
  walk.column_stride = static_cast<long>(TAPS) * shape.column_dilation * LANES;
  walk.unit_weights = static_cast<long>(shape.kernel_rows) * shape.kernel_columns * LANES;
  walk.output_weights = walk.units * walk.unit_weights;
  FewOutputsRow<E> row;
  for (int index = call.from; index < call.to; ++index) {
    find_few_outputs_row(row, shape, call, index);
    for (long column = 0; column < output.width; column += LANES) {
      for (int group = group_begin; group < group_end; ++group) {
        if (group < groups) {
          few_outputs_segment<O, P, TAPS, PIXEL, PARTIAL>(shape, call, walk, row, group * O, column);
        } else if constexpr (REST != 0) {
          few_outputs_segment<REST, P, TAPS, PIXEL, PARTIAL>(shape, call, walk, row, group * O, column);
        }
      }
    }
    clear_pads(output, row.output, group_begin * O, cleared, 1);
  }
}

}  // namespace dlfusion
