// Normalization of groups of channels over the whole map, blocked.
#pragma once
#include "sweep.hpp"

namespace dlfusion {

struct GroupNormalizeShape {
  int group_size;  // channels in a group
  float epsilon;
  EpilogueSteps steps;
};

// What is known of each channel, in the kernel's scratch memory. Before groups are formed: its mean in one float, how far
// the exact mean lies from that, and the sum of squared distances from the exact mean. Afterwards the last two are how far
// the group's mean lies from the channel's, and what distances from it are multiplied with.
struct NormalizeTable {
  float* mean;
  float* rest;
  float* scale;
};

// The sum of term(x) over the map of one channel unit.
template <class Term>
DLFUSION_INLINE Vector sum_over_map(const Rows& input, int unit, const Term& term) {
  constexpr int CHAINS = 4;
  Vector total = {};
  for (int row = 0; row < input.height; ++row) {
    const float* from = input.row(row) + unit * input.channel_stride;
    Vector chain[CHAINS] = {};
    int x = 0;
    for (; x + CHAINS <= input.width; x += CHAINS) {
      DLFUSION_UNROLL
      for (int i = 0; i < CHAINS; ++i) chain[i] += term(load(from + static_cast<long>(x + i) * LANES));
    }
    for (; x < input.width; ++x) chain[0] += term(load(from + static_cast<long>(x) * LANES));
    total += (chain[0] + chain[1]) + (chain[2] + chain[3]);
  }
  return total;
}

// Squares are summed around the mean, and the mean's own rounding error is measured: large means cost no digits.
inline __attribute__((noinline)) void channel_statistics(const NormalizeTable& table, const Rows& input, int unit) {
  const float factor = 1.0f / static_cast<float>(static_cast<long>(input.height) * input.width);
  const Vector mean = sum_over_map(input, unit, [](Vector x) { return x; }) * factor;
  const Vector rest = sum_over_map(input, unit, [=](Vector x) { return x - mean; }) * factor;
  const Vector squares = sum_over_map(input, unit, [=](Vector x) { return (x - mean - rest) * (x - mean - rest); });
  store(table.mean + unit * LANES, mean);
  store(table.rest + unit * LANES, rest);
  store(table.scale + unit * LANES, squares);
}

// Joins the statistics of channels [begin, end) to those of their group. Doubles: a group may have many channels.
inline __attribute__((noinline)) void group_statistics(const NormalizeTable& table, int begin, int end, long pixels,
                                                       float epsilon) {
  double mean = 0.0;
  for (int c = begin; c < end; ++c) mean += static_cast<double>(table.mean[c]) + table.rest[c];
  mean /= end - begin;
  double squares = 0.0;
  for (int c = begin; c < end; ++c) {
    const double distance = (table.mean[c] - mean) + table.rest[c];
    squares += table.scale[c] + static_cast<double>(pixels) * distance * distance;
  }
  const double variance = squares / (static_cast<double>(pixels) * (end - begin));
  const float scale = (1.0f / square_root(broadcast(static_cast<float>(variance + epsilon))))[0];
  for (int c = begin; c < end; ++c) {
    table.rest[c] = static_cast<float>(mean - table.mean[c]);
    table.scale[c] = scale;
  }
}

// The statistics of all groups that have a channel in units [begin, end).
inline void find_statistics(const NormalizeTable& table, const Rows& input, int begin, int end, int group_size,
                            float epsilon) {
  const int past = end * LANES < input.channels ? end * LANES : input.channels;
  const int first_group = begin * LANES / group_size;
  const int past_group = (past + group_size - 1) / group_size;
  const int past_unit = (past_group * group_size + LANES - 1) / LANES;
  for (int unit = first_group * group_size / LANES; unit < past_unit; ++unit) channel_statistics(table, input, unit);
  const long pixels = static_cast<long>(input.height) * input.width;
  for (int group = first_group; group < past_group; ++group) {
    group_statistics(table, group * group_size, (group + 1) * group_size, pixels, epsilon);
  }
}

// Three passes over the map to find the statistics, one to apply them.
template <class Epilogue>
void group_normalize(const GroupNormalizeShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  const int units = unit_count<Blocked>(input);
  const int begin = call.part.begin(units);
  const int end = call.part.end(units);
  if (begin == end) return;
  const long channels = static_cast<long>(units) * LANES;
  const NormalizeTable table = {call.scratch, call.scratch + channels, call.scratch + 2 * channels};
  find_statistics(table, input, begin, end, shape.group_size, shape.epsilon);
  each_output_row<Blocked, Epilogue>(shape.steps, call, [&](int row, float* target, const auto& slots, int, int) {
    const float* source = input.row(row);
    for (int unit = begin; unit < end; ++unit) {
      const Vector mean = load(table.mean + unit * LANES);
      const Vector rest = load(table.rest + unit * LANES);
      const Vector scale = load(table.scale + unit * LANES);
      const float* from = source + unit * input.channel_stride;
      float* to = target + unit * output.channel_stride;
      for (long offset = 0; offset < static_cast<long>(output.width) * LANES; offset += LANES) {
        const Vector value = (load(from + offset) - mean - rest) * scale;
        store(to + offset, Epilogue::template apply<Blocked>(value, slots, unit, offset));
      }
    }
  });
}

}  // namespace dlfusion
