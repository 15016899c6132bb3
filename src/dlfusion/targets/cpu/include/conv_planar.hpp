// Direct convolution from a planar tensor into a planar one: vectors run along the width.
//
// The register block is O output channels x V vectors of columns. Every tap loads V vectors of the input and O single
// weights. Weights: [group of O channels][kernel row][input channel][kernel column][O].
//
// Share of peak on a Sapphire Rapids core, rows in the second-level cache: 3x3 12 -> 12 95 %, 1x1 56 -> 12 93 %, 5x5 1 -> 56
// 89 %, 1x1 12 -> 56 78 % (a store and an epilogue for every 12 multiply-adds).
#pragma once
#include "planar_taps.hpp"

namespace dlfusion {

template <int O, int V, class E>
__attribute__((noinline)) void planar_register_block(const PlanarTaps& taps, long column, const float* weights,
                                                     const float* bias, const typename E::Slots& slots, float* output,
                                                     long output_stride, int output_channel) {
  const typename E::Slots local = slots;  // a copy: stores through `output` cannot change it
  Vector sum[O][V];
  DLFUSION_UNROLL
  for (int o = 0; o < O; ++o) {
    const Vector start = broadcast(bias[o]);
    DLFUSION_UNROLL
    for (int v = 0; v < V; ++v) sum[o][v] = start;
  }
  for (int tap = 0; tap < taps.count; ++tap, weights += O) {
    const float* from = taps.tap[tap] + column;
    Vector x[V];
    DLFUSION_UNROLL
    for (int v = 0; v < V; ++v) {
      x[v] = load(from + v * LANES);
      if constexpr (O > 1) keep(x[v]);
    }
    DLFUSION_UNROLL
    for (int o = 0; o < O; ++o) {
      const Vector w = broadcast(weights[o]);
      DLFUSION_UNROLL
      for (int v = 0; v < V; ++v) sum[o][v] += x[v] * w;
    }
  }
  DLFUSION_UNROLL
  for (int o = 0; o < O; ++o) {
    float* channel = output + o * output_stride;
    DLFUSION_UNROLL
    for (int v = 0; v < V; ++v) {
      const long place = column + v * LANES;
      store(channel + place, E::template apply<Planar>(sum[o][v], local, output_channel + o, place));
    }
  }
}

// One segment of V vectors, or of one fewer if it is not `whole`, for O channels from `channel` on.
template <int O, int V, int SHORT, class E>
DLFUSION_INLINE void planar_segment(const PlanarShape& shape, const Call& call, const PlanarTaps& taps,
                                    const typename E::Slots& slots, int channel, float* output_row, long column,
                                    bool whole) {
  const long stored = static_cast<long>(shape.kernel_rows) * shape.channels * shape.columns;
  const float* weights = call.constants + shape.weights + channel * stored + static_cast<long>(taps.skipped) * O;
  const float* bias = call.constants + shape.bias + channel;
  const long stride = call.output->channel_stride;
  float* output = output_row + channel * stride;
  if (whole) planar_register_block<O, V, E>(taps, column, weights, bias, slots, output, stride, channel);
  if constexpr (SHORT != 0) {
    if (!whole) planar_register_block<O, V - 1, E>(taps, column, weights, bias, slots, output, stride, channel);
  }
}

// O x V: the register block. REST: the output channels left over after groups of O (0: none). SHORT: 1 if some segments
// are one vector shorter. Column stride 1, no groups. All channels pass over a segment while its input is in the
// first-level cache.
template <int O, int V, int REST, int SHORT, class E>
void conv_planar(const PlanarShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  const int groups = output.channels / O;
  const int group_begin = call.part.begin(groups + (REST != 0));
  const int group_end = call.part.end(groups + (REST != 0));
  const int cleared = group_end * O < output.channels ? group_end * O : output.channels;
  const int vectors = (output.width + LANES - 1) / LANES;
  const int segments = (vectors + V - 1) / V;
  const int full = SHORT ? vectors - segments * (V - 1) : segments;
  PlanarTaps taps;
  find_offsets(taps, shape, input, 0, input.channels);
  typename E::Slots slots;
  for (int row = call.from; row < call.to; ++row) {
    float* output_row = output.row(row);
    E::at_row(slots, shape.steps, call, row);
    find_taps(taps, input, row * shape.row_stride - shape.pad_top, shape.kernel_rows, shape.row_dilation);
    for (int segment = 0; segment < segments; ++segment) {
      const bool whole = segment < full;
      const long column = static_cast<long>(LANES) * (whole ? segment * V : full * V + (segment - full) * (V - 1));
      for (int group = group_begin; group < group_end; ++group) {
        if (group < groups) {
          planar_segment<O, V, SHORT, E>(shape, call, taps, slots, group * O, output_row, column, whole);
        } else if constexpr (REST != 0) {
          planar_segment<REST, V, SHORT, E>(shape, call, taps, slots, group * O, output_row, column, whole);
        }
      }
    }
    clear_pads(output, output_row, group_begin * O, cleared, 1);
  }
}

}  // namespace dlfusion
