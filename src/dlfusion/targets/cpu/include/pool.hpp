// Maximum, average and norms over windows, and over whole maps. Padding never counts as an element: windows are cut at the
// input's border, and the divisors of averages are tables.
#pragma once
#include "sweep.hpp"

namespace dlfusion {

constexpr int POOL_KERNEL_ROWS = 256;

struct PoolShape {
  int kernel_height;
  int kernel_width;
  int stride_height;
  int stride_width;
  int pad_top;
  int pad_left;
  int dilation_height;
  int dilation_width;
  long row_factors;     // offset of one over the number of rows that count, for each output row; -1 for maxima
  long column_factors;  // the same for columns
  EpilogueSteps steps;
};

struct GlobalPoolShape {
  float factor;  // what the result is multiplied with
  EpilogueSteps steps;
};

DLFUSION_INLINE float magnitude(float value) { return __builtin_fabsf(value); }
DLFUSION_INLINE Vector magnitude(Vector value) { return absolute(value); }
DLFUSION_INLINE float square_root(float value) { return __builtin_sqrtf(value); }

// Reductions: what an element contributes, how contributions are combined, and what becomes of the result.
struct AsItIs {
  template <class Value>
  static DLFUSION_INLINE Value term(Value value) {
    return value;
  }
  template <class Value>
  static DLFUSION_INLINE Value result(Value value) {
    return value;
  }
};

// A NaN in the window makes the result NaN.
struct Maximum : AsItIs {
  template <class Value>
  static DLFUSION_INLINE Value combine(Value so_far, Value value) {
    return greater(so_far, value);
  }
  static constexpr float START = -__builtin_inff();
  static constexpr bool AVERAGES = false;
};

struct Sum : AsItIs {
  template <class Value>
  static DLFUSION_INLINE Value combine(Value so_far, Value value) {
    return so_far + value;
  }
  static constexpr float START = 0.0f;
  static constexpr bool AVERAGES = true;
};

struct SumOfMagnitudes : Sum {
  template <class Value>
  static DLFUSION_INLINE Value term(Value value) {
    return magnitude(value);
  }
  static constexpr bool AVERAGES = false;
};

struct RootOfSquares : Sum {
  template <class Value>
  static DLFUSION_INLINE Value term(Value value) {
    return value * value;
  }
  template <class Value>
  static DLFUSION_INLINE Value result(Value value) {
    return square_root(value);
  }
  static constexpr bool AVERAGES = false;
};

// The kernel taps t in [begin, end) with 0 <= start + t * dilation < size.
struct PoolTaps {
  int begin;
  int end;
};
DLFUSION_INLINE PoolTaps pool_taps(int start, int dilation, int count, int size) {
  const int begin = start < 0 ? (dilation - 1 - start) / dilation : 0;
  const int room = size - 1 - start;
  const int end = room < 0 ? 0 : room / dilation + 1;
  return {begin < count ? begin : count, end < begin ? (begin < count ? begin : count) : (end < count ? end : count)};
}

// The rows of one output row's windows.
struct PoolRows {
  const float* row[POOL_KERNEL_ROWS];
  int count;
};
DLFUSION_INLINE void find_rows(PoolRows& rows, const PoolShape& shape, const Rows& input, int output_row) {
  const int start = output_row * shape.stride_height - shape.pad_top;
  const PoolTaps taps = pool_taps(start, shape.dilation_height, shape.kernel_height, input.height);
  rows.count = taps.end - taps.begin;
  for (int i = 0; i < rows.count; ++i) rows.row[i] = input.row(start + (taps.begin + i) * shape.dilation_height);
}

// What windows are reduced in: vectors of channels, or single elements.
template <class Layout>
struct PoolValue {
  typedef float Type;
};
template <>
struct PoolValue<Blocked> {
  typedef Vector Type;
};
DLFUSION_INLINE Vector load_value(const float* from, Vector) { return load(from); }
DLFUSION_INLINE float load_value(const float* from, float) { return *from; }
DLFUSION_INLINE void store_value(float* to, Vector value) { store(to, value); }
DLFUSION_INLINE void store_value(float* to, float value) { *to = value; }

// The reduction of COUNT windows, `distance` floats apart, over taps that begin at `first` and are `step` floats apart.
template <class Reduction, class Value, int COUNT>
DLFUSION_INLINE void reduce(Value (&result)[COUNT], const PoolRows& rows, long first, long distance, long step,
                            int taps) {
  DLFUSION_UNROLL
  for (int i = 0; i < COUNT; ++i) result[i] = Value{} + Reduction::START;
  for (int k = 0; k < rows.count; ++k) {
    const float* from = rows.row[k] + first;
    for (int t = 0; t < taps; ++t, from += step) {
      DLFUSION_UNROLL
      for (int i = 0; i < COUNT; ++i) {
        result[i] = Reduction::combine(result[i], Reduction::term(load_value(from + i * distance, Value{})));
      }
    }
  }
}

// Where windows overlap, columns are reduced first and then shared by the windows: at most so many of each at a time.
constexpr int POOL_WINDOWS = 8;
constexpr int POOL_COLUMNS = 32;

// The reductions of `count` columns, each over all rows.
template <class Reduction, class Value>
DLFUSION_INLINE void reduce_columns(Value* result, const PoolRows& rows, long first, long floats, int count) {
  constexpr int COUNT = 4;
  int i = 0;
  for (; i + COUNT <= count; i += COUNT) {
    Value values[COUNT];
    DLFUSION_UNROLL
    for (int j = 0; j < COUNT; ++j)
      values[j] = Reduction::term(load_value(rows.row[0] + first + (i + j) * floats, Value{}));
    for (int k = 1; k < rows.count; ++k) {
      DLFUSION_UNROLL
      for (int j = 0; j < COUNT; ++j) {
        values[j] =
            Reduction::combine(values[j], Reduction::term(load_value(rows.row[k] + first + (i + j) * floats, Value{})));
      }
    }
    DLFUSION_UNROLL
    for (int j = 0; j < COUNT; ++j) result[i + j] = values[j];
  }
  for (; i < count; ++i) {
    result[i] = Reduction::term(load_value(rows.row[0] + first + i * floats, Value{}));
    for (int k = 1; k < rows.count; ++k) {
      result[i] = Reduction::combine(result[i], Reduction::term(load_value(rows.row[k] + first + i * floats, Value{})));
    }
  }
}

// How one channel unit's row of windows is computed.
template <class Layout, class Reduction>
struct PoolRow {
  typedef typename PoolValue<Layout>::Type Value;
  static constexpr long FLOATS = UNIT<Layout>;

