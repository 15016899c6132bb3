// One number of all channels, at every place of the map; the output is planar.
#pragma once
#include "channels.hpp"

namespace dlfusion {

struct ReduceChannelsShape {
  float factor;  // what the result is multiplied with
  EpilogueSteps steps;
};

struct SumOfChannels {
  template <class Channels>
  static DLFUSION_INLINE Vector of(const Channels& channels) {
    return channels.sum([](Vector x) { return x; });
  }
};
struct LargestChannel {
  template <class Channels>
  static DLFUSION_INLINE Vector of(const Channels& channels) {
    return channels.largest([](Vector x) { return x; });
  }
};
struct SmallestChannel {
  template <class Channels>
  static DLFUSION_INLINE Vector of(const Channels& channels) {
    return -channels.largest([](Vector x) { return -x; });
  }
};
struct SumOfChannelMagnitudes {
  template <class Channels>
  static DLFUSION_INLINE Vector of(const Channels& channels) {
    return channels.sum([](Vector x) { return absolute(x); });
  }
};
struct SumOfChannelSquares {
  template <class Channels>
  static DLFUSION_INLINE Vector of(const Channels& channels) {
    return channels.sum([](Vector x) { return x * x; });
  }
};
struct NormOfChannels {
  template <class Channels>
  static DLFUSION_INLINE Vector of(const Channels& channels) {
    return square_root(SumOfChannelSquares::of(channels));
  }
};

template <class From, class Reduction, class Epilogue>
void reduce_channels(const ReduceChannelsShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_output_row<Planar, Epilogue>(shape.steps, call, [&](int row, float* target, const auto& slots, int, int) {
    each_place<From>(input, row, [&](const ChannelVectors<From>& channels, long offset) {
      const Vector value = Reduction::of(channels) * shape.factor;
      if constexpr (UNIT<From> > 1) {
        target[offset / LANES] = value[0];
      } else {
        store(target + offset, value);
      }
    });
    finish<Planar, Epilogue>(target, output.width, slots, 0);
  });
}

}  // namespace dlfusion
