// What kernels share that reduce all channels at each place of the map.
#pragma once
#include "sweep.hpp"

namespace dlfusion {

// All channels of one pixel (blocked), or of LANES neighbouring ones (planar): `count` vectors, `stride` floats apart.
template <class Layout>
struct ChannelVectors {
  const float* from;
  long stride;
  int count;
  int tail;  // channels in the last vector, if it is a vector of channels

  DLFUSION_INLINE Vector operator[](int index) const { return load(from + index * stride); }

  // The sum of term(x) over all channels, in every lane where lanes are channels.
  template <class Term>
  DLFUSION_INLINE Vector sum(const Term& term) const {
    Vector total = last(term((*this)[count - 1]), 0.0f);
    for (int i = 0; i + 1 < count; ++i) total += term((*this)[i]);
    if constexpr (UNIT<Layout> > 1) return broadcast(sum_of_lanes(total));
    return total;
  }

  // The largest term(x); NaN if one is.
  template <class Term>
  DLFUSION_INLINE Vector largest(const Term& term) const {
    Vector largest = last(term((*this)[count - 1]), -__builtin_inff());
    for (int i = 0; i + 1 < count; ++i) largest = greater(largest, term((*this)[i]));
    if constexpr (UNIT<Layout> > 1) {
      float result = largest[0];
      for (int lane = 1; lane < LANES; ++lane) result = greater(result, largest[lane]);
      return broadcast(result);
    }
    return largest;
  }

 private:
  // The last vector, with `filler` in place of channels that do not exist.
  DLFUSION_INLINE Vector last(Vector value, float filler) const {
    if constexpr (UNIT<Layout> > 1) return lane_numbers(AllLanes()) >= tail ? broadcast(filler) : value;
    return value;
  }
};

// Calls body(channels, offset) for each place of an input row: `offset` is where it lies in the row of a channel unit.
template <class Layout, class Body>
DLFUSION_INLINE void each_place(const Rows& input, int row, const Body& body) {
  const float* source = input.row(row);
  const int units = unit_count<Layout>(input);
  const int tail = input.channels - (units - 1) * LANES;
  if constexpr (UNIT<Layout> > 1) {
    for (long x = 0; x < input.width; ++x) {
      body(ChannelVectors<Layout>{source + x * LANES, input.channel_stride, units, tail}, x * LANES);
    }
  } else {
    each_vector(input.width, [&](long x) {
      body(ChannelVectors<Layout>{source + x, input.channel_stride, units, tail}, x);
    });
  }
}

// A kernel whose output has the input's shape, and at each place depends on the channels there: output vector i is
// change(channels, shape)(x) of input vector i. Not cut by channels: call.part is the whole.
template <class Layout, class Epilogue, class Change>
DLFUSION_INLINE void change_places(const EpilogueSteps& steps, const Call& call, const Change& change) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_output_row<Layout, Epilogue>(steps, call, [&](int row, float* target, const auto& slots, int, int units) {
    each_place<Layout>(input, row, [&](const ChannelVectors<Layout>& channels, long offset) {
      const auto changed = change(channels);
      for (int unit = 0; unit < units; ++unit) {
        store(target + unit * output.channel_stride + offset,
              Epilogue::template apply<Layout>(changed(channels[unit]), slots, unit, offset));
      }
    });
  });
}

}  // namespace dlfusion
