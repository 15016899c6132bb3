// Convolutions, fully connected layers, and products of matrices.
#include <algorithm>

#include "operators.hpp"

using namespace standin;

struct cnmlConvOpParam {
  static constexpr const char* KIND = "convolution parameter";
  int stride_height;
  int stride_width;
  int dilation_height;
  int dilation_width;
  int pad_height;  // on one side
  int pad_width;
};

struct cnmlConvDepthwiseOpParam {
  static constexpr const char* KIND = "depthwise convolution parameter";
  int stride_height;
  int stride_width;
  int pad_height;  // on one side
  int pad_width;
};

namespace {

void require_strides(int height, int width) {
  require(height >= 1 && width >= 1, Fault::BAD_VALUE, "strides must be at least 1");
}

// How many windows fit along one axis. The device needs the whole (dilated) kernel to fit into the map without padding.
int windows(int size, int kernel, int stride, int dilation, int pad) {
  const int extent = (kernel - 1) * dilation + 1;
  require(extent <= size, Fault::BAD_SHAPE,
          "the kernel reaches over " + std::to_string(extent) + " elements, but the map has " + std::to_string(size) +
              " along that axis without padding");
  return (size + 2 * pad - extent) / stride + 1;
}

void require_bias(cnmlTensor_t bias, int channels) {
  if (bias != nullptr) require_channels(bias, channels, "bias");
}

std::vector<cnmlTensor_t> parameters_of(cnmlTensor_t filter, cnmlTensor_t bias) {
  return bias == nullptr ? std::vector<cnmlTensor_t>{filter} : std::vector<cnmlTensor_t>{filter, bias};
}

struct ConvolutionTensors {
  cnmlTensor_t input;
  cnmlTensor_t output;
  cnmlTensor_t filter;
  cnmlTensor_t bias;
};

// The numbers of a convolution, once the tensors are known to fit.
Convolution checked_convolution(const cnmlConvOpParam& param, const ConvolutionTensors& tensors, int groups) {
  const Shape in = activation_shape(tensors.input, "input"), out = activation_shape(tensors.output, "output");
  const Shape filter = parameter_shape(tensors.filter, CNML_FILTER, "filter");
  require(groups >= 1 && in.c % groups == 0 && out.c % groups == 0, Fault::BAD_SHAPE,
          "the channels (" + std::to_string(in.c) + " in, " + std::to_string(out.c) + " out) do not divide into " +
              std::to_string(groups) + " groups");
  require_shape(filter, {out.c, in.c / groups, filter.h, filter.w}, "filter");
  const int height = windows(in.h, filter.h, param.stride_height, param.dilation_height, param.pad_height);
  const int width = windows(in.w, filter.w, param.stride_width, param.dilation_width, param.pad_width);
  require_shape(out, {in.n, out.c, height, width}, "output");
  require_bias(tensors.bias, out.c);
  return {in,
          out,
          filter.h,
          filter.w,
          param.stride_height,
          param.stride_width,
          param.dilation_height,
          param.dilation_width,
          param.pad_height,
          param.pad_width,
          groups};
}

void create_convolution(cnmlBaseOp_t* op, const char* name, cnmlConvOpParam_t param, const ConvolutionTensors& tensors,
                        int groups) {
  const cnmlConvOpParam numbers = object_at(param);
  create_operator(op, {name,
                       {tensors.input},
                       {tensors.output},
                       parameters_of(tensors.filter, tensors.bias),
                       false,
                       [=] { checked_convolution(numbers, tensors, groups); },
                       [=] {
                         const Convolution convolution = checked_convolution(numbers, tensors, groups);
                         return convolution_kernel(convolution, tensors.filter, tensors.bias);
                       }});
}

// A depthwise convolution is a grouped one whose filter names its channels along another axis.
Convolution checked_depthwise(const cnmlConvDepthwiseOpParam& param, const ConvolutionTensors& tensors) {
  const Shape in = activation_shape(tensors.input, "input"), out = activation_shape(tensors.output, "output");
  const Shape filter = parameter_shape(tensors.filter, CNML_FILTER, "filter");
  require_shape(filter, {1, in.c, filter.h, filter.w}, "filter");
  const int height = windows(in.h, filter.h, param.stride_height, 1, param.pad_height);
  const int width = windows(in.w, filter.w, param.stride_width, 1, param.pad_width);
  require_shape(out, {in.n, in.c, height, width}, "output");
  require_bias(tensors.bias, out.c);
  return {in, out, filter.h, filter.w, param.stride_height, param.stride_width, 1, 1, param.pad_height,
          param.pad_width, in.c};
}

// Every output channel from one input channel: the inner loop runs over the channels, which lie side by side.
Kernel depthwise_kernel(const Convolution& c, std::vector<float> filter, std::vector<float> bias) {
  return [=](const float* const* inputs, float* const* outputs) {
    const std::size_t channels = as_size(c.input.c);
    float* pixel = outputs[0];
    for (int n = 0; n < c.output.n; ++n) {
      for (int y = 0; y < c.output.h; ++y) {
        for (int x = 0; x < c.output.w; ++x, pixel += channels) {
          std::fill_n(pixel, channels, 0.0f);
          for (int tap = 0; tap < c.kernel_height * c.kernel_width; ++tap) {
            const int row = y * c.stride_height - c.pad_top + tap / c.kernel_width;
            const int column = x * c.stride_width - c.pad_left + tap % c.kernel_width;
            if (row < 0 || row >= c.input.h || column < 0 || column >= c.input.w) continue;
            const std::size_t position = as_size(n * c.input.h + row) * as_size(c.input.w) + as_size(column);
            const float* const values = inputs[0] + position * channels;
            const float* const weights = filter.data() + as_size(tap) * channels;
            for (std::size_t i = 0; i < channels; ++i) pixel[i] += values[i] * weights[i];
          }
          if (bias.empty()) continue;
          for (std::size_t i = 0; i < channels; ++i) pixel[i] += bias[i];
        }
      }
    }
  };
}

// A fully connected layer is a convolution whose kernel is the whole map.
Convolution checked_mlp(const ConvolutionTensors& tensors) {
  const Shape in = activation_shape(tensors.input, "input"), out = activation_shape(tensors.output, "output");
  require_shape(parameter_shape(tensors.filter, CNML_FILTER, "filter"), {out.c, in.c, in.h, in.w}, "filter");
  require_shape(out, {in.n, out.c, 1, 1}, "output");
  require_bias(tensors.bias, out.c);
  return {in, out, in.h, in.w, 1, 1, 1, 1, 0, 0, 1};
}

struct MatrixSizes {
  int rows;
  int inner;
  int columns;
};

// Matrices lie along the axes n and c: the facts at hand name no shapes, so this is our reading.
MatrixSizes checked_product(cnmlTensor_t lhs, cnmlTensor_t rhs, cnmlTensor_t output, cnmlTensor_t bias) {
  const Shape left = activation_shape(lhs, "left matrix"), right = operand_shape(rhs, "right matrix");
  require_shape(left, {left.n, left.c, 1, 1}, "left matrix");
  require_shape(right, {left.c, right.c, 1, 1}, "right matrix");
  require_shape(activation_shape(output, "output"), {left.n, right.c, 1, 1}, "output");
  require_bias(bias, right.c);
  return {left.n, left.c, right.c};
}

Kernel product_kernel(const MatrixSizes& sizes, std::vector<float> bias) {
  return [=](const float* const* inputs, float* const* outputs) {
    for (int row = 0; row < sizes.rows; ++row) {
      float* const result = outputs[0] + row * sizes.columns;
      for (int column = 0; column < sizes.columns; ++column) result[column] = 0.0f;
      for (int inner = 0; inner < sizes.inner; ++inner) {
        const float value = inputs[0][row * sizes.inner + inner];
        for (int column = 0; column < sizes.columns; ++column) {
          result[column] += value * inputs[1][inner * sizes.columns + column];
        }
      }
      if (bias.empty()) continue;
      for (int column = 0; column < sizes.columns; ++column) result[column] += bias[as_size(column)];
    }
  };
}

}  // namespace

