// Direct convolution from a planar tensor into a blocked one: first layers, with few input channels.
//
// The register block is that of conv_blocked.hpp, the input a list of taps. Weights:
// [group of O output units][kernel row][input channel][kernel column][O][LANES].
//
// Share of peak on a Sapphire Rapids core, warm: 7x7 stride 2 3 -> 64 96 %, 11x11 stride 4 3 -> 64 97 %, 5x5 1 -> 64 86 %, 3x3
// 3 -> 64 84 %, 3x3 stride 2 3 -> 32 76 %, 3x3 1 -> 64 68 %: the fewer taps, the more the stores of the output limit it.
#pragma once
#include "planar_taps.hpp"

namespace dlfusion {

template <int O, int P, int STRIDE, class E>
__attribute__((noinline)) void first_register_block(const PlanarTaps& taps, long column, const float* weights,
                                                    const float* bias, const typename E::Slots& slots, float* output,
                                                    long output_stride, int output_unit, long offset) {
  const typename E::Slots local = slots;  // a copy: stores through `output` cannot change it
  Vector sum[O][P];
  DLFUSION_UNROLL
  for (int o = 0; o < O; ++o) {
    DLFUSION_UNROLL
    for (int p = 0; p < P; ++p) sum[o][p] = load(bias + o * LANES);
  }
  for (int tap = 0; tap < taps.count; ++tap, weights += O * LANES) {
    const float* x = taps.tap[tap] + column;
    Vector w[O];
    DLFUSION_UNROLL
    for (int o = 0; o < O; ++o) w[o] = load(weights + o * LANES);
    DLFUSION_UNROLL
    for (int p = 0; p < P; ++p) {
      const Vector value = broadcast(x[p * STRIDE]);
      DLFUSION_UNROLL
      for (int o = 0; o < O; ++o) sum[o][p] += value * w[o];
    }
  }
  DLFUSION_UNROLL
  for (int o = 0; o < O; ++o) {
    DLFUSION_UNROLL
    for (int p = 0; p < P; ++p) {
      const long place = offset + p * LANES;
      store(output + o * output_stride + place, E::template apply<Blocked>(sum[o][p], local, output_unit + o, place));
    }
  }
}

// One output row of O units from `unit` on.
template <int O, int P, int SHORT, int STRIDE, class E>
DLFUSION_INLINE void first_row(const PlanarShape& shape, const Call& call, const PlanarTaps& taps,
                               const typename E::Slots& slots, int unit, float* output_row) {
  const Rows& output = *call.output;
  const long unit_weights = static_cast<long>(shape.kernel_rows) * shape.channels * shape.columns * LANES;
  const float* weights = call.constants + shape.weights + unit * unit_weights + static_cast<long>(taps.skipped) * O * LANES;
  const float* bias = call.constants + shape.bias + static_cast<long>(unit) * LANES;
  float* to = output_row + unit * output.channel_stride;
  const int segments = (output.width + P - 1) / P;
  const int full = SHORT ? output.width - segments * (P - 1) : segments;
  int column = 0;
  for (int segment = 0; segment < segments; ++segment) {
    const long from = static_cast<long>(column) * STRIDE;
    const long offset = static_cast<long>(column) * LANES;
    if (segment < full) {
      first_register_block<O, P, STRIDE, E>(taps, from, weights, bias, slots, to, output.channel_stride, unit, offset);
      column += P;
    } else if constexpr (SHORT != 0) {
      first_register_block<O, P - 1, STRIDE, E>(taps, from, weights, bias, slots, to, output.channel_stride, unit, offset);
      column += P - 1;
    }
  }
  clear_pads(output, output_row, unit, unit + O, LANES);
}

// Parameters as for conv_blocked.
template <int O, int P, int REST, int SHORT, int STRIDE, class E>
void conv_first(const PlanarShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  const int groups = (output.channels + LANES - 1) / LANES / O;
  const int group_begin = call.part.begin(groups + (REST != 0));
  const int group_end = call.part.end(groups + (REST != 0));
  PlanarTaps taps;
  typename E::Slots slots;
  ChannelRange listed = {-1, -1};
  for (int row = call.from; row < call.to; ++row) {
    float* output_row = output.row(row);
    E::at_row(slots, shape.steps, call, row);
    bool found = false;
    for (int group = group_begin; group < group_end; ++group) {
      const int end_channel = (group < groups ? group * O + O : group * O + REST) * LANES;
      const ChannelRange range =
          input_channels(shape, group * O * LANES, end_channel < output.channels ? end_channel : output.channels);
      if (range.first != listed.first || range.end != listed.end) {
        find_offsets(taps, shape, input, range.first, range.end);
        listed = range;
        found = false;
      }
      if (!found) {
        find_taps(taps, input, row * shape.row_stride - shape.pad_top, shape.kernel_rows, shape.row_dilation);
        found = true;
      }
      if (group < groups) {
        first_row<O, P, SHORT, STRIDE, E>(shape, call, taps, slots, group * O, output_row);
      } else if constexpr (REST != 0) {
        first_row<REST, P, SHORT, STRIDE, E>(shape, call, taps, slots, group * O, output_row);
      }
    }
  }
}

}  // namespace dlfusion
