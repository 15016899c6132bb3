// Rearrangements between channels and the map: depth to space, space to depth, shuffled channels.
#pragma once
#include "sweep.hpp"

namespace dlfusion {

struct DepthToSpaceShape {
  int block;
  int channel_step;  // input channels from one output channel to the next
  int place_step;    // and from one place in the block to the next, row by row
  EpilogueSteps steps;
};

struct SpaceToDepthShape {
  int block;
  int channel_step;  // output channels from one input channel to the next
  int place_step;    // and from one place in the block to the next, row by row
  EpilogueSteps steps;
};

struct ChannelShuffleShape {
  int groups;
  EpilogueSteps steps;
};

// out[2 x] = even[x], out[2 x + 1] = odd[x].
inline __attribute__((noinline)) void interleave_rows(float* out, const float* even, const float* odd, int width) {
  long x = 0;
  for (; x + LANES <= width; x += LANES) {
    const Vector a = load(even + x);
    const Vector b = load(odd + x);
    store(out + 2 * x, interleave<0>(a, b, AllLanes()));
    store(out + 2 * x + LANES, interleave<LANES / 2>(a, b, AllLanes()));
  }
  for (; x < width; ++x) {
    out[2 * x] = even[x];
    out[2 * x + 1] = odd[x];
  }
}

// out[RUN x + i] = from[x * step + i] for i < RUN.
template <int RUN>
__attribute__((noinline)) void copy_runs(float* __restrict out, const float* __restrict from, long step, int width) {
  for (long x = 0; x < width; ++x) {
    DLFUSION_UNROLL
    for (int i = 0; i < RUN; ++i) out[x * RUN + i] = from[x * step + i];
  }
}

// A row of one planar output channel, by the two ways that networks for super-resolution take; false if neither fits.
// In blocked tensors a pixel's channels lie side by side, often just as the output needs them.
template <class From>
DLFUSION_INLINE bool depth_to_space_fast(const DepthToSpaceShape& shape, float* to, const Rows& input,
                                         const float* source, int channel) {
  const float* first = channel_in<From>(input, source, channel);
  if constexpr (UNIT<From> == 1) {
    if (shape.block != 2) return false;
    interleave_rows(to, first, channel_in<From>(input, source, channel + shape.place_step), input.width);
    return true;
  } else {
    if (shape.place_step != 1 || channel % LANES + shape.block > LANES) return false;
    if (shape.block == 2) copy_runs<2>(to, first, LANES, input.width);
    if (shape.block == 3) copy_runs<3>(to, first, LANES, input.width);
    if (shape.block == 4) copy_runs<4>(to, first, LANES, input.width);
    return shape.block >= 2 && shape.block <= 4;
  }
}

// Output column w * block + x is input column w of other channels, for each x in [0, block).
template <class From, class To, class Epilogue>
void depth_to_space(const DepthToSpaceShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_output_row<To, Epilogue>(shape.steps, call, [&](int row, float* target, const auto& slots, int begin, int end) {
    const float* source = input.row(row / shape.block);
    const int place_row = row % shape.block * shape.block;
    for (int unit = begin; unit < end; ++unit) {
      float* to = target + unit * output.channel_stride;
      bool done = false;
      if constexpr (UNIT<To> == 1) {
        done = depth_to_space_fast<From>(shape, to, input, source,
                                         unit * shape.channel_step + place_row * shape.place_step);
      }
      for (int x = 0; x < shape.block && !done; ++x) {
        const int place = (place_row + x) * shape.place_step;
        permute<To>(to + x * UNIT<To>, shape.block, unit, output.channels, UNIT<From>, input.width,
                    [&](int channel) { return channel_in<From>(input, source, channel * shape.channel_step + place); });
      }
      finish<To, Epilogue>(to, static_cast<long>(output.width) * UNIT<To>, slots, unit);
    }
  });
}

// Output channel (y * block + x) * place_step + c * channel_step is channel c of every block-th input column, from x on,
// in row y of the block. The smaller of both steps is 1.
template <class From, class To, class Epilogue>
void space_to_depth(const SpaceToDepthShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  const bool by_place = shape.channel_step == 1;
  const int larger = by_place ? shape.place_step : shape.channel_step;
  each_output_row<To, Epilogue>(shape.steps, call, [&](int row, float* target, const auto& slots, int begin, int end) {
    for (int unit = begin; unit < end; ++unit) {
      float* to = target + unit * output.channel_stride;
      permute<To>(to, 1, unit, output.channels, static_cast<long>(shape.block) * UNIT<From>, output.width,
                  [&](int channel) {
                    const int slow = channel / larger;
                    const int fast = channel % larger;
                    const int place = by_place ? slow : fast;
                    const float* source = input.row(row * shape.block + place / shape.block);
                    return channel_in<From>(input, source, by_place ? fast : slow) + place % shape.block * UNIT<From>;
                  });
      finish<To, Epilogue>(to, static_cast<long>(output.width) * UNIT<To>, slots, unit);
    }
  });
}

// Output channel i * groups + g is input channel g * (C / groups) + i.
template <class Layout, class Epilogue>
void channel_shuffle(const ChannelShuffleShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  const int group_channels = input.channels / shape.groups;
  each_output_row<Layout, Epilogue>(
      shape.steps, call, [&](int row, float* target, const auto& slots, int begin, int end) {
        const float* source = input.row(row);
        for (int unit = begin; unit < end; ++unit) {
          float* to = target + unit * output.channel_stride;
          permute<Layout>(to, 1, unit, output.channels, UNIT<Layout>, output.width, [&](int channel) {
            return channel_in<Layout>(input, source, channel % shape.groups * group_channels + channel / shape.groups);
          });
          finish<Layout, Epilogue>(to, static_cast<long>(output.width) * UNIT<Layout>, slots, unit);
        }
      });
}

}  // namespace dlfusion
