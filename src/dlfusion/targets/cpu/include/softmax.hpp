// Softmax over channels, at every place of the map.
#pragma once
#include "sweep.hpp"

namespace dlfusion {

struct SoftmaxShape {
  EpilogueSteps steps;
};

// One pixel, whose `units` vectors of channels are `stride` floats apart; the last of them has `tail` channels.
DLFUSION_INLINE void softmax_pixel(float* target, long target_stride, const float* source, long stride, int units,
                                   int tail) {
  const IntVector missing = lane_numbers(AllLanes()) >= tail;
  const Vector lowest = broadcast(-__builtin_inff());
  const long last = static_cast<long>(units - 1);
  Vector largest = missing ? lowest : load(source + last * stride);
  const Vector tail_values = largest;
  for (int unit = 0; unit < last; ++unit) largest = at_least(load(source + unit * stride), largest);
  const Vector maximum = broadcast(largest_lane(largest));
  const Vector tail_powers = missing ? Vector{} : exponential(tail_values - maximum);
  Vector total = tail_powers;
  for (int unit = 0; unit < last; ++unit) {
    const Vector power = exponential(load(source + unit * stride) - maximum);
    store(target + unit * target_stride, power);
    total += power;
  }
  const Vector factor = broadcast(1.0f / sum_of_lanes(total));
  for (int unit = 0; unit < last; ++unit) {
    float* to = target + unit * target_stride;
    store(to, load(to) * factor);
  }
  store(target + last * target_stride, tail_powers * factor);
}

// LANES neighbouring pixels, whose channels are `stride` floats apart.
DLFUSION_INLINE void softmax_columns(float* target, long target_stride, const float* source, long stride,
                                     int channels) {
  Vector largest = load(source);
  for (int c = 1; c < channels; ++c) largest = at_least(load(source + c * stride), largest);
  Vector total = {};
  for (int c = 0; c < channels; ++c) {
    const Vector power = exponential(load(source + c * stride) - largest);
    store(target + c * target_stride, power);
    total += power;
  }
  const Vector factor = 1.0f / total;
  for (int c = 0; c < channels; ++c) {
    float* to = target + c * target_stride;
    store(to, load(to) * factor);
  }
}

// Not cut by channels: call.part is the whole.
template <class Layout, class Epilogue>
void softmax(const SoftmaxShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_output_row<Layout, Epilogue>(shape.steps, call, [&](int row, float* target, const auto& slots, int, int units) {
    const float* source = input.row(row);
    if constexpr (UNIT<Layout> > 1) {
      const int tail = output.channels - (units - 1) * LANES;
      for (long x = 0; x < output.width; ++x) {
        softmax_pixel(target + x * LANES, output.channel_stride, source + x * LANES, input.channel_stride, units, tail);
      }
    } else {
      each_vector(output.width, [&](long x) {
        softmax_columns(target + x, output.channel_stride, source + x, input.channel_stride, output.channels);
      });
    }
    for (int unit = 0; unit < units; ++unit) {
      finish<Layout, Epilogue>(target + unit * output.channel_stride, static_cast<long>(output.width) * UNIT<Layout>,
                               slots, unit);
    }
  });
}

}  // namespace dlfusion
