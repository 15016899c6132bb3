// Pointwise operators applied to a kernel's result in registers, before it is stored.
#pragma once
#include "elementary.hpp"
#include "rows.hpp"

namespace dlfusion {

// The data of one epilogue operation, known when code is generated.
struct EpilogueStep {
  int input;      // index into Call::inputs of the operand, or -1
  long constant;  // offset into Call::constants of per-channel values, or -1
  float a;        // scalars: the operation says what they mean
  float b;
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
// `channel` reads packed per-channel constants, `pooled` the only pixel of an operand of one pixel.
struct Blocked {
  static DLFUSION_INLINE Vector channel(const EpilogueSlot& s, int unit) {
    return load(s.data + static_cast<long>(unit) * LANES);
  }
  static DLFUSION_INLINE Vector pooled(const EpilogueSlot& s, int unit) { return load(s.data + unit * s.channel_stride); }
};
struct Planar {
  static DLFUSION_INLINE Vector channel(const EpilogueSlot& s, int unit) { return broadcast(s.data[unit]); }
  static DLFUSION_INLINE Vector pooled(const EpilogueSlot& s, int unit) {
    return broadcast(s.data[unit * s.channel_stride]);
  }
};

// Each operation: apply<Layout>(value, slot, channel unit, offset of the vector inside the unit's row).
// Operands of the output's shape have the output's layout, and the same offset.
struct Add {
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot& s, int unit, long offset) {
    return v + load(s.data + unit * s.channel_stride + offset);
  }
};

struct Mul {
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot& s, int unit, long offset) {
    return v * load(s.data + unit * s.channel_stride + offset);
  }
};

struct MulChannel {  // by an N x C x 1 x 1 operand
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot& s, int unit, long) {
    return v * Layout::pooled(s, unit);
  }
};

struct ScaleChannel {  // by a constant for each channel
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot& s, int unit, long) {
    return v * Layout::channel(s, unit);
  }
};

struct AddChannel {  // of a constant for each channel
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot& s, int unit, long) {
    return v + Layout::channel(s, unit);
  }
};

struct PRelu {  // the slopes are constants for each channel
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot& s, int unit, long) {
    return leaky(v, Layout::channel(s, unit));
  }
};

struct LeakyRelu {  // a: slope below zero
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot& s, int, long) {
    return leaky(v, broadcast(s.a));
  }
};

struct Scale {  // by a
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot& s, int, long) {
    return v * broadcast(s.a);
  }
};

struct Square {
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot&, int, long) {
    return v * v;
  }
};

struct Clip {  // a <= v <= b
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot& s, int, long) {
    return at_most(at_least(v, broadcast(s.a)), broadcast(s.b));
  }
};

struct AtLeast {  // a <= v
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot& s, int, long) {
    return at_least(v, broadcast(s.a));
  }
};

struct AtMost {  // v <= a
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot& s, int, long) {
    return at_most(v, broadcast(s.a));
  }
};

struct Sigmoid {
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot&, int, long) {
    return sigmoid(v);
  }
};

struct Tanh {
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot&, int, long) {
    return hyperbolic_tangent(v);
  }
};

struct HardSigmoid {  // a * v + b between 0 and 1
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot& s, int, long) {
    return at_most(at_least(v * broadcast(s.a) + broadcast(s.b), broadcast(0.0f)), broadcast(1.0f));
  }
};

struct HardSwish {  // v times the hard sigmoid of slope 1/6 and offset 1/2
  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const EpilogueSlot&, int, long) {
    return v * at_most(at_least(v * broadcast(1.0f / 6.0f) + broadcast(0.5f), broadcast(0.0f)), broadcast(1.0f));
  }
};

// The chain of operations, applied left to right.
template <class... Operations>
struct Epilogue {
  static constexpr int STEPS = sizeof...(Operations);
  static_assert(STEPS <= EPILOGUE_STEPS, "the epilogue is longer than a shape structure holds");

  // One slot for each operation; at least one, because arrays of length zero do not exist.
  struct Slots {
    EpilogueSlot slot[STEPS > 0 ? STEPS : 1] = {};
  };

  template <class Layout>
  static DLFUSION_INLINE Vector apply(Vector v, const Slots& slots, int unit, long offset) {
    return chain<Layout, 0, Operations...>(v, slots.slot, unit, offset);
  }

  // Resolves operands for output row `row`.
  static DLFUSION_INLINE void at_row(Slots& slots, const EpilogueSteps& steps, const Call& call, int row) {
    for (int i = 0; i < STEPS; ++i) {
      const EpilogueStep& step = steps.step[i];
      EpilogueSlot& slot = slots.slot[i];
      slot = {nullptr, 0, step.a, step.b};
      if (step.input >= 0) {
        const Rows& operand = call.inputs[step.input];
        slot.data = operand.row(operand.height == 1 ? 0 : row);
        slot.channel_stride = operand.channel_stride;
      } else if (step.constant >= 0) {
        slot.data = call.constants + step.constant;
      }
    }
  }

 private:
  template <class Layout, int INDEX, class First, class... Rest>
  static DLFUSION_INLINE Vector chain(Vector v, const EpilogueSlot* slots, int unit, long offset) {
    return chain<Layout, INDEX + 1, Rest...>(First::template apply<Layout>(v, slots[INDEX], unit, offset), slots, unit, offset);
  }
  template <class Layout, int INDEX>
  static DLFUSION_INLINE Vector chain(Vector v, const EpilogueSlot*, int, long) {
    return v;
  }
};

}  // namespace dlfusion