cnmlStatus_t cnmlCreateConvOpParam(cnmlConvOpParam_t* param, int stride_height, int stride_width, int dilation_height,
                                   int dilation_width, int pad_height, int pad_width, cnmlSparseMode_t sparse) {
  return cnml_call("cnmlCreateConvOpParam", [&] {
    require_strides(stride_height, stride_width);
    require(dilation_height >= 1 && dilation_width >= 1, Fault::BAD_VALUE, "dilations must be at least 1");
    const int pad_top = half_of_padding(pad_height, "the padding of the height");
    const int pad_left = half_of_padding(pad_width, "the padding of the width");
    require((dilation_height == 1 && dilation_width == 1) || (pad_height == 0 && pad_width == 0), Fault::UNSUPPORTED,
            "a dilated convolution cannot pad; put an AddPad operator before it");
    require_no_sparsity(sparse);
    create(param, cnmlConvOpParam{stride_height, stride_width, dilation_height, dilation_width, pad_top, pad_left});
  });
}

cnmlStatus_t cnmlDestroyConvOpParam(cnmlConvOpParam_t* param) { return destroy("cnmlDestroyConvOpParam", param); }

cnmlStatus_t cnmlCreateConvOp(cnmlBaseOp_t* op, cnmlConvOpParam_t param, cnmlTensor_t input_tensor,
                              cnmlTensor_t output_tensor, cnmlTensor_t filter_tensor, cnmlTensor_t bias_tensor) {
  return cnml_call("cnmlCreateConvOp", [&] {
    create_convolution(op, "Conv", param, {input_tensor, output_tensor, filter_tensor, bias_tensor}, 1);
  });
}

