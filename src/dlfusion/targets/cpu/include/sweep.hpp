// The loops that all simple row kernels share. A kernel's output never shares memory with what it reads.
#pragma once
#include "epilogue.hpp"
#include "shuffle.hpp"

namespace dlfusion {

// Channels in one channel unit, which is also how many floats one column of it takes.
template <class Layout>
inline constexpr int UNIT = 1;
template <>
inline constexpr int UNIT<Blocked> = LANES;

template <class Layout>
DLFUSION_INLINE int unit_count(const Rows& rows) {
  return (rows.channels + UNIT<Layout> - 1) / UNIT<Layout>;
}

// Where `channel` begins (column 0) in a row of all channels; its columns are UNIT<Layout> floats apart.
template <class Layout>
DLFUSION_INLINE const float* channel_in(const Rows& rows, const float* row, int channel) {
  return row + (channel / UNIT<Layout>)*rows.channel_stride + channel % UNIT<Layout>;
}

// Calls body(i) for vectors that cover [0, floats). The last one overlaps its neighbour where `floats` is no multiple
// of LANES; only where `floats` < LANES it reaches past the end, into padding that the kernel demanded.
template <class Body>
DLFUSION_INLINE void each_vector(long floats, const Body& body) {
  long i = 0;
  for (; i + LANES <= floats; i += LANES) body(i);
  if (i < floats) body(floats > LANES ? floats - LANES : 0);
}

// Calls body(row, target, slots, begin, end) for each output row of the call: `target` is the row's channel unit 0,
// [begin, end) the call's part of the channel units. Clears the row's padding afterwards.
template <class Layout, class Epilogue, class Body>
DLFUSION_INLINE void each_output_row(const EpilogueSteps& steps, const Call& call, const Body& body) {
  const Rows& output = *call.output;
  const int units = unit_count<Layout>(output);
  const int begin = call.part.begin(units);
  const int end = call.part.end(units);
  for (int row = call.from; row < call.to; ++row) {
    float* target = output.row(row);
    typename Epilogue::Slots slots;
    Epilogue::at_row(slots, steps, call, row);
    body(row, target, slots, begin, end);
    clear_pads(output, target, begin, end, UNIT<Layout>);
  }
}

// Applies the epilogue in place to one channel unit's row. The last vector, which may overlap the one before it, is
// computed first and stored last, so that no element gets the epilogue twice.
template <class Layout, class Epilogue>
DLFUSION_INLINE void finish(float* target, long floats, const typename Epilogue::Slots& slots, int unit) {
  if constexpr (Epilogue::STEPS > 0) {
    const long last = floats > LANES ? floats - LANES : 0;
    const Vector last_vector = Epilogue::template apply<Layout>(load(target + last), slots, unit, last);
    for (long i = 0; i < last; i += LANES) {
      // The vector before an overlapping last one may reach into it; what it stores there is overwritten below.
      store(target + i, Epilogue::template apply<Layout>(load(target + i), slots, unit, i));
    }
    store(target + last, last_vector);
  }
}

// out[x * out_step] = {lanes[0][x * step], lanes[1][x * step], ...} for x < width.
inline __attribute__((noinline)) void gather_row(float* out, long out_step, const float* const* lanes, long step,
                                                 int width) {
  for (long x = 0; x < width; ++x) store(out + x * out_step, gather(lanes, x * step, AllLanes()));
}

// out[x * out_step] = from[x * step] for x < width.
inline __attribute__((noinline)) void copy_strided(float* __restrict out, long out_step, const float* __restrict from,
                                                   long step, int width) {
  if (out_step == 1 && step == 1) {
    for (long x = 0; x < width; ++x) out[x] = from[x];
  } else {
    for (long x = 0; x < width; ++x) out[x * out_step] = from[x * step];
  }
}

// Writes every `spread`-th column of one channel unit, starting at `out`: channel c comes from the floats at
// locate(c), `step` apart. Lanes past the last channel repeat it.
template <class To, class Locate>
DLFUSION_INLINE void permute(float* out, int spread, int unit, int channels, long step, int width,
                             const Locate& locate) {
  if constexpr (UNIT<To> == 1) {
    copy_strided(out, spread, locate(unit), step, width);
  } else {
    const float* lanes[LANES];
    for (int lane = 0; lane < LANES; ++lane) {
      const int channel = unit * LANES + lane;
      lanes[lane] = locate(channel < channels ? channel : channels - 1);
    }
    gather_row(out, static_cast<long>(spread) * LANES, lanes, step, width);
  }
}

}  // namespace dlfusion
