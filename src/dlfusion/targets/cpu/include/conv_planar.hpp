// Convolution and transposed convolution from a planar tensor into a planar one: vectors run along the width.
//
// The register block is O output channels x V vectors of columns. Every tap loads V vectors of the input and O single
// weights. A transposed convolution of column stride S computes S outputs for each input column, one for each phase: they
// are summed as S channels that share the input's loads, and are interleaved when they are stored. A plain convolution
// has one phase.
//
// Weights: [group of O channels][kernel row][input channel][kernel column][O][S].
#pragma once
#include "interleave.hpp"
#include "planar_taps.hpp"

namespace dlfusion {

template <int O, int V, int S, class E>
__attribute__((noinline)) void planar_register_block(const PlanarTaps& taps, long column, const float* weights,
                                                     const float* bias, const typename E::Slots& slots, float* output,
                                                     long output_stride, int output_channel) {
  Vector sum[O * S][V];
  DLFUSION_UNROLL
  for (int o = 0; o < O * S; ++o) {
    const Vector start = broadcast(bias[o / S]);
    DLFUSION_UNROLL
    for (int v = 0; v < V; ++v) sum[o][v] = start;
  }
  for (int tap = 0; tap < taps.count; ++tap, weights += O * S) {
    const float* from = taps.tap[tap] + column;
    Vector x[V];
    DLFUSION_UNROLL
    for (int v = 0; v < V; ++v) x[v] = load(from + v * LANES);
    DLFUSION_UNROLL
    for (int o = 0; o < O * S; ++o) {
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
      Vector phases[S];
      DLFUSION_UNROLL
      for (int s = 0; s < S; ++s) phases[s] = sum[o * S + s][v];
      interleave<S>(phases);
      DLFUSION_UNROLL
      for (int s = 0; s < S; ++s) {
        const long place = (column + v * LANES) * S + s * LANES;
        store(channel + place, E::template apply<Planar>(phases[s], slots, output_channel + o, place));
      }
    }
  }
}

// One segment of V vectors from `column` of the input on, for O channels from `channel` on.
template <int O, int V, int S, class E>
DLFUSION_INLINE void planar_segment(const PlanarShape& shape, const Call& call, const PlanarTaps& taps,
                                    const typename E::Slots& slots, const float* weights, int channel, float* output_row,
                                    long column) {
  const long channel_weights = static_cast<long>(shape.kernel_rows) * shape.channels * shape.columns * S;
  const float* w = weights + channel * channel_weights + static_cast<long>(taps.skipped) * O * S;
  const long stride = call.output->channel_stride;
  planar_register_block<O, V, S, E>(taps, column, w, call.constants + shape.bias + channel, slots,
                                    output_row + channel * stride, stride, channel);
}

// One output row, whose taps start at input row `top`. Segments have V vectors or, where that does not divide, V - 1; all
// channels pass over a segment while its input is in the first-level cache.
template <int O, int V, int REST, int SHORT, int S, class E>
DLFUSION_INLINE void planar_row(const PlanarShape& shape, const Call& call, PlanarTaps& taps, const float* weights, int top,
                                int kernel_rows, int dilation, int row) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  float* output_row = output.row(row);
  typename E::Slots slots;
  E::at_row(slots, shape.steps, call, row);
  const int groups = output.channels / O;
  const int group_begin = call.part.begin(groups + (REST != 0));
  const int group_end = call.part.end(groups + (REST != 0));
  const int vectors = (output.width + LANES * S - 1) / (LANES * S);
  const int segments = (vectors + V - 1) / V;
  const int full = SHORT ? vectors - segments * (V - 1) : segments;
  ChannelRange listed = {-1, -1};
  // Groups that read different channels list their taps anew, so they go outside; else segments do.
  const bool one_list = shape.group_outputs == output.channels;
  const int outer = one_list ? 1 : group_end - group_begin;
  for (int i = 0; i < outer; ++i) {
    const int first = one_list ? group_begin : group_begin + i;
    const int end = one_list ? group_end : first + 1;
    const int end_channel = first * O + O < output.channels ? first * O + O : output.channels;
    const ChannelRange range = input_channels(shape, first * O, end_channel);
    if (range.first != listed.first || range.end != listed.end) {
      find_taps(taps, shape, input, top, kernel_rows, dilation, range.first, range.end);
      listed = range;
    }
    for (int segment = 0; segment < segments; ++segment) {
      const bool whole = segment < full;
      const long column = static_cast<long>(LANES) * (whole ? segment * V : full * V + (segment - full) * (V - 1));
      for (int group = first; group < end; ++group) {
        if (group < groups) {
          if (whole) planar_segment<O, V, S, E>(shape, call, taps, slots, weights, group * O, output_row, column);
          if constexpr (SHORT != 0) {
            if (!whole) planar_segment<O, V - 1, S, E>(shape, call, taps, slots, weights, group * O, output_row, column);
          }
        } else if constexpr (REST != 0) {
          if (whole) planar_segment<REST, V, S, E>(shape, call, taps, slots, weights, group * O, output_row, column);
          if constexpr (SHORT != 0) {
            if (!whole) planar_segment<REST, V - 1, S, E>(shape, call, taps, slots, weights, group * O, output_row, column);
          }
        }
      }
    }
  }
  const int cleared = group_end * O < output.channels ? group_end * O : output.channels;
  clear_pads(output, output_row, group_begin * O, cleared, 1);
}

// O x V: the register block. REST: the output channels left over after groups of O (0: none). SHORT: 1 if some segments
// are one vector shorter. Column stride 1.
template <int O, int V, int REST, int SHORT, class E>
void conv_planar(const PlanarShape& shape, const Call& call) {
  PlanarTaps taps;
  const float* weights = call.constants + shape.weights;
  for (int row = call.from; row < call.to; ++row) {
    planar_row<O, V, REST, SHORT, 1, E>(shape, call, taps, weights, row * shape.row_stride - shape.pad_top,
                                        shape.kernel_rows, shape.row_dilation, row);
  }
}

}  // namespace dlfusion
