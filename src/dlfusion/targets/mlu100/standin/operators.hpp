// What the creation of operators has in common.
#pragma once
#include <string>
#include <vector>

#include "executable.hpp"

namespace standin {

// Checks a new operator and hands out its handle.
void create_operator(cnmlBaseOp_t* place, Definition definition);

// The shape of an activation. Fails unless it is a CNML_TENSOR of halves.
Shape activation_shape(cnmlTensor_t tensor, const char* what);
// The shape of an operand, which may be an activation or a constant.
Shape operand_shape(cnmlTensor_t tensor, const char* what);
// The shape of a filter or constant. Fails unless it has this type and is of halves.
Shape parameter_shape(cnmlTensor_t tensor, cnmlTensorType_t type, const char* what);
// Fails unless there is one value for each channel.
void require_channels(cnmlTensor_t constant, int channels, const char* what);

void require_shape(const Shape& shape, const Shape& expected, const char* what);
void require_no_sparsity(cnmlSparseMode_t sparse);
// One half of padding that is given as the total of both sides; they say nothing about odd totals.
int half_of_padding(int total, const char* what);

inline std::size_t as_size(int value) { return static_cast<std::size_t>(value); }

// A value for each channel, or an empty list for a missing bias.
std::vector<float> channel_values(cnmlTensor_t constant, const char* what);

// Weights as the convolution loops want them, with all numbers of the operator.
struct Convolution {
  Shape input;
  Shape output;
  int kernel_height;
  int kernel_width;
  int stride_height;
  int stride_width;
  int dilation_height;
  int dilation_width;
  int pad_top;
  int pad_left;
  int groups;
};

// A kernel of `convolution` with the filter (output channels, channels of a group, height, width) and a bias or null.
Kernel convolution_kernel(const Convolution& convolution, cnmlTensor_t filter, cnmlTensor_t bias);

}  // namespace standin