  const PoolShape& shape;
  const PoolRows& rows;
  long unit_offset;
  float* target;
  float row_factor;
  const float* column_factors;

  DLFUSION_INLINE void put(Value value, int x) const {
    if constexpr (Reduction::AVERAGES) value = value * (row_factor * column_factors[x]);
    store_value(target + x * FLOATS, Reduction::result(value));
  }

  // Windows [x, x + count), which begin at column `start` and overlap.
  DLFUSION_INLINE void shared(int x, int count, int start) const {
    Value columns[POOL_COLUMNS];
    reduce_columns<Reduction>(columns, rows, unit_offset + start * FLOATS, FLOATS,
                              (count - 1) * shape.stride_width + shape.kernel_width);
    for (int i = 0; i < count; ++i) {
      Value value = columns[i * shape.stride_width];
      for (int t = 1; t < shape.kernel_width; ++t)
        value = Reduction::combine(value, columns[i * shape.stride_width + t]);
      put(value, x + i);
    }
  }

  // COUNT windows from x on, over `taps` columns from column `start` on.
  template <int COUNT>
  DLFUSION_INLINE void separate(int x, int start, int taps) const {
    Value values[COUNT];
    reduce<Reduction>(values, rows, unit_offset + start * FLOATS, shape.stride_width * FLOATS,
                      shape.dilation_width * FLOATS, taps);
    DLFUSION_UNROLL
    for (int i = 0; i < COUNT; ++i) put(values[i], x + i);
  }
};

// One channel unit's row, without the epilogue. Windows that the border cuts are computed one by one.
template <class Layout, class Reduction>
__attribute__((noinline)) void pool_unit(const PoolRow<Layout, Reduction>& row, int input_width, int width) {
  constexpr int COUNT = 4;
  const PoolShape& shape = row.shape;
  const int span = (shape.kernel_width - 1) * shape.dilation_width;
  const bool overlap = shape.stride_width < shape.kernel_width && shape.dilation_width == 1 && row.rows.count > 1 &&
                       (POOL_WINDOWS - 1) * shape.stride_width + shape.kernel_width <= POOL_COLUMNS;
  for (int x = 0; x < width;) {
    const int start = x * shape.stride_width - shape.pad_left;
    const int room = input_width - 1 - span - start;  // columns by which the window may move right
    int whole = start < 0 || room < 0 ? 0 : room / shape.stride_width + 1;
    whole = whole < width - x ? whole : width - x;
    if (overlap && whole > 0) {
      whole = whole < POOL_WINDOWS ? whole : POOL_WINDOWS;
      row.shared(x, whole, start);
      x += whole;
    } else if (whole >= COUNT) {
      row.template separate<COUNT>(x, start, shape.kernel_width);
      x += COUNT;
    } else {
      const PoolTaps taps = pool_taps(start, shape.dilation_width, shape.kernel_width, input_width);
      row.template separate<1>(x, start + taps.begin * shape.dilation_width, taps.end - taps.begin);
      x += 1;
    }
  }
}

template <class Layout, class Reduction, class Epilogue>
void pool(const PoolShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_output_row<Layout, Epilogue>(
      shape.steps, call, [&](int row, float* target, const auto& slots, int begin, int end) {
        PoolRows rows;
        find_rows(rows, shape, input, row);
        const float row_factor = Reduction::AVERAGES ? call.constants[shape.row_factors + row] : 1.0f;
        const float* column_factors = Reduction::AVERAGES ? call.constants + shape.column_factors : nullptr;
        for (int unit = begin; unit < end; ++unit) {
          float* to = target + unit * output.channel_stride;
          const PoolRow<Layout, Reduction> unit_row = {shape, rows,       unit * input.channel_stride,
                                                       to,    row_factor, column_factors};
          pool_unit(unit_row, input.width, output.width);
          finish<Layout, Epilogue>(to, static_cast<long>(output.width) * UNIT<Layout>, slots, unit);
        }
      });
}

// The reduction of one row of a channel unit, in several independent chains.
template <class Reduction>
__attribute__((noinline)) Vector reduce_row(const float* from, int width) {
  constexpr int CHAINS = 4;
  Vector chain[CHAINS];
  DLFUSION_UNROLL
  for (int i = 0; i < CHAINS; ++i) chain[i] = broadcast(Reduction::START);
  int x = 0;
  for (; x + CHAINS <= width; x += CHAINS) {
    DLFUSION_UNROLL
    for (int i = 0; i < CHAINS; ++i)
      chain[i] = Reduction::combine(chain[i], Reduction::term(load(from + static_cast<long>(x + i) * LANES)));
  }
  for (; x < width; ++x)
    chain[0] = Reduction::combine(chain[0], Reduction::term(load(from + static_cast<long>(x) * LANES)));
  return Reduction::combine(Reduction::combine(chain[0], chain[1]), Reduction::combine(chain[2], chain[3]));
}

// Blocked only. Rows are the outer loop, so that each is found once and read in the order it lies in memory.
template <class Reduction, class Epilogue>
void global_pool(const GlobalPoolShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_output_row<Blocked, Epilogue>(shape.steps, call, [&](int, float* target, const auto& slots, int begin, int end) {
    for (int row = 0; row < input.height; ++row) {
      const float* source = input.row(row);
      for (int unit = begin; unit < end; ++unit) {
        const Vector value = reduce_row<Reduction>(source + unit * input.channel_stride, input.width);
        float* to = target + unit * output.channel_stride;
        store(to, row == 0 ? value : Reduction::combine(load(to), value));
      }
    }
    for (int unit = begin; unit < end; ++unit) {
      float* to = target + unit * output.channel_stride;
      store(to, Epilogue::template apply<Blocked>(Reduction::result(load(to)) * shape.factor, slots, unit, 0));
    }
  });
}

}  // namespace dlfusion
