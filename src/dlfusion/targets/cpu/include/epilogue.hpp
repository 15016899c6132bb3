// Pointwise operators applied to a kernel's result in registers, before it is stored.
#pragma once
#include "operations.hpp"

namespace dlfusion {

// The chain of operations, applied left to right.
template <class... Operations>
struct Epilogue {
  static constexpr int STEPS = sizeof...(Operations);
  static constexpr bool READS_MAPS = (Operations::READS_MAP || ...);
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
        if constexpr (READS_MAPS) {
          slot.data += row * step.row_stride;
          slot.channel_stride = step.channel_stride;
        }
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
