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

// LANES lanes of consecutive vectors, from lane FIRST on.
template <int FIRST, int COUNT>
DLFUSION_INLINE Vector lanes_from(const Vector (&vectors)[COUNT]) {
  constexpr int INDEX = FIRST / LANES;
  if constexpr (FIRST % LANES == 0) {
    return vectors[INDEX];
  } else {
    return window<FIRST % LANES>(vectors[INDEX], vectors[INDEX + 1], AllLanes());
  }
}

// The sum of lanes i - BEFORE .. i + AFTER of consecutive vectors of channels, for each lane i of the middle one.
template <int BEFORE, int AFTER, int COUNT, int OFFSET = 1>
DLFUSION_INLINE Vector window_sum(const Vector (&vectors)[COUNT], Vector sum) {
  constexpr int MIDDLE = COUNT / 2 * LANES;
  if constexpr (OFFSET <= BEFORE) sum += lanes_from<MIDDLE - OFFSET>(vectors);
  if constexpr (OFFSET <= AFTER) sum += lanes_from<MIDDLE + OFFSET>(vectors);
  if constexpr (OFFSET < BEFORE || OFFSET < AFTER) {
    return window_sum<BEFORE, AFTER, COUNT, OFFSET + 1>(vectors, sum);
  } else {
    return sum;
  }
}

// AFTER is BEFORE or one more. Not cut by channels: call.part is the whole.
template <int BEFORE, int AFTER, class Epilogue>
void lrn(const LrnShape& shape, const Call& call) {
  constexpr int REACH = AFTER < LANES ? 1 : (AFTER + LANES - 1) / LANES;  // units to each side that a window touches
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
      Vector squares[2 * REACH + 1] = {};  // of the units around; there is nothing before the first and after the last
      for (int unit = 0; unit < REACH && unit < units; ++unit) squares[REACH + 1 + unit] = square_of(unit);
      for (int unit = 0; unit < units; ++unit) {
        DLFUSION_UNROLL
        for (int i = 0; i < 2 * REACH; ++i) squares[i] = squares[i + 1];
        squares[2 * REACH] = unit + REACH < units ? square_of(unit + REACH) : Vector{};
        const Vector scale = window_sum<BEFORE, AFTER>(squares, squares[REACH]) * shape.alpha + shape.bias;
        const Vector result = value_of(unit) * exponential(natural_logarithm(scale) * -shape.beta);
        store(target + unit * output.channel_stride + offset,
              Epilogue::template apply<Blocked>(result, slots, unit, offset));
      }
    }
  });
}

}  // namespace dlfusion
