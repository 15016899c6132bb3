// What the operations of an epilogue read, and the three kinds of them.
#pragma once
#include "rows.hpp"

namespace dlfusion {

// The data of one epilogue operation, known when code is generated.
struct EpilogueStep {
  int input;      // index into Call::inputs of the operand, or -1
  long constant;  // offset into Call::constants of the operand, or -1
  float a;        // scalars: the operation says what they mean
  float b;
  long row_stride = 0;      // floats from one row and channel unit of a constant map to the next, 0 where it has only one;
  long channel_stride = 0;  // unused for constants of one value per channel
};

// The steps of a layer: the last member of every kernel's shape structure.
constexpr int EPILOGUE_STEPS = 12;
struct EpilogueSteps {
  EpilogueStep step[EPILOGUE_STEPS];
};

// The same at one output row: operand(unit, offset) = data[unit * channel_stride + offset].
struct EpilogueSlot {
  const float* data;
  long channel_stride;
  float a;
  float b;
};

// Where a vector of results lies. Blocked: one pixel, LANES channels. Planar: one channel, LANES columns.
// `channel` reads packed per-channel constants, `pooled` the only column of an operand of one column, `shared` the column
// at an offset of the only channel of an operand of one channel.
struct Blocked {
  static DLFUSION_INLINE Vector channel(const EpilogueSlot& s, int unit) {
    return load(s.data + static_cast<long>(unit) * LANES);
  }
  static DLFUSION_INLINE Vector pooled(const EpilogueSlot& s, int unit) { return load(s.data + unit * s.channel_stride); }
  static DLFUSION_INLINE Vector shared(const EpilogueSlot& s, long offset) { return broadcast(s.data[offset]); }
};
struct Planar {
  static DLFUSION_INLINE Vector channel(const EpilogueSlot& s, int unit) { return broadcast(s.data[unit]); }
  static DLFUSION_INLINE Vector pooled(const EpilogueSlot& s, int unit) {
    return broadcast(s.data[unit * s.channel_stride]);
  }
  static DLFUSION_INLINE Vector shared(const EpilogueSlot& s, long offset) { return load(s.data + offset); }
};

// What an operation of two operands takes beside the value `v`. All activations have the output's layout, and the row
// of the output's or their only one.
struct Element {  // the same element of an activation
  template <class Layout>
  static DLFUSION_INLINE Vector of(Vector, const EpilogueSlot& s, int unit, long offset) {
    return load(s.data + unit * s.channel_stride + offset);
  }
};
struct Map : Element {};  // the same element of a map of constants
struct Pooled {  // of an activation of one column
  template <class Layout>
  static DLFUSION_INLINE Vector of(Vector, const EpilogueSlot& s, int unit, long) {
    return Layout::pooled(s, unit);
  }
};
struct Shared {  // of an activation of one channel
  template <class Layout>
  static DLFUSION_INLINE Vector of(Vector, const EpilogueSlot& s, int, long offset) {
    return Layout::shared(s, offset);
  }
};
struct Single {  // of an activation of one channel and one column
  template <class Layout>
  static DLFUSION_INLINE Vector of(Vector, const EpilogueSlot& s, int, long) {
    return broadcast(s.data[0]);
  }
};
struct Constant {  // one for each channel
  template <class Layout>
  static DLFUSION_INLINE Vector of(Vector, const EpilogueSlot& s, int unit, long) {
    return Layout::channel(s, unit);
  }
};
struct Number {  // a
  template <class Layout>
  static DLFUSION_INLINE Vector of(Vector, const EpilogueSlot& s, int, long) {
    return broadcast(s.a);
  }
};
struct Itself {
  template <class Layout>
  static DLFUSION_INLINE Vector of(Vector v, const EpilogueSlot&, int, long) {
    return v;
  }
};

// An operation is a type with apply<Layout>(value, slot, channel unit, offset of the vector inside the unit's row), and
// with READS_MAP, which is true if it needs the strides of `EpilogueStep`.
template <Vector (*FUNCTION)(Vector)>
struct Unary {
  static constexpr bool READS_MAP = false;
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot&, int, long) {
    return FUNCTION(v);
  }
};

template <Vector (*FUNCTION)(Vector, float, float)>
struct UnaryOfNumbers {  // a and b
  static constexpr bool READS_MAP = false;
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot& s, int, long) {
    return FUNCTION(v, s.a, s.b);
  }
};

constexpr bool is_map(const void*) { return false; }
constexpr bool is_map(const Map*) { return true; }

template <Vector (*FUNCTION)(Vector, Vector), class Operand>
struct Binary {
  static constexpr bool READS_MAP = is_map(static_cast<Operand*>(nullptr));
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot& s, int unit, long offset) {
    return FUNCTION(v, Operand::template of<Layout>(v, s, unit, offset));
  }
};

}  // namespace dlfusion
