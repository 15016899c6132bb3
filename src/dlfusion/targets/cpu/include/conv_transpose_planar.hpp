// Transposed convolution from a planar tensor into a planar one, without multiplying by stuffed zeros.
//
// With a column stride of S, output column x belongs to phase x % S, and the outputs of one phase are a plain convolution
// of the input. Vectors run along the input's width. The register block is two output rows x O output channels x S
// phases x V vectors of input columns: all of them share the loads of the input, and the phases are interleaved when they
// are stored. Which phases an input column feeds is known when compiling, so that only products of the kernel are summed.
//
// Weights: [row phase][group of O channels][kernel row][input channel][input column][O][phases that it feeds].
//
// Share of peak on a Sapphire Rapids core, rows in the second-level cache: 9x9 stride 2 56 -> 1 86 % (54 % with one row
// at a time and zeros in the weights: then loads that cross cache lines are the limit), 4x4 stride 2 32 -> 3 87 %.
#pragma once
#include "epilogue.hpp"
#include "interleave.hpp"
#include "phases.hpp"

namespace dlfusion {

struct TransposedPlanarShape {
  int kernel;          // rows of the operator's kernel
  int stored_rows;     // kernel rows of the largest row phase: as many have weights in every phase
  int row_stride;
  int row_dilation;
  int pad_top;
  int origin;          // columns from the first input column that output column 0 reads to input column 0
  long phase_weights;  // floats of one row phase
  long weights;        // offsets into the constants
  long bias;
  EpilogueSteps steps;
};

// For each input column that a phase reads: bit s is set if it feeds phase s.
template <int... PHASES>
struct PhaseColumns {
  static constexpr int products(int phases) { return phases == 0 ? 0 : phases % 2 + products(phases / 2); }
  static constexpr int PRODUCTS = (products(PHASES) + ...);
};

// One input row that the two output rows of a block meet, with the kernel row at which each meets it.
constexpr int MAXIMUM_MEETINGS = 64;
struct Meetings {
  const float* input[MAXIMUM_MEETINGS];
  int kernel_row[MAXIMUM_MEETINGS][2];
  int rows[MAXIMUM_MEETINGS];  // bit r is set if output row r meets it
  int count;
};

// The input rows of `count` output rows, downwards: each output row meets them in the same order in every pairing.
inline void find_meetings(Meetings& found, const Rows& input, int origin, const Phase* phases, int count) {
  int next[2] = {0, 0};
  found.count = 0;
  while (true) {
    int row = input.height;
    for (int r = 0; r < count; ++r) {
      const int reached = phases[r].top + next[r] * phases[r].dilation;
      if (next[r] < phases[r].count && reached < row) row = reached;
    }
    if (row == input.height) return;
    int rows = 0;
    int* kernel_row = found.kernel_row[found.count];
    kernel_row[0] = kernel_row[1] = 0;
    for (int r = 0; r < count; ++r) {
      if (next[r] == phases[r].count || phases[r].top + next[r] * phases[r].dilation != row) continue;
      rows |= 1 << r;
      kernel_row[r] = next[r]++;
    }
    if (row < 0) continue;
    found.input[found.count] = input.row(row) - origin;
    found.rows[found.count++] = rows;
  }
}

// Adds one input column's products to the sums of those of ROWS that are in MEETING, of O channels and PHASES.
template <int O, int V, int ROWS, int S, int MEETING, int PHASES>
DLFUSION_INLINE void transposed_column(Vector (&sum)[ROWS][O * S][V], const float* from, const float* (&weights)[2]) {
  Vector x[V];
  DLFUSION_UNROLL
  for (int v = 0; v < V; ++v) {
    x[v] = load(from + v * LANES);
    keep(x[v]);
  }
  DLFUSION_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    if ((MEETING >> r) % 2 == 0) continue;
    DLFUSION_UNROLL
    for (int o = 0; o < O * S; ++o) {
      if ((PHASES >> o % S) % 2 == 0) continue;
      const Vector w = broadcast(*weights[r]++);
      DLFUSION_UNROLL
      for (int v = 0; v < V; ++v) sum[r][o][v] += x[v] * w;
    }
  }
}

// Adds one input row's products.
template <int O, int V, int ROWS, int S, int MEETING, int... PHASES>
DLFUSION_INLINE void transposed_meeting(Vector (&sum)[ROWS][O * S][V], const float* input, long channel_stride,
                                        int channels, const float* first, const float* second, PhaseColumns<PHASES...>) {
  const float* weights[2] = {first, second};
  for (int channel = 0; channel < channels; ++channel, input += channel_stride) {
    const float* column = input;
    (transposed_column<O, V, ROWS, S, MEETING, PHASES>(sum, column++, weights), ...);
  }
}

// What the register blocks of one pair of output rows have in common.
template <class E>
struct TransposedPass {
  Meetings meetings;
  const float* weights[2];  // of each row's phase
  float* output[2];
  typename E::Slots slots[2];
  int channels;             // of the input
  long input_stride;
  long output_stride;
};

