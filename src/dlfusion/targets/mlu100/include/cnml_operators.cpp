#include "cnml_operators.hpp"

namespace dlfusion {
namespace {

// A computation from one tensor to another, as most are.
template <typename Function>
Block::Compute from_one(Function function, const Tensor& input, const Tensor& output) {
  return [function, &input, &output](cnmlBaseOp_t op, cnrtInvokeFuncParam_t* parameters, cnrtQueue_t queue) {
    return function(op, input.data, output.data, parameters, queue);
  };
}

// A computation from two tensors.
template <typename Function>
Block::Compute from_two(Function function, const Tensor& first, const Tensor& second, const Tensor& output) {
  return [function, &first, &second, &output](cnmlBaseOp_t op, cnrtInvokeFuncParam_t* parameters, cnrtQueue_t queue) {
    return function(op, first.data, second.data, output.data, parameters, queue);
  };
}

cnmlConvOpParam_t convolution_parameters(Block& block, const Tensor& output, Strides strides, TotalPads pads,
                                         Dilations dilations) {
  return block.parameters<cnmlConvOpParam_t, cnmlDestroyConvOpParam>(
      "cnmlCreateConvOpParam", output, [&](cnmlConvOpParam_t* made) {
        return cnmlCreateConvOpParam(made, strides.h, strides.w, dilations.h, dilations.w, pads.h, pads.w,
                                     CNML_NoSparse);
      });
}

}  // namespace

void convolution(Block& block, const Tensor& input, const Tensor& output, const Constant& filter, const Constant& bias,
                 Strides strides, TotalPads pads, Dilations dilations) {
  const auto parameters = convolution_parameters(block, output, strides, pads, dilations);
  block.add(
      "Conv", output,
      [&](cnmlBaseOp_t* op) {
        return cnmlCreateConvOp(op, parameters, input.device.get(), output.device.get(), filter.device.get(),
                                bias.device.get());
      },
      from_one(cnmlComputeConvOpForward_V3, input, output), {&filter, &bias});
}

void grouped_convolution(Block& block, const Tensor& input, const Tensor& output, const Constant& filter,
                         const Constant& bias, int groups, Strides strides, TotalPads pads, Dilations dilations) {
  const auto parameters = convolution_parameters(block, output, strides, pads, dilations);
  block.add(
      "ConvGroup", output,
      [&](cnmlBaseOp_t* op) {
        return cnmlCreateConvGroupOp(op, parameters, input.device.get(), output.device.get(), filter.device.get(),
                                     bias.device.get(), groups);
      },
      from_one(cnmlComputeConvGroupOpForward_V3, input, output), {&filter, &bias});
}

void depthwise_convolution(Block& block, const Tensor& input, const Tensor& output, const Constant& filter,
                           const Constant& bias, Strides strides) {
  const auto parameters = block.parameters<cnmlConvDepthwiseOpParam_t, cnmlDestroyConvDepthwiseOpParam>(
      "cnmlCreateConvDepthwiseOpParam", output, [&](cnmlConvDepthwiseOpParam_t* made) {
        return cnmlCreateConvDepthwiseOpParam(made, strides.h, strides.w);
      });
  block.add(
      "ConvDepthwise", output,
      [&](cnmlBaseOp_t* op) {
        return cnmlCreateConvDepthwiseOp(op, parameters, input.device.get(), output.device.get(), filter.device.get(),
                                         bias.device.get());
      },
      from_one(cnmlComputeConvDepthwiseOpForward_V3, input, output), {&filter, &bias});
}

void pad(Block& block, const Tensor& input, const Tensor& output, Border border, float value) {
  const auto parameters = block.parameters<cnmlAddPadOpParam_t, cnmlDestroyAddPadOpParam>(
      "cnmlCreateAddPadOp4Param", output, [&](cnmlAddPadOpParam_t* made) {
        return cnmlCreateAddPadOp4Param(made, border.top, border.bottom, border.left, border.right, value);
      });
  block.add(
      "AddPad", output,
      [&](cnmlBaseOp_t* op) { return cnmlCreateAddPadOp(op, parameters, input.device.get(), output.device.get()); },
      from_one(cnmlComputeAddPadOpForward_V3, input, output));
}

void pool(Block& block, const Tensor& input, const Tensor& output, cnmlPoolMode_t mode, Window window,
          Strides strides) {
  // Cambricon's Caffe never uses the fields for padding and dilation: they stay 0, and `pad` comes before.
  const auto parameters = block.parameters<cnmlPoolOpParam_t, cnmlDestroyPoolOpParam>(
      "cnmlCreatePoolOpParam", output, [&](cnmlPoolOpParam_t* made) {
        return cnmlCreatePoolOpParam(made, window.h, window.w, strides.h, strides.w, 0, 0, 0, 0, mode,
                                     CNML_POOL_KVALID, false);
      });
  block.add(
      "Pool", output,
      [&](cnmlBaseOp_t* op) { return cnmlCreatePoolOp(op, parameters, input.device.get(), output.device.get()); },
      from_one(cnmlComputePoolOpForward_V3, input, output));
}

void activation(Block& block, const Tensor& input, const Tensor& output, cnmlActiveFunction_t function) {
  block.add(
      "Active", output,
      [&](cnmlBaseOp_t* op) { return cnmlCreateActiveOp(op, function, input.device.get(), output.device.get()); },
      from_one(cnmlComputeActiveOpForward_V3, input, output));
}

void prelu(Block& block, const Tensor& input, const Tensor& output, const Constant& slope) {
  block.add(
      "Prelu", output,
      [&](cnmlBaseOp_t* op) {
        return cnmlCreatePreluOp(op, input.device.get(), output.device.get(), slope.device.get());
      },
      from_one(cnmlComputePreluOpForward_V3, input, output), {&slope});
}

void scale(Block& block, const Tensor& input, const Tensor& output, const Constant& alpha, const Constant& beta) {
  block.add(
      "Scale", output,
      [&](cnmlBaseOp_t* op) {
        return cnmlCreateScaleOp(op, input.device.get(), output.device.get(), alpha.device.get(), beta.device.get());
      },
      from_one(cnmlComputeScaleOpForward_V3, input, output), {&alpha, &beta});
}

void add(Block& block, const Tensor& first, const Tensor& second, const Tensor& output) {
  block.add(
      "Add", output,
      [&](cnmlBaseOp_t* op) {
        return cnmlCreateAddOp(op, first.device.get(), second.device.get(), output.device.get());
      },
      from_two(cnmlComputeAddOpForward_V3, first, second, output));
}

void multiply(Block& block, const Tensor& first, const Tensor& second, const Tensor& output) {
  block.add(
      "Mult", output,
      [&](cnmlBaseOp_t* op) {
        return cnmlCreateMultOp(op, first.device.get(), second.device.get(), output.device.get());
      },
      from_two(cnmlComputeMultOpForward_V3, first, second, output));
}

void multiply_channels(Block& block, const Tensor& map, const Tensor& factors, const Tensor& output) {
  // The factors of CycleMult are 1 x C x 1 x 1; of several images each has its own, which is a broadcast.
  const bool cycles = factors.shape.n == 1;
  block.add(
      cycles ? "CycleMult" : "BroadcastMult", output,
      [&](cnmlBaseOp_t* op) {
        const auto create = cycles ? cnmlCreateCycleMultOp : cnmlCreateBroadcastMultOp;
        return create(op, map.device.get(), factors.device.get(), output.device.get());
      },
      from_two(cycles ? cnmlComputeCycleMultOpForward_V3 : cnmlComputeBroadcastMultOpForward_V3, map, factors, output));
}

void fully_connected(Block& block, const Tensor& input, const Tensor& output, const Constant& filter,
                     const Constant& bias) {
  block.add(
      "Mlp", output,
      [&](cnmlBaseOp_t* op) {
        return cnmlCreateMlpOp(op, input.device.get(), output.device.get(), filter.device.get(), bias.device.get(),
                               CNML_NoSparse);
      },
      from_one(cnmlComputeMlpOpForward_V3, input, output), {&filter, &bias});
}

void softmax(Block& block, const Tensor& input, const Tensor& output) {
  block.add(
      "Softmax", output,
      [&](cnmlBaseOp_t* op) {
        return cnmlCreateSoftmaxOp(op, CNML_SOFTMAX_DIM_C, input.device.get(), output.device.get());
      },
      from_one(cnmlComputeSoftmaxOpForward_V3, input, output));
}

void concatenate(Block& block, std::vector<const Tensor*> inputs, const Tensor& output) {
  const int count = static_cast<int>(inputs.size());
  const auto parameters = block.parameters<cnmlConcatOpParam_t, cnmlDestroyConcatOpParam>(
      "cnmlCreateConcatOpParam", output,
      [&](cnmlConcatOpParam_t* made) { return cnmlCreateConcatOpParam(made, count, 1, CNML_CONCAT_FEAT); });
  std::vector<cnmlTensor_t> from;
  for (const Tensor* input : inputs) from.push_back(input->device.get());
  cnmlTensor_t to[] = {output.device.get()};
  block.add(
      "Concat", output,
      [&](cnmlBaseOp_t* op) { return cnmlCreateConcatOp(op, parameters, from.data(), count, to, 1); },
      [inputs, count, &output](cnmlBaseOp_t op, cnrtInvokeFuncParam_t* invoke, cnrtQueue_t queue) {
        std::vector<void*> sources;
        for (const Tensor* input : inputs) sources.push_back(input->data);
        void* targets[] = {output.data};
        return cnmlComputeConcatOpForward_V3(op, sources.data(), count, targets, 1, invoke, queue);
      });
}

void shuffle_channels(Block& block, const Tensor& input, const Tensor& output, int groups) {
  cnmlTensor_t from[] = {input.device.get()}, to[] = {output.device.get()};
  block.add(
      "ShuffleChannel", output, [&](cnmlBaseOp_t* op) { return cnmlCreateShuffleChannelOp(op, from, to, groups); },
      [&input, &output](cnmlBaseOp_t op, cnrtInvokeFuncParam_t* invoke, cnrtQueue_t queue) {
        void* sources[] = {input.data};
        void* targets[] = {output.data};
        return cnmlComputeShuffleChannelOpForward_V3(op, sources, targets, invoke, queue);
      });
}

void local_response_normalization(Block& block, const Tensor& input, const Tensor& output, int size, double alpha,
                                  double beta, double k) {
  // V3 divides alpha by the size everywhere, as ONNX does.
  const auto parameters = block.parameters<cnmlLrnOpParam_t, cnmlDestroyLrnOpParam>(
      "cnmlCreateLrnOpParam", output,
      [&](cnmlLrnOpParam_t* made) { return cnmlCreateLrnOpParam(made, CNML_LRN_V3, size, alpha, beta, k); });
  block.add(
      "Lrn", output,
      [&](cnmlBaseOp_t* op) { return cnmlCreateLrnOp(op, parameters, input.device.get(), output.device.get()); },
      from_one(cnmlComputeLrnOpForward_V3, input, output));
}

void reshape(Block& block, const Tensor& input, const Tensor& output) {
  const Shape shape = output.shape;
  const auto parameters = block.parameters<cnmlReshapeOpParam_t, cnmlDestroyReshapeOpParam>(
      "cnmlCreateReshapeOpParam", output, [&](cnmlReshapeOpParam_t* made) {
        return cnmlCreateReshapeOpParam(made, shape.n, shape.c, shape.h, shape.w, CNML_NCHW);
      });
  block.add(
      "Reshape", output,
      [&](cnmlBaseOp_t* op) { return cnmlCreateReshapeOp(op, parameters, input.device.get(), output.device.get()); },
      from_one(cnmlComputeReshapeOpForward_V3, input, output));
}

void transpose(Block& block, const Tensor& input, const Tensor& output, Axes order) {
  const auto parameters = block.parameters<cnmlTransposeOpParam_t, cnmlDestroyTransposeOpParam>(
      "cnmlCreateTransposeOpParam", output, [&](cnmlTransposeOpParam_t* made) {
        return cnmlCreateTransposeOpParam(made, CNML_NCHW, order.n, order.c, order.h, order.w);
      });
  block.add(
      "TransposePro", output,
      [&](cnmlBaseOp_t* op) {
        return cnmlCreateTransposeProOp(op, input.device.get(), output.device.get(), parameters);
      },
      from_one(cnmlComputeTransposeProOpForward_V3, input, output));
}

void interpolate(Block& block, const Tensor& input, const Tensor& output) {
  const auto parameters = block.parameters<cnmlInterpOpParam_t, cnmlDestroyInterpOpParam>(
      "cnmlCreateInterpOpParam", output, [&](cnmlInterpOpParam_t* made) {
        return cnmlCreateInterpOpParam(made, output.shape.w, output.shape.h, true);
      });
  block.add(
      "Interp", output,
      [&](cnmlBaseOp_t* op) { return cnmlCreateInterpOp(op, input.device.get(), output.device.get(), parameters); },
      from_one(cnmlComputeInterpOpForward_V3, input, output));
}

void copy(Block& block, const Tensor& input, const Tensor& output) {
  block.add(
      "DeviceMemcpy", output,
      [&](cnmlBaseOp_t* op) { return cnmlCreateDeviceMemcpyOp(op, input.device.get(), output.device.get()); },
      from_one(cnmlComputeDeviceMemcpyOpForward_V3, input, output));
}

}  // namespace dlfusion
