// Depthwise convolution, blocked: every channel has a filter of its own. Weights lie [channel unit][kh][kw][LANES].
#pragma once
#include "sweep.hpp"

namespace dlfusion {

constexpr int DEPTHWISE_KERNEL_ROWS = 32;

struct DepthwiseShape {
  int kernel_height;
  int kernel_width;
  int stride_height;
  int stride_width;
  int pad_top;
  int pad_left;
  int dilation_height;
  int dilation_width;
  long weights;  // offsets into the constants
  long bias;
  EpilogueSteps steps;
};

// One input row as a kernel reads it: column x of it lies at data + x * step. A row outside the input is a few zeros
// with step 0, so that the kernels that keep all weights in registers need no other path at the border.
struct DepthwiseRow {
  const float* data;
  long step;
};

constexpr int DEPTHWISE_ZERO_COLUMNS = 32;
alignas(64) inline constexpr float DEPTHWISE_ZEROS[DEPTHWISE_ZERO_COLUMNS * LANES] = {};

// Output rows that one pass computes together, where the registers hold the weights too: input rows are shared.
constexpr int DEPTHWISE_ROWS = LANES == 16 ? 2 : 1;

// P neighbouring outputs in each of ROWS output rows of a 3x3 kernel. `rows` are the ROWS * STRIDE + 3 - STRIDE input
// rows, `at` the first input column. All loops have constant bounds: the weights and sums live in registers.
template <int P, int STRIDE, int ROWS>
DLFUSION_INLINE void depthwise3x3_block(Vector (&sum)[ROWS][P], const Vector (&weight)[9], const DepthwiseRow* rows,
                                        long at) {
  DLFUSION_UNROLL
  for (int i = 0; i < (ROWS - 1) * STRIDE + 3; ++i) {
    const float* from = rows[i].data + at * rows[i].step;
    DLFUSION_UNROLL
    for (int j = 0; j < (P - 1) * STRIDE + 3; ++j) {
      const Vector value = load(from + j * LANES);
      DLFUSION_UNROLL
      for (int r = 0; r < ROWS; ++r) {
        const int kh = i - r * STRIDE;
        if (kh < 0 || kh > 2) continue;
        DLFUSION_UNROLL
        for (int kw = 0; kw < 3; ++kw) {
          const int p = (j - kw) / STRIDE;
          if (j < kw || (j - kw) % STRIDE != 0 || p >= P) continue;
          sum[r][p] += value * weight[kh * 3 + kw];
        }
      }
    }
  }
}

// One channel unit's part of ROWS output rows. The last block of P outputs overlaps the one before it.
template <int P, int STRIDE, int ROWS, class Epilogue>
__attribute__((noinline)) void depthwise3x3_unit(float* const* targets, const DepthwiseRow* rows, const float* weights,
                                                 const float* bias, const typename Epilogue::Slots* slots, int unit,
                                                 int width) {
  static_assert((P - 1) * STRIDE + 3 <= DEPTHWISE_ZERO_COLUMNS, "the zeros are as wide as a block reads");
  Vector weight[9];
  DLFUSION_UNROLL
  for (int i = 0; i < 9; ++i) weight[i] = load(weights + i * LANES);
  for (int x = 0; x < width; x += P) {
    const int first = x + P <= width ? x : width - P;
    Vector sum[ROWS][P];
    DLFUSION_UNROLL
    for (int i = 0; i < ROWS * P; ++i) sum[i / P][i % P] = load(bias);
    depthwise3x3_block<P, STRIDE, ROWS>(sum, weight, rows, static_cast<long>(first) * STRIDE);
    DLFUSION_UNROLL
    for (int i = 0; i < ROWS * P; ++i) {
      const long offset = static_cast<long>(first + i % P) * LANES;
      store(targets[i / P] + offset, Epilogue::template apply<Blocked>(sum[i / P][i % P], slots[i / P], unit, offset));
    }
  }
}

// Output rows that are computed for one channel unit before the next unit's turn, so that the first-level cache still
// holds the input rows that they share.
constexpr int DEPTHWISE_GROUP = 8;

// Calls body(row, rows, targets, slots, begin, end) for groups of `rows` output rows from `row` on, and clears their
// padding: targets and slots are those of each row, [begin, end) the call's part of the channel units.
template <class Epilogue, class Body>
DLFUSION_INLINE void each_row_group(const EpilogueSteps& steps, const Call& call, const Body& body) {
  const Rows& output = *call.output;
  const int units = unit_count<Blocked>(output);
  const int begin = call.part.begin(units);
  const int end = call.part.end(units);
  for (int row = call.from; row < call.to; row += DEPTHWISE_GROUP) {
    const int rows = call.to - row < DEPTHWISE_GROUP ? call.to - row : DEPTHWISE_GROUP;
    float* targets[DEPTHWISE_GROUP];
    typename Epilogue::Slots slots[DEPTHWISE_GROUP];
    for (int r = 0; r < rows; ++r) {
      targets[r] = output.row(row + r);
      Epilogue::at_row(slots[r], steps, call, row + r);
    }
    body(row, rows, targets, slots, begin, end);
    for (int r = 0; r < rows; ++r) clear_pads(output, targets[r], begin, end, LANES);
  }
}

// 3x3, no dilation, both strides STRIDE, at least P output columns. Rows go in pairs where a pair shares input rows.
template <int P, int STRIDE, class Epilogue>
void depthwise3x3(const DepthwiseShape& shape, const Call& call) {
  constexpr int ROWS = STRIDE == 1 ? DEPTHWISE_ROWS : 1;
  constexpr int INPUT_ROWS = (DEPTHWISE_GROUP - 1) * STRIDE + 3;
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_row_group<Epilogue>(
      shape.steps, call, [&](int row, int rows, float* const* targets, const auto* slots, int begin, int end) {
        const float* sources[INPUT_ROWS];
        const int input_rows = (rows - 1) * STRIDE + 3;
        for (int i = 0; i < input_rows; ++i) {
          const int index = row * STRIDE - shape.pad_top + i;
          const bool inside = index >= 0 && index < input.height;
          sources[i] = inside ? input.row(index) - static_cast<long>(shape.pad_left) * LANES : nullptr;
        }
        for (int unit = begin; unit < end; ++unit) {
          const float* weights = call.constants + shape.weights + unit * 9L * LANES;
          const float* bias = call.constants + shape.bias + static_cast<long>(unit) * LANES;
          DepthwiseRow unit_rows[INPUT_ROWS];
          for (int i = 0; i < input_rows; ++i) {
            unit_rows[i].data = sources[i] ? sources[i] + unit * input.channel_stride : DEPTHWISE_ZEROS;
            unit_rows[i].step = sources[i] ? LANES : 0;
          }
          float* unit_targets[DEPTHWISE_GROUP];
          for (int r = 0; r < rows; ++r) unit_targets[r] = targets[r] + unit * output.channel_stride;
          int r = 0;
          for (; r + ROWS <= rows; r += ROWS) {
            depthwise3x3_unit<P, STRIDE, ROWS, Epilogue>(unit_targets + r, unit_rows + r * STRIDE, weights, bias,
                                                         slots + r, unit, output.width);
          }
          if constexpr (ROWS > 1) {
            for (; r < rows; ++r) {
              depthwise3x3_unit<P, STRIDE, 1, Epilogue>(unit_targets + r, unit_rows + r * STRIDE, weights, bias,
                                                        slots + r, unit, output.width);
            }
          }
        }
      });
}

// One channel unit's part of an output row, any kernel: `rows` are the `row_count` input rows inside the map and
// `weights` those of the first of them.
template <int P, class Epilogue>
__attribute__((noinline)) void depthwise_unit(const DepthwiseShape& shape, float* target, const float* const* rows,
                                              int row_count, long unit_offset, const float* weights, const float* bias,
                                              const typename Epilogue::Slots& slots, int unit, int width) {
  const long distance = static_cast<long>(shape.stride_width) * LANES;
  const long tap_step = static_cast<long>(shape.dilation_width) * LANES;
  for (int x = 0; x < width; x += P) {
    const int first = x + P <= width ? x : width - P;
    Vector sum[P];
    DLFUSION_UNROLL
    for (int p = 0; p < P; ++p) sum[p] = load(bias);
    const float* weight = weights;
    for (int k = 0; k < row_count; ++k) {
      const float* from = rows[k] + unit_offset + first * distance;
      for (int t = 0; t < shape.kernel_width; ++t, from += tap_step, weight += LANES) {
        const Vector factor = load(weight);
        DLFUSION_UNROLL
        for (int p = 0; p < P; ++p) sum[p] += load(from + p * distance) * factor;
      }
    }
    DLFUSION_UNROLL
    for (int p = 0; p < P; ++p) {
      const long offset = static_cast<long>(first + p) * LANES;
      store(target + offset, Epilogue::template apply<Blocked>(sum[p], slots, unit, offset));
    }
  }
}

// The kernel rows of one output row that lie inside the map: their first, and the input rows they meet.
struct DepthwiseTaps {
  int first;
  int count;
  const float* rows[DEPTHWISE_KERNEL_ROWS];
};
DLFUSION_INLINE void find_taps(DepthwiseTaps& taps, const DepthwiseShape& shape, const Rows& input, int row) {
  taps.first = taps.count = 0;
  for (int k = 0; k < shape.kernel_height; ++k) {
    const int index = row * shape.stride_height - shape.pad_top + k * shape.dilation_height;
    if (index < 0 || index >= input.height) continue;
    if (taps.count == 0) taps.first = k;
    taps.rows[taps.count++] = input.row(index) - static_cast<long>(shape.pad_left) * LANES;
  }
}

// Any kernel, strides and dilations; at least P output columns.
template <int P, class Epilogue>
void depthwise(const DepthwiseShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_row_group<Epilogue>(
      shape.steps, call, [&](int row, int rows, float* const* targets, const auto* slots, int begin, int end) {
        DepthwiseTaps taps[DEPTHWISE_GROUP];
        for (int r = 0; r < rows; ++r) find_taps(taps[r], shape, input, row + r);
        for (int unit = begin; unit < end; ++unit) {
          const long unit_offset = unit * input.channel_stride;
          const float* bias = call.constants + shape.bias + static_cast<long>(unit) * LANES;
          for (int r = 0; r < rows; ++r) {
            const long tap_row = static_cast<long>(unit) * shape.kernel_height + taps[r].first;
            const float* weights = call.constants + shape.weights + tap_row * shape.kernel_width * LANES;
            depthwise_unit<P, Epilogue>(shape, targets[r] + unit * output.channel_stride, taps[r].rows, taps[r].count,
                                        unit_offset, weights, bias, slots[r], unit, output.width);
          }
        }
      });
}

}  // namespace dlfusion
