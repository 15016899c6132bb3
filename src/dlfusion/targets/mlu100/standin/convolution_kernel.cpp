// The loops of convolutions and fully connected layers, which take nearly all of the time.
#include <algorithm>
#include <cstring>

#include "operators.hpp"

namespace standin {
namespace {

// Four floats that the compiler keeps in one register. Output channels are computed sixteen at a time.
typedef float Lanes __attribute__((vector_size(16)));
constexpr int LANES = 4;
constexpr int BLOCK_REGISTERS = 4;
constexpr int BLOCK = LANES * BLOCK_REGISTERS;

int blocks_of(int channels) { return (channels + BLOCK - 1) / BLOCK; }

// Filters as [group][block of output channels][row][column][input channel][output channel of the block], with zeros
// where a block has more channels than are left.
std::vector<float> packed_filter(const Convolution& convolution, const std::vector<float>& filter) {
  const int group_inputs = convolution.input.c / convolution.groups;
  const int group_outputs = convolution.output.c / convolution.groups;
  const int taps = convolution.kernel_height * convolution.kernel_width;
  const std::size_t block_floats = as_size(taps) * as_size(group_inputs) * BLOCK;
  const std::size_t group_floats = as_size(blocks_of(group_outputs)) * block_floats;
  std::vector<float> packed(as_size(convolution.groups) * group_floats, 0.0f);
  const float* source = filter.data();
  for (int channel = 0; channel < convolution.output.c; ++channel) {
    const int group = channel / group_outputs, within = channel % group_outputs;
    float* const block = packed.data() + as_size(group) * group_floats + as_size(within / BLOCK) * block_floats;
    for (int input = 0; input < group_inputs; ++input) {
      for (int tap = 0; tap < taps; ++tap) {
        block[(as_size(tap) * as_size(group_inputs) + as_size(input)) * BLOCK + as_size(within % BLOCK)] = *source++;
      }
    }
  }
  return packed;
}

class ConvolutionKernel {
 public:
  ConvolutionKernel(const Convolution& convolution, const std::vector<float>& filter, std::vector<float> bias)
      : convolution_(convolution),
        group_inputs_(convolution.input.c / convolution.groups),
        group_outputs_(convolution.output.c / convolution.groups),
        filter_(packed_filter(convolution, filter)),
        bias_(std::move(bias)) {}

  void operator()(const float* const* inputs, float* const* outputs) const {
    const Shape& out = convolution_.output;
    const std::size_t image_floats = convolution_.input.count() / as_size(convolution_.input.n);
    float* pixel = outputs[0];
    for (int n = 0; n < out.n; ++n) {
      const float* const image = inputs[0] + as_size(n) * image_floats;
      for (int y = 0; y < out.h; ++y) {
        for (int x = 0; x < out.w; ++x, pixel += out.c) compute_pixel(image, y, x, pixel);
      }
    }
  }

 private:
  void compute_pixel(const float* image, int y, int x, float* pixel) const {
    const int blocks = blocks_of(group_outputs_);
    const std::size_t block_floats =
        as_size(convolution_.kernel_height * convolution_.kernel_width) * as_size(group_inputs_) * BLOCK;
    for (int group = 0; group < convolution_.groups; ++group) {
      const float* const channels = image + group * group_inputs_;
      for (int block = 0; block < blocks; ++block) {
        const float* const filter = filter_.data() + as_size(group * blocks + block) * block_floats;
        float sums[BLOCK];
        sum_block(channels, filter, y, x, sums);
        const int first = group * group_outputs_ + block * BLOCK;
        const int count = std::min(BLOCK, group_outputs_ - block * BLOCK);
        for (int lane = 0; lane < count; ++lane) {
          pixel[first + lane] = bias_.empty() ? sums[lane] : sums[lane] + bias_[as_size(first + lane)];
        }
      }
    }
  }

  void sum_block(const float* channels, const float* filter, int y, int x, float* sums) const {
    const Convolution& c = convolution_;
    Lanes total[BLOCK_REGISTERS] = {};
    for (int kernel_y = 0; kernel_y < c.kernel_height; ++kernel_y) {
      const int row = y * c.stride_height - c.pad_top + kernel_y * c.dilation_height;
      for (int kernel_x = 0; kernel_x < c.kernel_width; ++kernel_x) {
        const int column = x * c.stride_width - c.pad_left + kernel_x * c.dilation_width;
        if (row < 0 || row >= c.input.h || column < 0 || column >= c.input.w) continue;
        const std::size_t offset = (as_size(row) * as_size(c.input.w) + as_size(column)) * as_size(c.input.c);
        const std::size_t tap = as_size(kernel_y * c.kernel_width + kernel_x) * as_size(group_inputs_) * BLOCK;
        add_tap(channels + offset, filter + tap, total);
      }
    }
    std::memcpy(sums, total, sizeof total);
  }

  void add_tap(const float* values, const float* weights, Lanes (&total)[BLOCK_REGISTERS]) const {
    Lanes sum0 = total[0], sum1 = total[1], sum2 = total[2], sum3 = total[3];
    for (int channel = 0; channel < group_inputs_; ++channel, weights += BLOCK) {
      const float value = values[channel];
      const Lanes spread = {value, value, value, value};
      Lanes weight[BLOCK_REGISTERS];
      std::memcpy(weight, weights, sizeof weight);
      sum0 += spread * weight[0];
      sum1 += spread * weight[1];
      sum2 += spread * weight[2];
      sum3 += spread * weight[3];
    }
    total[0] = sum0;
    total[1] = sum1;
    total[2] = sum2;
    total[3] = sum3;
  }

  Convolution convolution_;
  int group_inputs_;
  int group_outputs_;
  std::vector<float> filter_;
  std::vector<float> bias_;
};

}  // namespace

Kernel convolution_kernel(const Convolution& convolution, cnmlTensor_t filter, cnmlTensor_t bias) {
  // Shared, because functions are copied and weights are large.
  const auto kernel = std::make_shared<const ConvolutionKernel>(
      convolution, constant_values(filter, CNML_NCHW, "filter"), channel_values(bias, "bias"));
  return [kernel](const float* const* inputs, float* const* outputs) { (*kernel)(inputs, outputs); };
}

}  // namespace standin
