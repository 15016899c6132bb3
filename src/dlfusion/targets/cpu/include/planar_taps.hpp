// Convolutions that read planar tensors see the input as a flat list of taps: one pointer for each kernel row, input
// channel and kernel column. Few channels make for short loops; one long loop over taps costs no branch misses.
#pragma once
#include "epilogue.hpp"

namespace dlfusion {

struct PlanarShape {
  int kernel_rows;
  int row_stride;
  int row_dilation;
  int pad_top;
  int origin;         // columns from the first tap of output column 0 to input column 0
  int columns;        // of the kernel
  int column_stride;  // input columns between neighbouring kernel columns
  int group_inputs;   // channels of one group of the convolution
  int group_outputs;
  int channels;       // input channels that weights are stored for, of each group of outputs
  long weights;       // offsets into the constants
  long bias;
  EpilogueSteps steps;
};

constexpr int MAXIMUM_TAPS = 2048;

// The taps of one output row for one range of input channels, in the order [kernel row][channel][column]: kernel rows
// outside the input are a gap at the beginning or end of the weights, never inside.
struct PlanarTaps {
  const float* tap[MAXIMUM_TAPS];
  long offset[MAXIMUM_TAPS];  // of one kernel row, from the start of the input row that it meets
  int per_row;
  int count;
  int skipped;  // taps before the first one that lies inside the input
};

// Lists where the taps of one kernel row lie: once for many output rows, whose taps are then additions.
DLFUSION_INLINE void find_offsets(PlanarTaps& taps, const PlanarShape& shape, const Rows& input, int first_channel,
                                  int end_channel) {
  int count = 0;
  for (int channel = first_channel; channel < first_channel + shape.channels; ++channel) {
    // Weights are stored for the widest range; a narrower one meets zeros there, in a channel that exists.
    const long at = (channel < end_channel ? channel : end_channel - 1) * input.channel_stride - shape.origin;
    for (int c = 0; c < shape.columns; ++c) taps.offset[count++] = at + c * shape.column_stride;
  }
  taps.per_row = count;
}

// `top` is the input row that the first of `kernel_rows` meets, the others follow `dilation` rows apart.
DLFUSION_INLINE void find_taps(PlanarTaps& taps, const Rows& input, int top, int kernel_rows, int dilation) {
  const int size = taps.per_row;
  int first = 0;
  while (first < kernel_rows && top + first * dilation < 0) ++first;
  taps.skipped = first * size;
  const float** tap = taps.tap;
  for (int k = first; k < kernel_rows && top + k * dilation < input.height; ++k, tap += size) {
    const float* row = input.row(top + k * dilation);
    for (int i = 0; i < size; ++i) tap[i] = row + taps.offset[i];
  }
  taps.count = static_cast<int>(tap - taps.tap);
}

// The input channels that output channels [first, end) read.
struct ChannelRange {
  int first;
  int end;
};

DLFUSION_INLINE ChannelRange input_channels(const PlanarShape& shape, int first, int end) {
  return {first / shape.group_outputs * shape.group_inputs, ((end - 1) / shape.group_outputs + 1) * shape.group_inputs};
}

}  // namespace dlfusion
