// A constant around the map, or a part of the map.
#pragma once
#include "sweep.hpp"

namespace dlfusion {

struct PadShape {
  int top;   // rows before the first input row; negative where rows are cut off
  int left;  // the same for columns
  float value;
  EpilogueSteps steps;
};

DLFUSION_INLINE void fill(float* target, long begin, long end, float value) {
  for (long i = begin; i < end; ++i) target[i] = value;
}

template <class Layout, class Epilogue>
void pad(const PadShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  const int first = shape.left > 0 ? shape.left : 0;  // output columns [first, last) come from the input
  const int reach = shape.left + input.width;
  const int last = reach < output.width ? reach : output.width;
  const long floats = static_cast<long>(output.width) * UNIT<Layout>;
  each_output_row<Layout, Epilogue>(
      shape.steps, call, [&](int row, float* target, const auto& slots, int begin, int end) {
        const int source_row = row - shape.top;
        const bool inside = source_row >= 0 && source_row < input.height && first < last;
        const float* source = inside ? input.row(source_row) : nullptr;
        for (int unit = begin; unit < end; ++unit) {
          float* to = target + unit * output.channel_stride;
          if (inside) {
            const float* from =
                source + unit * input.channel_stride + static_cast<long>(first - shape.left) * UNIT<Layout>;
            fill(to, 0, static_cast<long>(first) * UNIT<Layout>, shape.value);
            copy_strided(to + static_cast<long>(first) * UNIT<Layout>, 1, from, 1, (last - first) * UNIT<Layout>);
            fill(to, static_cast<long>(last) * UNIT<Layout>, floats, shape.value);
          } else {
            fill(to, 0, floats, shape.value);
          }
          finish<Layout, Epilogue>(to, floats, slots, unit);
        }
      });
}

}  // namespace dlfusion
