// Operators that move elements and change none: concatenation, splitting, reshaping, transposition, shuffling.
#include <algorithm>

#include "operators.hpp"

using namespace standin;

// Of concatenation and splitting, which say the same the other way round.
struct JoinNumbers {
  int inputs;
  int outputs;
  Axis axis;
};

struct cnmlConcatOpParam : JoinNumbers {
  static constexpr const char* KIND = "concatenation parameter";
};

struct cnmlSplitOpParam : JoinNumbers {
  static constexpr const char* KIND = "split parameter";
};

struct cnmlReshapeOpParam {
  static constexpr const char* KIND = "reshape parameter";
  Shape shape;
  cnmlDataOrder_t order;
};

struct cnmlTransposeOpParam {
  static constexpr const char* KIND = "transposition parameter";
  // For each place of the order, the axis (by its letter) that the output has there and where the input has it.
  std::array<int, 4> target_axes;
  std::array<int, 4> source_axes;
};

namespace {

Axis join_axis(int mode) {
  static const Axis AXES[] = {AXIS_C, AXIS_N, AXIS_H, AXIS_W};
  require(mode >= 0 && mode < 4, Fault::BAD_VALUE, "no such axis to join or split along");
  return AXES[mode];
}

std::vector<cnmlTensor_t> listed(const cnmlTensor_t* tensors, int count, int expected, const char* what) {
  require_argument(tensors, what);
  require(count == expected, Fault::BAD_VALUE,
          std::string(what) + ": " + std::to_string(count) + " are passed, but the parameter says " +
              std::to_string(expected));
  return {tensors, tensors + count};
}

// Fails unless the parts, one behind the other along the axis, are the whole.
void check_parts(const std::vector<cnmlTensor_t>& parts, cnmlTensor_t whole, Axis axis) {
  const std::array<int, 4> expected = sizes_of(activation_shape(whole, "whole"));
  int total = 0;
  for (const cnmlTensor_t part : parts) {
    std::array<int, 4> sizes = sizes_of(activation_shape(part, "part"));
    total += sizes[axis];
    sizes[axis] = expected[axis];
    require(sizes == expected, Fault::BAD_SHAPE,
            "a part of " + object_at(part).shape.text() + " does not fit a whole of " +
                object_at(whole).shape.text());
  }
  require(total == expected[axis], Fault::BAD_SHAPE,
          "the parts have " + std::to_string(total) + " elements along the axis, the whole " +
              std::to_string(expected[axis]));
}

// Elements of each part that lie side by side, for one index of the axes outside.
struct Chunks {
  std::size_t outer;
  std::vector<std::size_t> sizes;
};

Chunks chunks_of(const std::vector<cnmlTensor_t>& parts, Axis axis) {
  const Shape first = object_at(parts.front()).shape;
  const std::size_t inner = strides_of(first, CNML_NHWC)[axis];
  Chunks chunks{first.count() / inner / as_size(sizes_of(first)[axis]), {}};
  for (const cnmlTensor_t part : parts) {
    const Shape shape = object_at(part).shape;
    chunks.sizes.push_back(as_size(sizes_of(shape)[axis]) * inner);
  }
  return chunks;
}

Kernel concat_kernel(const Chunks& chunks) {
  return [=](const float* const* inputs, float* const* outputs) {
    float* target = outputs[0];
    for (std::size_t outer = 0; outer < chunks.outer; ++outer) {
      for (std::size_t part = 0; part < chunks.sizes.size(); ++part) {
        target = std::copy_n(inputs[part] + outer * chunks.sizes[part], chunks.sizes[part], target);
      }
    }
  };
}

Kernel split_kernel(const Chunks& chunks) {
  return [=](const float* const* inputs, float* const* outputs) {
    const float* source = inputs[0];
    for (std::size_t outer = 0; outer < chunks.outer; ++outer) {
      for (std::size_t part = 0; part < chunks.sizes.size(); ++part) {
        std::copy_n(source, chunks.sizes[part], outputs[part] + outer * chunks.sizes[part]);
        source += chunks.sizes[part];
      }
    }
  };
}

void check_reshape(const cnmlReshapeOpParam& param, cnmlTensor_t input, cnmlTensor_t output) {
  const Shape in = activation_shape(input, "input");
  require_shape(activation_shape(output, "output"), param.shape, "output");
  require(in.count() == param.shape.count(), Fault::BAD_SHAPE,
          "the input has " + std::to_string(in.count()) + " elements, the output " +
              std::to_string(param.shape.count()));
}

// Elements keep their sequence in the host's order, not in the device's.
Kernel reshape_kernel(const cnmlReshapeOpParam& param, const Shape& in) {
  return [=](const float* const* inputs, float* const* outputs) {
    std::vector<float> sequence(in.count());
    for_each_element(in, strides_of(in, CNML_NHWC), strides_of(in, param.order),
                     [&](std::size_t from, std::size_t to) { sequence[to] = inputs[0][from]; });
    const Shape& out = param.shape;
    for_each_element(out, strides_of(out, param.order), strides_of(out, CNML_NHWC),
                     [&](std::size_t from, std::size_t to) { outputs[0][to] = sequence[from]; });
  };
}

Shape transposed_shape(const cnmlTransposeOpParam& param, const Shape& in) {
  std::array<int, 4> sizes{};
  for (std::size_t place = 0; place < 4; ++place) {
    sizes[as_size(param.target_axes[place])] = sizes_of(in)[as_size(param.source_axes[place])];
  }
  return {sizes[AXIS_N], sizes[AXIS_C], sizes[AXIS_H], sizes[AXIS_W]};
}

Kernel transpose_kernel(const cnmlTransposeOpParam& param, const Shape& in) {
  const Shape out = transposed_shape(param, in);
  const std::array<std::size_t, 4> input_strides = strides_of(in, CNML_NHWC);
  std::array<std::size_t, 4> from{};
  for (std::size_t place = 0; place < 4; ++place) {
    from[as_size(param.target_axes[place])] = input_strides[as_size(param.source_axes[place])];
  }
  return [=](const float* const* inputs, float* const* outputs) {
    for_each_element(out, from, strides_of(out, CNML_NHWC),
                     [&](std::size_t source, std::size_t target) { outputs[0][target] = inputs[0][source]; });
  };
}

void check_same_shape(cnmlTensor_t input, cnmlTensor_t output) {
  require_shape(activation_shape(output, "output"), activation_shape(input, "input"), "output");
}

void check_shuffle(cnmlTensor_t input, cnmlTensor_t output, int group) {
  check_same_shape(input, output);
  const int channels = object_at(input).shape.c;
  require(group >= 1 && channels % group == 0, Fault::BAD_SHAPE,
          std::to_string(channels) + " channels do not divide into " + std::to_string(group) + " groups");
}

// Channel j of group i becomes channel j * groups + i.
Kernel shuffle_kernel(const Shape& shape, int groups) {
  return [=](const float* const* inputs, float* const* outputs) {
    const std::size_t channels = as_size(shape.c), in_group = channels / as_size(groups);
    for (std::size_t pixel = 0; pixel < shape.count(); pixel += channels) {
      for (std::size_t c = 0; c < channels; ++c) {
        outputs[0][pixel + c % in_group * as_size(groups) + c / in_group] = inputs[0][pixel + c];
      }
    }
  };
}

}  // namespace

