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
DLFUSION_INLINE void depthwise3x3_block(Vector (&sum)[ROWS][P], const Vector (&weight)[9], const DepthwiseRow* rows, long at) {
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

template <int P, int STRIDE, int ROWS, class Epilogue>
DLFUSION_INLINE void depthwise3x3_rows(const DepthwiseShape& shape, const Call& call, int row) {
  constexpr int INPUT_ROWS = (ROWS - 1) * STRIDE + 3;
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  const int units = unit_count<Blocked>(output);
  const int begin = call.part.begin(units);
  const int end = call.part.end(units);
  const float* source[INPUT_ROWS];
  for (int i = 0; i < INPUT_ROWS; ++i) {
    const int index = row * STRIDE - shape.pad_top + i;
    source[i] = index >= 0 && index < input.height ? input.row(index) - static_cast<long>(shape.pad_left) * LANES : nullptr;
  }
  float* target[ROWS];
  typename Epilogue::Slots slots[ROWS];
  for (int r = 0; r < ROWS; ++r) {
    target[r] = output.row(row + r);
    Epilogue::at_row(slots[r], shape.steps, call, row + r);
  }
  for (int unit = begin; unit < end; ++unit) {
    DepthwiseRow rows[INPUT_ROWS];
    for (int i = 0; i < INPUT_ROWS; ++i) {
      rows[i].data = source[i] ? source[i] + unit * input.channel_stride : DEPTHWISE_ZEROS;
      rows[i].step = source[i] ? LANES : 0;
    }
    float* to[ROWS];
    for (int r = 0; r < ROWS; ++r) to[r] = target[r] + unit * output.channel_stride;
    depthwise3x3_unit<P, STRIDE, ROWS, Epilogue>(to, rows, call.constants + shape.weights + unit * 9L * LANES,
                                                 call.constants + shape.bias + unit * LANES, slots, unit, output.width);
  }
  for (int r = 0; r < ROWS; ++r) clear_pads(output, target[r], begin, end, LANES);
}

// 3x3, no dilation, both strides STRIDE, at least P output columns. Rows go in pairs where a pair shares input rows.
template <int P, int STRIDE, class Epilogue>
void depthwise3x3(const DepthwiseShape& shape, const Call& call) {
  constexpr int ROWS = STRIDE == 1 ? DEPTHWISE_ROWS : 1;
  int row = call.from;
  for (; row + ROWS <= call.to; row += ROWS) depthwise3x3_rows<P, STRIDE, ROWS, Epilogue>(shape, call, row);
  if constexpr (ROWS > 1) {
    for (; row < call.to; ++row) depthwise3x3_rows<P, STRIDE, 1, Epilogue>(shape, call, row);
  }
}

// One channel unit's part of an output row, any kernel: `rows` are the `row_count` input rows inside the map and
// `weights` those of the first of them.
template <int P, class Epilogue>
__attribute__((noinline)) void depthwise_unit(const DepthwiseShape& shape, float* target, const float* const* rows, int row_count,
                                              long unit_offset, const float* weights, const float* bias,
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

// Any kernel, strides and dilations; at least P output columns.
template <int P, class Epilogue>
void depthwise(const DepthwiseShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_output_row<Blocked, Epilogue>(shape.steps, call, [&](int row, float* target, const auto& slots, int begin, int end) {
    const float* rows[DEPTHWISE_KERNEL_ROWS];
    int row_count = 0;
    int first_tap = 0;
    for (int k = 0; k < shape.kernel_height; ++k) {
      const int index = row * shape.stride_height - shape.pad_top + k * shape.dilation_height;
      if (index < 0 || index >= input.height) continue;
      if (row_count == 0) first_tap = k;
      rows[row_count++] = input.row(index) - static_cast<long>(shape.pad_left) * LANES;
    }
    const long taps = static_cast<long>(shape.kernel_height) * shape.kernel_width;
    for (int unit = begin; unit < end; ++unit) {
      const float* weights = call.constants + shape.weights + (unit * taps + first_tap * shape.kernel_width) * LANES;
      depthwise_unit<P, Epilogue>(shape, target + unit * output.channel_stride, rows, row_count, unit * input.channel_stride,
                                  weights, call.constants + shape.bias + unit * LANES, slots, unit, output.width);
    }
  });
}

}  // namespace dlfusion
