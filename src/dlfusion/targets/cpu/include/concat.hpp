// Channels of several activations, one after the other.
#pragma once
#include "sweep.hpp"

namespace dlfusion {

constexpr int CONCAT_INPUTS = 64;

struct ConcatShape {
  int count;                   // of inputs
  int first[CONCAT_INPUTS];    // the output channel where each input begins
  bool copied[CONCAT_INPUTS];  // false if the input's producer has already written it into the output
  EpilogueSteps steps;
};

// The last input that begins at or before `channel`, looking from input `from` on.
DLFUSION_INLINE int concat_input(const ConcatShape& shape, int from, int channel) {
  while (from + 1 < shape.count && shape.first[from + 1] <= channel) ++from;
  return from;
}

// A unit that lies in one input, at the same lanes, is copied by vectors; any other one is gathered lane by lane.
// Inputs that are not copied fill whole units, up to their last channel unit, and the layer then has no epilogue.
template <class Layout, class Epilogue>
void concat(const ConcatShape& shape, const Call& call) {
  const Rows& output = *call.output;
  const long floats = static_cast<long>(output.width) * UNIT<Layout>;
  each_output_row<Layout, Epilogue>(
      shape.steps, call, [&](int row, float* target, const auto& slots, int begin, int end) {
        const float* sources[CONCAT_INPUTS];
        for (int i = 0; i < shape.count; ++i) sources[i] = shape.copied[i] ? call.inputs[i].row(row) : nullptr;
        int index = 0;
        for (int unit = begin; unit < end; ++unit) {
          const int channel = unit * UNIT<Layout>;
          const int last = channel + UNIT<Layout> < output.channels ? channel + UNIT<Layout> - 1 : output.channels - 1;
          index = concat_input(shape, index, channel);
          float* to = target + unit * output.channel_stride;
          const Rows& input = call.inputs[index];
          const int lane = channel - shape.first[index];
          if (!shape.copied[index]) continue;
          if (lane % UNIT<Layout> == 0 && last < shape.first[index] + input.channels) {
            const float* from = sources[index] + lane / UNIT<Layout> * input.channel_stride;
            each_vector(floats, [&](long i) {
              store(to + i, Epilogue::template apply<Layout>(load(from + i), slots, unit, i));
            });
          } else {
            permute<Layout>(to, 1, unit, output.channels, UNIT<Layout>, output.width, [&](int wanted) {
              const int input_index = concat_input(shape, index, wanted);
              return channel_in<Layout>(call.inputs[input_index], sources[input_index],
                                        wanted - shape.first[input_index]);
            });
            finish<Layout, Epilogue>(to, floats, slots, unit);
          }
        }
      });
}

}  // namespace dlfusion
