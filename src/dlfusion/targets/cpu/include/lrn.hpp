// Local response normalization over channels, blocked.
#pragma once
#include "sweep.hpp"

namespace dlfusion {

struct LrnShape {
  float alpha;  // already divided by the window's size
  float beta;
  float bias;
  EpilogueSteps steps;
};

// The sum of lanes i - BEFORE .. i + AFTER of three consecutive vectors of channels, for each lane i of the middle one.
template <int BEFORE, int AFTER, int OFFSET = 1>
DLFUSION_INLINE Vector window_sum(Vector before, Vector middle, Vector after, Vector sum) {
  if constexpr (OFFSET <= BEFORE) sum += window<LANES - OFFSET>(before, middle, AllLanes());
  if constexpr (OFFSET <= AFTER) sum += window<OFFSET>(middle, after, AllLanes());
  if constexpr (OFFSET < BEFORE || OFFSET < AFTER)
    return window_sum<BEFORE, AFTER, OFFSET + 1>(before, middle, after, sum);
  return sum;
}

// BEFORE and AFTER are below LANES. Not cut by channels: call.part is the whole.
template <int BEFORE, int AFTER, class Epilogue>
void lrn(const LrnShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_output_row<Blocked, Epilogue>(shape.steps, call, [&](int row, float* target, const auto& slots, int, int units) {
    const float* source = input.row(row);
    const IntVector missing = lane_numbers(AllLanes()) >= output.channels - (units - 1) * LANES;
    for (long offset = 0; offset < static_cast<long>(output.width) * LANES; offset += LANES) {
      const auto value_of = [&](int unit) { return load(source + unit * input.channel_stride + offset); };
      const auto square_of = [&](int unit) {
        const Vector value = value_of(unit);
        return unit + 1 == units && missing[LANES - 1] ? (missing ? Vector{} : value * value) : value * value;
      };
      Vector before = {};
      Vector square = square_of(0);
      for (int unit = 0; unit < units; ++unit) {
        const Vector after = unit + 1 < units ? square_of(unit + 1) : Vector{};
        const Vector scale = window_sum<BEFORE, AFTER>(before, square, after, square) * shape.alpha + shape.bias;
        const Vector result = value_of(unit) * exponential(natural_logarithm(scale) * -shape.beta);
        store(target + unit * output.channel_stride + offset,
              Epilogue::template apply<Blocked>(result, slots, unit, offset));
        before = square;
        square = after;
      }
    }
  });
}

}  // namespace dlfusion
