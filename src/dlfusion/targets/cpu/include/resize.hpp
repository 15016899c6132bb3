// Interpolation between rows and columns that are given by tables.
#pragma once
#include "sweep.hpp"

namespace dlfusion {

// Offsets into the constants: for each output row or column the two inputs it lies between (indices stored as floats,
// which are exact up to 2^24), and the weight of the second.
struct ResizeTable {
  long lower;
  long upper;
  long weight;
};

struct ResizeShape {
  ResizeTable rows;
  ResizeTable columns;
  EpilogueSteps steps;
};

struct Nearest {
  static constexpr bool INTERPOLATES = false;
};
struct Linear {
  static constexpr bool INTERPOLATES = true;
};

DLFUSION_INLINE Vector resize_load(const float* from, Vector) { return load(from); }
DLFUSION_INLINE float resize_load(const float* from, float) { return *from; }
DLFUSION_INLINE void resize_store(float* to, Vector value) { store(to, value); }
DLFUSION_INLINE void resize_store(float* to, float value) { *to = value; }

// One channel unit's row, column by column; a column is a vector of channels or one element, like `sample`.
template <class Mode, class Value>
__attribute__((noinline)) void resize_unit(float* target, const float* upper_row, const float* lower_row,
                                           float row_weight, const float* lower, const float* upper,
                                           const float* weight, int width, Value sample) {
  constexpr long FLOATS = sizeof(Value) / sizeof(float);
  for (int x = 0; x < width; ++x) {
    const long a = static_cast<long>(lower[x]) * FLOATS;
    Value value = resize_load(upper_row + a, sample);
    if constexpr (Mode::INTERPOLATES) {
      const long b = static_cast<long>(upper[x]) * FLOATS;
      const Value left = value * (1.0f - row_weight) + resize_load(lower_row + a, sample) * row_weight;
      const Value right =
          resize_load(upper_row + b, sample) * (1.0f - row_weight) + resize_load(lower_row + b, sample) * row_weight;
      value = left * (1.0f - weight[x]) + right * weight[x];
    }
    resize_store(target + x * FLOATS, value);
  }
}

template <class Layout, class Mode, class Epilogue>
void resize(const ResizeShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  const float* lower = call.constants + shape.columns.lower;
  const float* upper = call.constants + shape.columns.upper;
  const float* weight = call.constants + shape.columns.weight;
  each_output_row<Layout, Epilogue>(
      shape.steps, call, [&](int row, float* target, const auto& slots, int begin, int end) {
        const float* upper_row = input.row(static_cast<int>(call.constants[shape.rows.lower + row]));
        const float* lower_row = input.row(static_cast<int>(call.constants[shape.rows.upper + row]));
        const float row_weight = call.constants[shape.rows.weight + row];
        for (int unit = begin; unit < end; ++unit) {
          float* to = target + unit * output.channel_stride;
          const long offset = unit * input.channel_stride;
          if constexpr (UNIT<Layout> > 1) {
            resize_unit<Mode>(to, upper_row + offset, lower_row + offset, row_weight, lower, upper, weight,
                              output.width, Vector{});
          } else {
            resize_unit<Mode>(to, upper_row + offset, lower_row + offset, row_weight, lower, upper, weight,
                              output.width, 0.0f);
          }
          finish<Layout, Epilogue>(to, static_cast<long>(output.width) * UNIT<Layout>, slots, unit);
        }
      });
}

}  // namespace dlfusion
