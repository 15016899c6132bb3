// The operators of CNML that models use, one function each: what it makes is added to the block, with its parameters
// and constants. Tensors are N x C x H x W.
#pragma once
#include <vector>

#include "program.hpp"

namespace dlfusion {

// Settings with a value for the height and one for the width.
struct Window {
  int h, w;
};
struct Strides {
  int h, w;
};
struct Dilations {
  int h, w;
};
// Rows of zeros above and below, and columns left and right, taken together: CNML puts half of them on each side.
struct TotalPads {
  int h, w;
};
struct Border {
  int top, bottom, left, right;
};

// Filter: outputs x inputs x height x width. With a dilation there must be no pads: `pad` comes before instead.
void convolution(Block& block, const Tensor& input, const Tensor& output, const Constant& filter, const Constant& bias,
                 Strides strides, TotalPads pads = {0, 0}, Dilations dilations = {1, 1});

// Filter: outputs x inputs of a group x height x width.
void grouped_convolution(Block& block, const Tensor& input, const Tensor& output, const Constant& filter,
                         const Constant& bias, int groups, Strides strides, TotalPads pads = {0, 0},
                         Dilations dilations = {1, 1});

// Filter: 1 x channels x height x width.
void depthwise_convolution(Block& block, const Tensor& input, const Tensor& output, const Constant& filter,
                           const Constant& bias, Strides strides);

// Rows and columns of `value` round each map.
void pad(Block& block, const Tensor& input, const Tensor& output, Border border, float value = 0);

// The average or the maximum of each window that lies inside the map.
void pool(Block& block, const Tensor& input, const Tensor& output, cnmlPoolMode_t mode, Window window, Strides strides);

// RELU, RELU6, SIGMOID or TANH of each element.
void activation(Block& block, const Tensor& input, const Tensor& output, cnmlActiveFunction_t function);

// Elements below 0 times the slope of their channel.
void prelu(Block& block, const Tensor& input, const Tensor& output, const Constant& slope);

// alpha * x + beta, for each channel.
void scale(Block& block, const Tensor& input, const Tensor& output, const Constant& alpha, const Constant& beta);

// Sum and product of two tensors of one shape.
void add(Block& block, const Tensor& first, const Tensor& second, const Tensor& output);
void multiply(Block& block, const Tensor& first, const Tensor& second, const Tensor& output);

// The map times a factor for each image and channel, a tensor of N x C x 1 x 1.
void multiply_channels(Block& block, const Tensor& map, const Tensor& factors, const Tensor& output);

// Filter: outputs x channels x height x width of the whole input; the output is N x outputs x 1 x 1.
void fully_connected(Block& block, const Tensor& input, const Tensor& output, const Constant& filter,
                     const Constant& bias);

// Over the channels.
void softmax(Block& block, const Tensor& input, const Tensor& output);

// The channels of all inputs, one after the other.
void concatenate(Block& block, std::vector<const Tensor*> inputs, const Tensor& output);

// The channels of `groups` groups in turns: the first of each, then the second of each.
void shuffle_channels(Block& block, const Tensor& input, const Tensor& output, int groups);

// x / (k + alpha / size * sum of squares of `size` channels round its own) ^ beta.
void local_response_normalization(Block& block, const Tensor& input, const Tensor& output, int size, double alpha,
                                  double beta, double k);

// The same elements, counted in N x C x H x W order, under the shape of the output.
void reshape(Block& block, const Tensor& input, const Tensor& output);

// Axis i of the output is axis `order[i]` of the input.
struct Axes {
  int n, c, h, w;
};
void transpose(Block& block, const Tensor& input, const Tensor& output, Axes order);

// Bilinear interpolation in which the corners of input and output meet.
void interpolate(Block& block, const Tensor& input, const Tensor& output);

// The same elements.
void copy(Block& block, const Tensor& input, const Tensor& output);

}  // namespace dlfusion
