// How kernels see tensors: rows of all channels, in a whole tensor or in a ring that holds some of its rows.
#pragma once
#include "vector.hpp"

namespace dlfusion {

// One image of a tensor. Two layouts share this description:
//   blocked  [row][channel / LANES][pad_left + width + pad_right][LANES]   a "channel unit" is LANES channels
//   planar   [row][channel][pad_left + width + pad_right]                  a "channel unit" is one channel
// Row r lives in slot r % capacity. Whoever writes a row also writes zeros into its pad columns (`clear_pads`).
// In blocked tensors the lanes past the last channel hold anything: readers ignore them.
struct Rows {
  float* data;          // slot 0, first channel unit, column 0 (behind the left padding)
  long row_stride;      // floats from one slot to the next
  long channel_stride;  // floats from one channel unit to the next
  int capacity;         // slots
  int height;
  int width;
  int channels;
  int pad_left;         // columns of zeros before and after each row of a channel unit
  int pad_right;

  DLFUSION_INLINE float* row(int index) const { return data + (index % capacity) * row_stride; }
};

// A share of a layer's output channels: part `index` of `count`.
struct Part {
  int index;
  int count;

  DLFUSION_INLINE int begin(int units) const { return static_cast<int>(static_cast<long>(units) * index / count); }
  DLFUSION_INLINE int end(int units) const { return static_cast<int>(static_cast<long>(units) * (index + 1) / count); }
};

// What a layer's kernel is called with: produce output rows [from, to) of one image, for a part of its channels.
struct Call {
  const Rows* inputs;      // the anchor's activations, then the epilogue's operands
  const Rows* output;
  const float* constants;  // the layer's packed weights, biases and slopes, 64-byte aligned
  int from;
  int to;
  Part part;
  float* scratch = nullptr;  // as many floats as the kernel asked for, 64-byte aligned, its own during the call
};

// Zeros the padding columns of one row for channel units [begin, end); `lanes` is LANES (blocked) or 1 (planar).
DLFUSION_INLINE void clear_pads(const Rows& rows, float* row, int begin, int end, int lanes) {
  for (int unit = begin; unit < end; ++unit) {
    float* left = row + unit * rows.channel_stride - static_cast<long>(rows.pad_left) * lanes;
    for (int i = 0; i < rows.pad_left * lanes; ++i) left[i] = 0.0f;
    float* right = row + unit * rows.channel_stride + static_cast<long>(rows.width) * lanes;
    for (int i = 0; i < rows.pad_right * lanes; ++i) right[i] = 0.0f;
  }
}

}  // namespace dlfusion