cnmlStatus_t cnmlCreateConcatOpParam(cnmlConcatOpParam_t* param, int input_num, int output_num,
                                     cnmlConcatMode_t mode) {
  return cnml_call("cnmlCreateConcatOpParam", [&] {
    require(input_num >= 1 && output_num == 1, Fault::BAD_VALUE, "a concatenation has inputs and exactly 1 output");
    create(param, cnmlConcatOpParam{{input_num, output_num, join_axis(mode)}});
  });
}

cnmlStatus_t cnmlDestroyConcatOpParam(cnmlConcatOpParam_t* param) { return destroy("cnmlDestroyConcatOpParam", param); }

cnmlStatus_t cnmlCreateConcatOp(cnmlBaseOp_t* op, cnmlConcatOpParam_t param, cnmlTensor_t* inputs, int input_num,
                                cnmlTensor_t* outputs, int output_num) {
  return cnml_call("cnmlCreateConcatOp", [&] {
    const cnmlConcatOpParam numbers = object_at(param);
    const std::vector<cnmlTensor_t> parts = listed(inputs, input_num, numbers.inputs, "inputs");
    const std::vector<cnmlTensor_t> whole = listed(outputs, output_num, numbers.outputs, "outputs");
    const Axis axis = numbers.axis;
    create_operator(op, {"Concat",
                         parts,
                         whole,
                         {},
                         false,
                         [=] { check_parts(parts, whole[0], axis); },
                         [=] { return concat_kernel(chunks_of(parts, axis)); }});
  });
}

cnmlStatus_t cnmlCreateSplitOpParam(cnmlSplitOpParam_t* param, int input_num, int output_num, cnmlSplitMode_t mode) {
  return cnml_call("cnmlCreateSplitOpParam", [&] {
    require(input_num == 1 && output_num >= 1, Fault::BAD_VALUE, "a split has exactly 1 input, and outputs");
    create(param, cnmlSplitOpParam{{input_num, output_num, join_axis(mode)}});
  });
}

cnmlStatus_t cnmlDestroySplitOpParam(cnmlSplitOpParam_t* param) { return destroy("cnmlDestroySplitOpParam", param); }

