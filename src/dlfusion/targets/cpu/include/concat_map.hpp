// Rows or columns of several activations, one after the other.
#pragma once
#include "sweep.hpp"

namespace dlfusion {

constexpr int CONCAT_MAP_INPUTS = 64;

struct ConcatMapShape {
  int count;                     // of inputs
  int first[CONCAT_MAP_INPUTS];  // the output row or column where each input begins
  EpilogueSteps steps;
};

template <class Layout, class Epilogue>
void concat_rows(const ConcatMapShape& shape, const Call& call) {
  const Rows& output = *call.output;
  const long floats = static_cast<long>(output.width) * UNIT<Layout>;
  each_output_row<Layout, Epilogue>(
      shape.steps, call, [&](int row, float* target, const auto& slots, int begin, int end) {
        int index = shape.count - 1;
        while (shape.first[index] > row) --index;
        const Rows& input = call.inputs[index];
        const float* source = input.row(row - shape.first[index]);
        for (int unit = begin; unit < end; ++unit) {
          float* to = target + unit * output.channel_stride;
          copy_strided(to, 1, source + unit * input.channel_stride, 1, static_cast<int>(floats));
          finish<Layout, Epilogue>(to, floats, slots, unit);
        }
      });
}

template <class Layout, class Epilogue>
void concat_columns(const ConcatMapShape& shape, const Call& call) {
  const Rows& output = *call.output;
  const long floats = static_cast<long>(output.width) * UNIT<Layout>;
  each_output_row<Layout, Epilogue>(
      shape.steps, call, [&](int row, float* target, const auto& slots, int begin, int end) {
        for (int unit = begin; unit < end; ++unit) {
          float* to = target + unit * output.channel_stride;
          for (int i = 0; i < shape.count; ++i) {
            const Rows& input = call.inputs[i];
            copy_strided(to + static_cast<long>(shape.first[i]) * UNIT<Layout>, 1,
                         input.row(row) + unit * input.channel_stride, 1, input.width * UNIT<Layout>);
          }
          finish<Layout, Epilogue>(to, floats, slots, unit);
        }
      });
}

}  // namespace dlfusion
