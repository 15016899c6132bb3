// Depthwise convolution, blocked: every channel has a filter of its own. Weights lie [channel unit][kh][kw][LANES].
//
// Share of peak, one core, warm: on Zen 4 3x3 89-97 %, 5x5 103 % (rows in the padding are skipped, but counted), stride 2 65 and
// 83 %; on Sapphire Rapids 3x3 62-80 % (clipping to 6 takes a fifth of the multiply-add slots), 5x5 86-100 %.
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

// Output rows that one pass computes together, where the registers hold their sums and the weights of as many kernel rows:
// they share inputs, and one row alone has too few sums to hide the latency of multiply-adds.
constexpr int DEPTHWISE_ROWS = LANES == 16 ? 2 : 1;

// P neighbouring outputs in each of ROWS rows gain input row `index` of those that they read; `from` is the first column
// that they read of it. Each input is loaded once; all bounds are constants, so that sums and weights stay in registers.
template <int P, int K, int STRIDE, int ROWS>
DLFUSION_INLINE void add_input_row(Vector (&sum)[ROWS][P], const float* from, const float* weights, int index) {
  keep(from);
  Vector weight[ROWS][K];
  DLFUSION_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    DLFUSION_UNROLL
    for (int k = 0; k < K; ++k) {
      const int kernel_row = index - r * STRIDE;
      if (kernel_row >= 0 && kernel_row < K) weight[r][k] = load(weights + (kernel_row * K + k) * LANES);
    }
  }
  DLFUSION_UNROLL
  for (int column = 0; column < (P - 1) * STRIDE + K; ++column) {
    Vector value = load(from + column * LANES);
    keep(value);
    DLFUSION_UNROLL
    for (int r = 0; r < ROWS; ++r) {
      if (index < r * STRIDE || index >= r * STRIDE + K) continue;
      DLFUSION_UNROLL
      for (int k = 0; k < K; ++k) {
        const int p = (column - k) / STRIDE;
        if (column >= k && (column - k) % STRIDE == 0 && p < P) sum[r][p] += value * weight[r][k];
      }
    }
  }
}

// One channel unit's part of ROWS output rows. `rows` are the input rows that they read, null where there is none. The
// last block of P outputs overlaps the one before it.
template <int P, int K, int STRIDE, int ROWS, class Epilogue>
DLFUSION_INLINE void depthwise_rows(float* const* targets, const float* const* rows, long target_offset,
                                    long input_offset, const float* weights, Vector start,
                                    const typename Epilogue::Slots* slots, int unit, int width) {
  typename Epilogue::Slots row_slots[ROWS];  // copies: for all the compiler knows, storing results changes the slots
  float* target[ROWS];
  DLFUSION_UNROLL
  for (int r = 0; r < ROWS; ++r) {
    row_slots[r] = slots[r];
    target[r] = targets[r] + target_offset;
  }
  for (int x = 0; x < width; x += P) {
    const int first = x + P <= width ? x : width - P;
    const long from = input_offset + static_cast<long>(first) * STRIDE * LANES;
    Vector sum[ROWS][P];
    DLFUSION_UNROLL
    for (int i = 0; i < ROWS * P; ++i) sum[i / P][i % P] = start;
    DLFUSION_UNROLL
    for (int i = 0; i < (ROWS - 1) * STRIDE + K; ++i) {
      if (rows[i]) add_input_row<P, K, STRIDE, ROWS>(sum, rows[i] + from, weights, i);
    }
    DLFUSION_UNROLL
    for (int i = 0; i < ROWS * P; ++i) {
      const long offset = static_cast<long>(first + i % P) * LANES;
      store(target[i / P] + offset, Epilogue::template apply<Blocked>(sum[i / P][i % P], row_slots[i / P], unit, offset));
    }
  }
}

// One channel unit's part of `count` output rows; the first of them reads the first K of the input rows `rows`, each of the
// following begins STRIDE input rows further down.
template <int P, int K, int STRIDE, class Epilogue>
__attribute__((noinline)) void depthwise_unit(float* const* targets, const float* const* rows, int count,
                                              long target_offset, long input_offset, const float* weights,
                                              const float* bias, const typename Epilogue::Slots* slots, int unit,
                                              int width) {
  constexpr int ROWS = DEPTHWISE_ROWS;
  const Vector start = load(bias);
  int r = 0;
  for (; r + ROWS <= count; r += ROWS) {
    depthwise_rows<P, K, STRIDE, ROWS, Epilogue>(targets + r, rows + r * STRIDE, target_offset, input_offset, weights,
                                                 start, slots + r, unit, width);
  }
  if constexpr (ROWS > 1) {
    for (; r < count; ++r) {
      depthwise_rows<P, K, STRIDE, 1, Epilogue>(targets + r, rows + r * STRIDE, target_offset, input_offset, weights,
                                                start, slots + r, unit, width);
    }
  }
}

// K x K, no dilation, both strides STRIDE, at least P output columns.
template <int P, int K, int STRIDE, class Epilogue>
void depthwise_square(const DepthwiseShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_row_group<Epilogue>(
      shape.steps, call, [&](int row, int rows, float* const* targets, const auto* slots, int begin, int end) {
        const float* sources[(DEPTHWISE_GROUP - 1) * STRIDE + K];
        const int top = row * STRIDE - shape.pad_top;
        for (int i = 0; i < (rows - 1) * STRIDE + K; ++i) {
          const bool inside = top + i >= 0 && top + i < input.height;
          sources[i] = inside ? input.row(top + i) - static_cast<long>(shape.pad_left) * LANES : nullptr;
        }
        for (int unit = begin; unit < end; ++unit) {
          depthwise_unit<P, K, STRIDE, Epilogue>(
              targets, sources, rows, unit * output.channel_stride, unit * input.channel_stride,
              call.constants + shape.weights + static_cast<long>(unit) * K * K * LANES,
              call.constants + shape.bias + static_cast<long>(unit) * LANES, slots, unit, output.width);
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
