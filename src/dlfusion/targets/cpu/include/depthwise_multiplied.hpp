// Depthwise convolution with M filters for each channel, blocked: output channel c * M + m is input channel c under its
// filter m. Weights lie [input channel unit][kh][kw][M][LANES], biases [input channel unit][M][LANES].
//
// The M outputs of a unit's lanes are computed side by side, so that each input is loaded once, and interleaved at the end.
#pragma once
#include "depthwise.hpp"
#include "interleave.hpp"

namespace dlfusion {

// What one input channel unit makes of an output row: channel units unit * M, unit * M + 1, ..., of which those in
// [begin, end) are stored. `rows` are the `row_count` input rows inside the map and `weights` those of the first of them.
template <int P, int M, class Epilogue>
__attribute__((noinline)) void multiplied_unit(const DepthwiseShape& shape, float* target, long target_stride,
                                               const float* const* rows, int row_count, long unit_offset,
                                               const float* weights, const float* bias,
                                               const typename Epilogue::Slots& slots, int unit, int begin, int end,
                                               int width) {
  const long distance = static_cast<long>(shape.stride_width) * LANES;
  const long tap_step = static_cast<long>(shape.dilation_width) * LANES;
  for (int x = 0; x < width; x += P) {
    const int first = x + P <= width ? x : width - P;
    Vector sum[P][M];
    DLFUSION_UNROLL
    for (int i = 0; i < P * M; ++i) sum[i / M][i % M] = load(bias + i % M * LANES);
    const float* weight = weights;
    for (int k = 0; k < row_count; ++k) {
      const float* from = rows[k] + unit_offset + first * distance;
      for (int t = 0; t < shape.kernel_width; ++t, from += tap_step, weight += M * LANES) {
        Vector factor[M];
        DLFUSION_UNROLL
        for (int m = 0; m < M; ++m) factor[m] = load(weight + m * LANES);
        DLFUSION_UNROLL
        for (int p = 0; p < P; ++p) {
          Vector value = load(from + p * distance);
          keep(value);
          DLFUSION_UNROLL
          for (int m = 0; m < M; ++m) sum[p][m] += value * factor[m];
        }
      }
    }
    DLFUSION_UNROLL
    for (int p = 0; p < P; ++p) {
      const long offset = static_cast<long>(first + p) * LANES;
      interleave(sum[p]);
      DLFUSION_UNROLL
      for (int m = 0; m < M; ++m) {
        const int made = unit * M + m;
        if (made < begin || made >= end) continue;
        store(target + made * target_stride + offset, Epilogue::template apply<Blocked>(sum[p][m], slots, made, offset));
      }
    }
  }
}

// Any kernel, strides and dilations; at least P output columns.
template <int P, int M, class Epilogue>
void depthwise_multiplied(const DepthwiseShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_row_group<Epilogue>(
      shape.steps, call, [&](int row, int rows, float* const* targets, const auto* slots, int begin, int end) {
        DepthwiseTaps taps[DEPTHWISE_GROUP];
        for (int r = 0; r < rows; ++r) find_taps(taps[r], shape, input, row + r);
        for (int unit = begin / M; unit * M < end; ++unit) {
          const float* bias = call.constants + shape.bias + static_cast<long>(unit) * M * LANES;
          for (int r = 0; r < rows; ++r) {
            const long tap_row = static_cast<long>(unit) * shape.kernel_height + taps[r].first;
            const float* weights = call.constants + shape.weights + tap_row * shape.kernel_width * M * LANES;
            multiplied_unit<P, M, Epilogue>(shape, targets[r], output.channel_stride, taps[r].rows, taps[r].count,
                                            unit * input.channel_stride, weights, bias, slots[r], unit, begin, end,
                                            output.width);
          }
        }
      });
}

}  // namespace dlfusion
