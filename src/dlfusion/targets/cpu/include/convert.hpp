// Copies rows from one layout to another, or to the same with other padding. Neither reads nor writes past the width.
#pragma once
#include "sweep.hpp"

namespace dlfusion {

struct ConvertShape {};

template <class Layout>
DLFUSION_INLINE void copy_unit(float* target, const float* source, int width) {
  const long floats = static_cast<long>(width) * UNIT<Layout>;
  if (floats >= LANES) {
    each_vector(floats, [&](long i) { store(target + i, load(source + i)); });
  } else {
    for (long i = 0; i < floats; ++i) target[i] = source[i];
  }
}

// One vector of channels: `count` of them exist, the others become zero.
inline __attribute__((noinline)) void planar_to_blocked(float* target, const float* source, long channel_stride,
                                                        int count, int width) {
  if (width < LANES) {
    for (int x = 0; x < width; ++x) {
      for (int lane = 0; lane < LANES; ++lane) {
        target[x * LANES + lane] = lane < count ? source[lane * channel_stride + x] : 0.0f;
      }
    }
    return;
  }
  each_vector(width, [&](long x) {
    Vector square[LANES];
    DLFUSION_UNROLL
    for (int lane = 0; lane < LANES; ++lane) {
      square[lane] = lane < count ? load(source + lane * channel_stride + x) : Vector{};
    }
    transpose(square);
    DLFUSION_UNROLL
    for (int i = 0; i < LANES; ++i) store(target + (x + i) * LANES, square[i]);
  });
}

// Channels [begin, end) of one vector of channels.
inline __attribute__((noinline)) void blocked_to_planar(float* target, long channel_stride, const float* source,
                                                        int begin, int end, int width) {
  if (width < LANES) {
    for (int lane = begin; lane < end; ++lane) {
      for (int x = 0; x < width; ++x) target[lane * channel_stride + x] = source[x * LANES + lane];
    }
    return;
  }
  each_vector(width, [&](long x) {
    Vector square[LANES];
    DLFUSION_UNROLL
    for (int i = 0; i < LANES; ++i) square[i] = load(source + (x + i) * LANES);
    transpose(square);
    DLFUSION_UNROLL
    for (int lane = 0; lane < LANES; ++lane) {
      if (lane >= begin && lane < end) store(target + lane * channel_stride + x, square[lane]);
    }
  });
}

template <class From, class To>
void convert(const ConvertShape&, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  const EpilogueSteps no_steps = {};
  each_output_row<To, Epilogue<>>(no_steps, call, [&](int row, float* target, const auto&, int begin, int end) {
    const float* source = input.row(row);
    if constexpr (UNIT<From> == UNIT<To>) {
      for (int unit = begin; unit < end; ++unit) {
        copy_unit<To>(target + unit * output.channel_stride, source + unit * input.channel_stride, output.width);
      }
    } else if constexpr (UNIT<To> > 1) {
      for (int unit = begin; unit < end; ++unit) {
        const int channel = unit * LANES;
        const int count = output.channels - channel < LANES ? output.channels - channel : LANES;
        planar_to_blocked(target + unit * output.channel_stride, source + channel * input.channel_stride,
                          input.channel_stride, count, output.width);
      }
    } else {
      for (int first = begin - begin % LANES; first < end; first += LANES) {
        blocked_to_planar(target + first * output.channel_stride, output.channel_stride,
                          source + first / LANES * input.channel_stride, begin > first ? begin - first : 0,
                          end - first < LANES ? end - first : LANES, output.width);
      }
    }
  });
}

}  // namespace dlfusion
