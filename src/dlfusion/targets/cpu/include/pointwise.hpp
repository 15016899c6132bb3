// Layers of pointwise operators only: the epilogue applied to the first input.
#pragma once
#include "sweep.hpp"

namespace dlfusion {

struct PointwiseShape {
  EpilogueSteps steps;
};

template <class Layout, class Epilogue>
void pointwise(const PointwiseShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_output_row<Layout, Epilogue>(
      shape.steps, call, [&](int row, float* target, const auto& slots, int begin, int end) {
        const float* source = input.row(row);
        for (int unit = begin; unit < end; ++unit) {
          const float* from = source + unit * input.channel_stride;
          float* to = target + unit * output.channel_stride;
          each_vector(static_cast<long>(output.width) * UNIT<Layout>,
                      [&](long i) { store(to + i, Epilogue::template apply<Layout>(load(from + i), slots, unit, i)); });
        }
      });
}

}  // namespace dlfusion
