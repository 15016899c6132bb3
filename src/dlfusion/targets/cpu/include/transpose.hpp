// Another order of the axes of an image.
#pragma once
#include "sweep.hpp"

namespace dlfusion {

struct TransposeShape {
  int order[3];  // the input's axis (1: channels, 2: rows, 3: columns) that output channels, rows and columns are
  EpilogueSteps steps;
};

// Copies to every `out_step`-th float the input's elements from (channel, row, column) on, along `axis`. All rows of the
// input are there, so that they lie one after the other.
template <class From>
DLFUSION_INLINE void copy_along(int axis, float* out, long out_step, const Rows& input, const int (&place)[4], int count) {
  const float* from = channel_in<From>(input, input.row(place[2]), place[1]) + static_cast<long>(place[3]) * UNIT<From>;
  if (axis == 3) {
    copy_strided(out, out_step, from, UNIT<From>, count);
  } else if (axis == 2) {
    copy_strided(out, out_step, from, input.row_stride, count);
  } else if constexpr (UNIT<From> == 1) {
    copy_strided(out, out_step, from, input.channel_stride, count);
  } else {
    for (int i = 0; i < count; i += LANES) {
      copy_strided(out + i * out_step, out_step, from + i / LANES * input.channel_stride, 1,
                   count - i < LANES ? count - i : LANES);
    }
  }
}

template <class From, class To, class Epilogue>
void transpose_axes(const TransposeShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_output_row<To, Epilogue>(shape.steps, call, [&](int row, float* target, const auto& slots, int begin, int end) {
    const int past = end * UNIT<To> < output.channels ? end * UNIT<To> : output.channels;
    for (int channel = begin * UNIT<To>; channel < past; ++channel) {
      int place[4] = {};
      place[shape.order[0]] = channel;
      place[shape.order[1]] = row;
      float* to = target + (channel / UNIT<To>)*output.channel_stride + channel % UNIT<To>;
      copy_along<From>(shape.order[2], to, UNIT<To>, input, place, output.width);
    }
    for (int unit = begin; unit < end; ++unit) {
      finish<To, Epilogue>(target + unit * output.channel_stride, static_cast<long>(output.width) * UNIT<To>, slots,
                           unit);
    }
  });
}

}  // namespace dlfusion
