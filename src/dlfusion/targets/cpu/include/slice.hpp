// A part of the channels and of the map.
#pragma once
#include "sweep.hpp"

namespace dlfusion {

struct SliceShape {
  int start[3];  // of channels, rows and columns
  int step[3];
  EpilogueSteps steps;
};

// out[x] = from[x * step] in vectors, for x < width; `step` counts floats.
inline __attribute__((noinline)) void copy_vectors(float* out, const float* from, long step, int width) {
  for (long x = 0; x < width; ++x) store(out + x * LANES, load(from + x * step));
}

// Blocked units that hold the same channels as one of the input are copied by vectors; others are gathered.
template <class Layout, class Epilogue>
void slice(const SliceShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  const long column = static_cast<long>(shape.start[2]) * UNIT<Layout>;
  const long step = static_cast<long>(shape.step[2]) * UNIT<Layout>;
  const bool whole = UNIT<Layout> > 1 && shape.step[0] == 1 && shape.start[0] % UNIT<Layout> == 0;
  each_output_row<Layout, Epilogue>(
      shape.steps, call, [&](int row, float* target, const auto& slots, int begin, int end) {
        const float* source = input.row(shape.start[1] + row * shape.step[1]);
        for (int unit = begin; unit < end; ++unit) {
          float* to = target + unit * output.channel_stride;
          if (whole) {
            const long first = (shape.start[0] / UNIT<Layout> + unit) * input.channel_stride;
            copy_vectors(to, source + first + column, step, output.width);
          } else {
            permute<Layout>(to, 1, unit, output.channels, step, output.width, [&](int channel) {
              return channel_in<Layout>(input, source, shape.start[0] + channel * shape.step[0]) + column;
            });
          }
          finish<Layout, Epilogue>(to, static_cast<long>(output.width) * UNIT<Layout>, slots, unit);
        }
      });
}

}  // namespace dlfusion