cnmlStatus_t cnmlCreateSplitOp(cnmlBaseOp_t* op, cnmlSplitOpParam_t param, cnmlTensor_t* inputs, int input_num,
                               cnmlTensor_t* outputs, int output_num) {
  return cnml_call("cnmlCreateSplitOp", [&] {
    const cnmlSplitOpParam numbers = object_at(param);
    const std::vector<cnmlTensor_t> whole = listed(inputs, input_num, numbers.inputs, "inputs");
    const std::vector<cnmlTensor_t> parts = listed(outputs, output_num, numbers.outputs, "outputs");
    const Axis axis = numbers.axis;
    create_operator(op, {"Split",
                         whole,
                         parts,
                         {},
                         false,
                         [=] { check_parts(parts, whole[0], axis); },
                         [=] { return split_kernel(chunks_of(parts, axis)); }});
  });
}

cnmlStatus_t cnmlCreateReshapeOpParam(cnmlReshapeOpParam_t* param, int no, int co, int ho, int wo,
                                      cnmlDataOrder_t df) {
  return cnml_call("cnmlCreateReshapeOpParam", [&] {
    require(no > 0 && co > 0 && ho > 0 && wo > 0, Fault::BAD_SHAPE, "sizes must be positive");
    axes_of(df);
    create(param, cnmlReshapeOpParam{{no, co, ho, wo}, df});
  });
}

cnmlStatus_t cnmlDestroyReshapeOpParam(cnmlReshapeOpParam_t* param) {
  return destroy("cnmlDestroyReshapeOpParam", param);
}

cnmlStatus_t cnmlCreateReshapeOp(cnmlBaseOp_t* op, cnmlReshapeOpParam_t param, cnmlTensor_t input,
                                 cnmlTensor_t output) {
  return cnml_call("cnmlCreateReshapeOp", [&] {
    const cnmlReshapeOpParam numbers = object_at(param);
    create_operator(op, {"Reshape",
                         {input},
                         {output},
                         {},
                         false,
                         [=] { check_reshape(numbers, input, output); },
                         [=] { return reshape_kernel(numbers, object_at(input).shape); }});
  });
}

cnmlStatus_t cnmlCreateTransposeOpParam(cnmlTransposeOpParam_t* param, cnmlDataOrder_t cpu_data_order, int dim_id_0,
                                        int dim_id_1, int dim_id_2, int dim_id_3) {
  return cnml_call("cnmlCreateTransposeOpParam", [&] {
    const std::array<int, 4> axes = axes_of(cpu_data_order), places = {dim_id_0, dim_id_1, dim_id_2, dim_id_3};
    std::array<int, 4> sorted = places;
    std::sort(sorted.begin(), sorted.end());
    require(sorted == std::array<int, 4>{0, 1, 2, 3}, Fault::BAD_VALUE, "the dimensions must be 0 to 3 in some order");
    cnmlTransposeOpParam numbers{axes, {}};
    for (std::size_t place = 0; place < 4; ++place) numbers.source_axes[place] = axes[as_size(places[place])];
    create(param, numbers);
  });
}

cnmlStatus_t cnmlDestroyTransposeOpParam(cnmlTransposeOpParam_t* param) {
  return destroy("cnmlDestroyTransposeOpParam", param);
}

cnmlStatus_t cnmlCreateTransposeProOp(cnmlBaseOp_t* op, cnmlTensor_t input, cnmlTensor_t output,
                                      cnmlTransposeOpParam_t param) {
  return cnml_call("cnmlCreateTransposeProOp", [&] {
    const cnmlTransposeOpParam numbers = object_at(param);
    const auto check = [=] {
      const Shape in = activation_shape(input, "input");
      require_shape(activation_shape(output, "output"), transposed_shape(numbers, in), "output");
    };
    create_operator(op, {"TransposePro", {input}, {output}, {}, false, check, [=] {
                           return transpose_kernel(numbers, object_at(input).shape);
                         }});
  });
}

cnmlStatus_t cnmlCreateShuffleChannelOp(cnmlBaseOp_t* op, cnmlTensor_t* inputs, cnmlTensor_t* outputs, int group) {
  return cnml_call("cnmlCreateShuffleChannelOp", [&] {
    const std::vector<cnmlTensor_t> input = listed(inputs, 1, 1, "inputs");
    const std::vector<cnmlTensor_t> output = listed(outputs, 1, 1, "outputs");
    create_operator(op, {"ShuffleChannel",
                         input,
                         output,
                         {},
                         false,
                         [=] { check_shuffle(input[0], output[0], group); },
                         [=] { return shuffle_kernel(object_at(input[0]).shape, group); }});
  });
}