cnmlStatus_t cnmlCreateConvGroupOp(cnmlBaseOp_t* op, cnmlConvOpParam_t param, cnmlTensor_t input_tensor,
                                   cnmlTensor_t output_tensor, cnmlTensor_t filter_tensor, cnmlTensor_t bias_tensor,
                                   int group) {
  return cnml_call("cnmlCreateConvGroupOp", [&] {
    create_convolution(op, "ConvGroup", param, {input_tensor, output_tensor, filter_tensor, bias_tensor}, group);
  });
}

cnmlStatus_t cnmlCreateConvDepthwiseOpParam(cnmlConvDepthwiseOpParam_t* param, int stride_height, int stride_width) {
  return cnmlCreateConvDepthwiseOpParam_V3(param, stride_height, stride_width, 0, 0);
}

cnmlStatus_t cnmlCreateConvDepthwiseOpParam_V3(cnmlConvDepthwiseOpParam_t* param, int stride_height, int stride_width,
                                               int pad_height, int pad_width) {
  return cnml_call("cnmlCreateConvDepthwiseOpParam", [&] {
    require_strides(stride_height, stride_width);
    create(param, cnmlConvDepthwiseOpParam{stride_height, stride_width,
                                           half_of_padding(pad_height, "the padding of the height"),
                                           half_of_padding(pad_width, "the padding of the width")});
  });
}

cnmlStatus_t cnmlDestroyConvDepthwiseOpParam(cnmlConvDepthwiseOpParam_t* param) {
  return destroy("cnmlDestroyConvDepthwiseOpParam", param);
}

cnmlStatus_t cnmlCreateConvDepthwiseOp(cnmlBaseOp_t* op, cnmlConvDepthwiseOpParam_t param, cnmlTensor_t input_tensor,
                                       cnmlTensor_t output_tensor, cnmlTensor_t filter_tensor,
                                       cnmlTensor_t bias_tensor) {
  return cnml_call("cnmlCreateConvDepthwiseOp", [&] {
    const cnmlConvDepthwiseOpParam numbers = object_at(param);
    const ConvolutionTensors tensors{input_tensor, output_tensor, filter_tensor, bias_tensor};
    create_operator(op, {"ConvDepthwise",
                         {input_tensor},
                         {output_tensor},
                         parameters_of(filter_tensor, bias_tensor),
                         false,
                         [=] { checked_depthwise(numbers, tensors); },
                         [=] {
                           return depthwise_kernel(checked_depthwise(numbers, tensors),
                                                   constant_values(tensors.filter, CNML_NHWC, "filter"),
                                                   channel_values(tensors.bias, "bias"));
                         }});
  });
}

cnmlStatus_t cnmlCreateMlpOp(cnmlBaseOp_t* op, cnmlTensor_t input_tensor, cnmlTensor_t output_tensor,
                             cnmlTensor_t filter_tensor, cnmlTensor_t bias_tensor, cnmlSparseMode_t sparse) {
  return cnml_call("cnmlCreateMlpOp", [&] {
    require_no_sparsity(sparse);
    const ConvolutionTensors tensors{input_tensor, output_tensor, filter_tensor, bias_tensor};
    create_operator(op, {"Mlp",
                         {input_tensor},
                         {output_tensor},
                         parameters_of(filter_tensor, bias_tensor),
                         false,
                         [=] { checked_mlp(tensors); },
                         [=] { return convolution_kernel(checked_mlp(tensors), tensors.filter, tensors.bias); }});
  });
}

cnmlStatus_t cnmlCreateMatrixMultOp(cnmlBaseOp_t* op, cnmlTensor_t lhs_tensor, cnmlTensor_t rhs_tensor,
                                    cnmlTensor_t output_tensor, cnmlTensor_t bias_tensor) {
  return cnml_call("cnmlCreateMatrixMultOp", [&] {
    const auto sizes = [=] { return checked_product(lhs_tensor, rhs_tensor, output_tensor, bias_tensor); };
    std::vector<cnmlTensor_t> parameters;
    if (bias_tensor != nullptr) parameters.push_back(bias_tensor);
    create_operator(op, {"MatrixMult",
                         {lhs_tensor, rhs_tensor},
                         {output_tensor},
                         parameters,
                         false,
                         [=] { sizes(); },
                         [=] { return product_kernel(sizes(), channel_values(bias_tensor, "bias")); }});
  });
}
