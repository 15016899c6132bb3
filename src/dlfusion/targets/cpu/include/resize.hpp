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

// Offsets into the constants, for each output row or column: its first input, how many it has, and their weights, with
// room for `most` of them.
struct WeightedTable {
  long first;
  long count;
  long weights;
  int most;
};

struct WeightedResizeShape {
  WeightedTable rows;
  WeightedTable columns;
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

// The inputs of output row or column `index`.
struct WeightedTaps {
  int first;
  int count;
  const float* weights;
};
DLFUSION_INLINE WeightedTaps weighted_taps(const WeightedTable& table, const float* constants, int index) {
  return {static_cast<int>(constants[table.first + index]), static_cast<int>(constants[table.count + index]),
          constants + table.weights + static_cast<long>(index) * table.most};
}

// mixed[i] = the sum of the rows' elements i, from `offset` on, times the rows' weights.
inline __attribute__((noinline)) void mix_rows(float* mixed, const Rows& input, long offset, const WeightedTaps& taps,
                                               long floats) {
  for (int k = 0; k < taps.count; ++k) {
    const float* source = input.row(taps.first + k) + offset;
    const float weight = taps.weights[k];
    // The last vector may overlap the one before it, which must not be added to twice.
    const long last = floats > LANES ? floats - LANES : 0;
    const Vector before = k == 0 ? Vector{} : load(mixed + last);
    const Vector last_vector = before + load(source + last) * weight;
    for (long i = 0; i < last; i += LANES) {
      const Vector so_far = k == 0 ? Vector{} : load(mixed + i);
      store(mixed + i, so_far + load(source + i) * weight);
    }
    store(mixed + last, last_vector);
  }
}

// One channel unit's row, column by column; a column is a vector of channels or one element, like `sample`.
template <class Value>
__attribute__((noinline)) void mix_columns(float* target, const float* mixed, const WeightedTable& table,
                                           const float* constants, int width, Value sample) {
  constexpr long FLOATS = sizeof(Value) / sizeof(float);
  for (int x = 0; x < width; ++x) {
    const WeightedTaps taps = weighted_taps(table, constants, x);
    const float* from = mixed + taps.first * FLOATS;
    Value sum = resize_load(from, sample) * taps.weights[0];
    for (int k = 1; k < taps.count; ++k) sum += resize_load(from + k * FLOATS, sample) * taps.weights[k];
    resize_store(target + x * FLOATS, sum);
  }
}

// Any number of inputs for each output. Input rows are mixed in the call's scratch first, then columns of the result.
template <class Layout, class Epilogue>
void weighted_resize(const WeightedResizeShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_output_row<Layout, Epilogue>(
      shape.steps, call, [&](int row, float* target, const auto& slots, int begin, int end) {
        const WeightedTaps taps = weighted_taps(shape.rows, call.constants, row);
        for (int unit = begin; unit < end; ++unit) {
          float* to = target + unit * output.channel_stride;
          mix_rows(call.scratch, input, unit * input.channel_stride, taps,
                   static_cast<long>(input.width) * UNIT<Layout>);
          if constexpr (UNIT<Layout> > 1) {
            mix_columns(to, call.scratch, shape.columns, call.constants, output.width, Vector{});
          } else {
            mix_columns(to, call.scratch, shape.columns, call.constants, output.width, 0.0f);
          }
          finish<Layout, Epilogue>(to, static_cast<long>(output.width) * UNIT<Layout>, slots, unit);
        }
      });
}

}  // namespace dlfusion
