// The same elements, counted in C x H x W order, under other sizes.
#pragma once
#include "sweep.hpp"

namespace dlfusion {

struct ReshapeShape {
  EpilogueSteps steps;
};

// A place in the input that moves on by one element at a time.
template <class Layout>
class ReshapeCursor {
 public:
  DLFUSION_INLINE ReshapeCursor(const Rows& input, long element) : input_(input) { seek(element); }
  DLFUSION_INLINE void seek(long element) {
    const long map = static_cast<long>(input_.height) * input_.width;
    channel_ = static_cast<int>(element / map);
    row_ = static_cast<int>(element % map / input_.width);
    column_ = static_cast<int>(element % input_.width);
    find();
  }
  DLFUSION_INLINE float next() {
    const float value = *from_;
    from_ += UNIT<Layout>;
    if (++column_ == input_.width) {
      column_ = 0;
      if (++row_ == input_.height) {
        row_ = 0;
        ++channel_;
      }
      if (channel_ < input_.channels) find();
    }
    return value;
  }

 private:
  DLFUSION_INLINE void find() {
    from_ = channel_in<Layout>(input_, input_.row(row_), channel_) + static_cast<long>(column_) * UNIT<Layout>;
  }

  const Rows& input_;
  const float* from_;
  int channel_;
  int row_;
  int column_;
};

// Not cut by channels: call.part is the whole.
template <class From, class To, class Epilogue>
void reshape(const ReshapeShape& shape, const Call& call) {
  const Rows& input = call.inputs[0];
  const Rows& output = *call.output;
  each_output_row<To, Epilogue>(shape.steps, call, [&](int row, float* target, const auto& slots, int, int units) {
    ReshapeCursor<From> cursor(input, static_cast<long>(row) * output.width);
    for (int channel = 0; channel < output.channels; ++channel) {
      // With one output row the channels follow each other, and the cursor is there already.
      if (output.height > 1) cursor.seek((static_cast<long>(channel) * output.height + row) * output.width);
      float* to = target + (channel / UNIT<To>)*output.channel_stride + channel % UNIT<To>;
      for (int x = 0; x < output.width; ++x) to[x * UNIT<To>] = cursor.next();
    }
    for (int unit = 0; unit < units; ++unit) {
      finish<To, Epilogue>(target + unit * output.channel_stride, static_cast<long>(output.width) * UNIT<To>, slots,
                           unit);
    }
  });
}

}  // namespace dlfusion