template <int O, int V, int ROWS, int S, class COLUMNS, class E>
__attribute__((noinline)) void transposed_register_block(const TransposedPass<E>& pass, long column, long weights,
                                                         const float* bias, int output_channel) {
  Vector sum[ROWS][O * S][V];
  DLFUSION_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    DLFUSION_UNROLL
    for (int o = 0; o < O * S; ++o) {
      const Vector start = broadcast(bias[o / S]);
      DLFUSION_UNROLL
      for (int v = 0; v < V; ++v) sum[r][o][v] = start;
    }
  }
  const long row_weights = static_cast<long>(pass.channels) * COLUMNS::PRODUCTS * O;
  for (int i = 0; i < pass.meetings.count; ++i) {
    const float* input = pass.meetings.input[i] + column;
    const int rows = pass.meetings.rows[i];
    const float* first = pass.weights[0] + weights + pass.meetings.kernel_row[i][0] * row_weights;
    const float* second = pass.weights[ROWS - 1] + weights + pass.meetings.kernel_row[i][ROWS - 1] * row_weights;
    if (rows == (1 << ROWS) - 1) {
      transposed_meeting<O, V, ROWS, S, (1 << ROWS) - 1>(sum, input, pass.input_stride, pass.channels, first, second,
                                                        COLUMNS());
    } else if constexpr (ROWS == 2) {
      if (rows == 1) {
        transposed_meeting<O, V, ROWS, S, 1>(sum, input, pass.input_stride, pass.channels, first, second, COLUMNS());
      } else {
        transposed_meeting<O, V, ROWS, S, 2>(sum, input, pass.input_stride, pass.channels, first, second, COLUMNS());
      }
    }
  }
  DLFUSION_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    DLFUSION_UNROLL
    for (int o = 0; o < O; ++o) {
      float* channel = pass.output[r] + (output_channel + o) * pass.output_stride;
      DLFUSION_UNROLL
      for (int v = 0; v < V; ++v) {
        Vector phases[S];
        DLFUSION_UNROLL
        for (int s = 0; s < S; ++s) phases[s] = sum[r][o * S + s][v];
        interleave<S>(phases);
        DLFUSION_UNROLL
        for (int s = 0; s < S; ++s) {
          const long place = (column + v * LANES) * S + s * LANES;
          store(channel + place, E::template apply<Planar>(phases[s], pass.slots[r], output_channel + o, place));
        }
      }
    }
  }
}

// One group of O channels of ROWS output rows at one segment, of V vectors or one fewer.
template <int O, int V, int SHORT, int ROWS, int S, class COLUMNS, class E>
DLFUSION_INLINE void transposed_segment(const TransposedPlanarShape& shape, const Call& call, const TransposedPass<E>& pass,
                                        int channel, long column, bool whole) {
  const long weights = static_cast<long>(channel) * shape.stored_rows * pass.channels * COLUMNS::PRODUCTS;
  const float* bias = call.constants + shape.bias + channel;
  if (whole) transposed_register_block<O, V, ROWS, S, COLUMNS, E>(pass, column, weights, bias, channel);
  if constexpr (SHORT != 0) {
    if (!whole) transposed_register_block<O, V - 1, ROWS, S, COLUMNS, E>(pass, column, weights, bias, channel);
  }
}

// ROWS output rows from `row` on.
template <int O, int V, int REST, int SHORT, int ROWS, int S, class COLUMNS, class E>
DLFUSION_INLINE void transposed_rows(const TransposedPlanarShape& shape, const Call& call, TransposedPass<E>& pass,
                                     int row) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  Phase phases[ROWS];
  for (int r = 0; r < ROWS; ++r) {
    phases[r] = transposed_phase(row + r, shape.kernel, shape.row_stride, shape.row_dilation, shape.pad_top);
    pass.weights[r] = call.constants + shape.weights + (row + r) % shape.row_stride * shape.phase_weights;
    pass.output[r] = output.row(row + r);
    E::at_row(pass.slots[r], shape.steps, call, row + r);
  }
  find_meetings(pass.meetings, input, shape.origin, phases, ROWS);
  const int groups = output.channels / O;
  const int group_begin = call.part.begin(groups + (REST != 0));
  const int group_end = call.part.end(groups + (REST != 0));
  const int vectors = (output.width + LANES * S - 1) / (LANES * S);
  const int segments = (vectors + V - 1) / V;
  const int full = SHORT ? vectors - segments * (V - 1) : segments;
  for (int segment = 0; segment < segments; ++segment) {
    const bool whole = segment < full;
    const long column = static_cast<long>(LANES) * (whole ? segment * V : full * V + (segment - full) * (V - 1));
    for (int group = group_begin; group < group_end; ++group) {
      if (group < groups) {
        transposed_segment<O, V, SHORT, ROWS, S, COLUMNS, E>(shape, call, pass, group * O, column, whole);
      } else if constexpr (REST != 0) {
        transposed_segment<REST, V, SHORT, ROWS, S, COLUMNS, E>(shape, call, pass, group * O, column, whole);
      }
    }
  }
  const int cleared = group_end * O < output.channels ? group_end * O : output.channels;
  for (int r = 0; r < ROWS; ++r) clear_pads(output, pass.output[r], group_begin * O, cleared, 1);
}

// O x V: the register block, for both output rows. REST: the output channels left over after groups of O (0: none).
// SHORT: 1 if some segments are one vector shorter. S: the column stride.
template <int O, int V, int REST, int SHORT, int S, class COLUMNS, class E>
void conv_transpose_planar(const TransposedPlanarShape& shape, const Call& call) {
  TransposedPass<E> pass;
  pass.channels = call.inputs[0].channels;
  pass.input_stride = call.inputs[0].channel_stride;
  pass.output_stride = call.output->channel_stride;
  int row = call.from;
  for (; row + 1 < call.to; row += 2) {
    transposed_rows<O, V, REST, SHORT, 2, S, COLUMNS, E>(shape, call, pass, row);
  }
  if (row < call.to) transposed_rows<O, V, REST, SHORT, 1, S, COLUMNS, E>(shape, call, pass, row);
}

}  // namespace dlfusion
