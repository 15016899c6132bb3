// Operators whose element of the output needs one element of each operand: activations, sums, products, casts.
#include <algorithm>
#include <cmath>

#include "operators.hpp"

using namespace standin;

namespace {

using Unary = float (*)(float value);
using Binary = float (*)(float a, float b);

// Comparisons are written so that NaN passes through.
float identity(float value) { return value; }
float sigmoid(float value) { return 1.0f / (1.0f + std::exp(-value)); }
float relu(float value) { return value < 0.0f ? 0.0f : value; }
float hyperbolic_tangent(float value) { return std::tanh(value); }
float relu1(float value) { return value > 1.0f ? 1.0f : relu(value); }
float relu6(float value) { return value > 6.0f ? 6.0f : relu(value); }

Unary active_function(cnmlActiveFunction_t function) {
  switch (function) {
    case CNML_ACTIVE_NONE:
      return identity;
    case CNML_ACTIVE_SIGMOID:
      return sigmoid;
    case CNML_ACTIVE_RELU:
      return relu;
    case CNML_ACTIVE_TANH:
      return hyperbolic_tangent;
    case CNML_ACTIVE_RELU1:
      return relu1;
    case CNML_ACTIVE_RELU6:
      return relu6;
  }
  fail(Fault::BAD_VALUE, "no such activation function");
}

float sum(float a, float b) { return a + b; }
float difference(float a, float b) { return a - b; }
float product(float a, float b) { return a * b; }
float maximum(float a, float b) { return a < b || b != b ? b : a; }

Shape checked_unary(cnmlTensor_t input, cnmlTensor_t output) {
  const Shape shape = activation_shape(input, "input");
  require_shape(activation_shape(output, "output"), shape, "output");
  return shape;
}

Kernel unary_kernel(std::size_t count, Unary function) {
  return [=](const float* const* inputs, float* const* outputs) {
    std::transform(inputs[0], inputs[0] + count, outputs[0], function);
  };
}

// --- per channel ---------------------------------------------------------------------------------------------------

using PerChannel = float (*)(float value, float first, float second);

float normalized(float value, float mean, float factor) { return (value - mean) * factor; }
float scaled(float value, float alpha, float beta) { return value * alpha + beta; }
float leaking(float value, float slope, float /*unused*/) { return value < 0.0f ? value * slope : value; }

// A value per channel, of a constant that has one for each channel or one for all.
std::vector<float> spread_over_channels(cnmlTensor_t constant, int channels, const char* what) {
  std::vector<float> values = constant_values(constant, CNML_NCHW, what);
  if (values.size() == 1) values.resize(as_size(channels), values[0]);
  return values;
}

void create_per_channel(cnmlBaseOp_t* op, const char* name, cnmlTensor_t input, cnmlTensor_t output,
                        const std::vector<cnmlTensor_t>& constants, bool one_for_all, PerChannel function) {
  const auto check = [=] {
    const Shape shape = checked_unary(input, output);
    for (const cnmlTensor_t constant : constants) {
      const bool one = one_for_all && parameter_shape(constant, CNML_CONST, "constant") == Shape{1, 1, 1, 1};
      if (!one) require_channels(constant, shape.c, "constant");
    }
  };
  const auto build = [=]() -> Kernel {
    const Shape shape = checked_unary(input, output);
    const std::vector<float> first = spread_over_channels(constants.front(), shape.c, "constant");
    const std::vector<float> second = spread_over_channels(constants.back(), shape.c, "constant");
    return [=](const float* const* inputs, float* const* outputs) {
      const std::size_t channels = as_size(shape.c), pixels = shape.count() / channels;
      for (std::size_t pixel = 0; pixel < pixels; ++pixel) {
        const float* const values = inputs[0] + pixel * channels;
        float* const results = outputs[0] + pixel * channels;
        for (std::size_t c = 0; c < channels; ++c) results[c] = function(values[c], first[c], second[c]);
      }
    };
  };
  create_operator(op, {name, {input}, {output}, constants, true, check, build});
}

// --- two operands --------------------------------------------------------------------------------------------------

enum class Spread { NONE, CHANNELS, ALL };

// Strides of an NHWC operand that is read again along the axes where it has one element and the result has more.
std::array<std::size_t, 4> spread_strides(const Shape& operand, const Shape& result) {
  std::array<std::size_t, 4> strides = strides_of(operand, CNML_NHWC);
  const std::array<int, 4> have = sizes_of(operand), want = sizes_of(result);
  for (std::size_t axis = 0; axis < 4; ++axis) {
    if (have[axis] != want[axis]) strides[axis] = 0;
  }
  return strides;
}

bool spreads_to(const Shape& operand, const Shape& result) {
  const std::array<int, 4> have = sizes_of(operand), want = sizes_of(result);
  for (std::size_t axis = 0; axis < 4; ++axis) {
    if (have[axis] != want[axis] && have[axis] != 1) return false;
  }
  return true;
}

void check_binary(cnmlTensor_t a, cnmlTensor_t b, cnmlTensor_t output, Spread spread) {
  const Shape first = operand_shape(a, "first operand"), second = operand_shape(b, "second operand");
  const Shape result = activation_shape(output, "output");
  if (spread == Spread::ALL) {
    require(spreads_to(first, result) && spreads_to(second, result), Fault::BAD_SHAPE,
            "operands of " + first.text() + " and " + second.text() + " do not broadcast to " + result.text());
    const bool minimal = result == Shape{std::max(first.n, second.n), std::max(first.c, second.c),
                                         std::max(first.h, second.h), std::max(first.w, second.w)};
    require(minimal, Fault::BAD_SHAPE, "the output " + result.text() + " is larger than both operands");
    return;
  }
  require_shape(first, result, "first operand");
  require_shape(second, spread == Spread::NONE ? result : Shape{1, result.c, 1, 1}, "second operand");
}

Kernel binary_kernel(cnmlTensor_t a, cnmlTensor_t b, cnmlTensor_t output,
                     const std::function<float(float, float)>& function) {
  const Shape result = object_at(output).shape;
  const std::array<std::size_t, 4> first = spread_strides(object_at(a).shape, result);
  const std::array<std::size_t, 4> second = spread_strides(object_at(b).shape, result);
  return [=](const float* const* inputs, float* const* outputs) {
    std::size_t place = 0;
    for_each_element(result, first, second, [&](std::size_t in_a, std::size_t in_b) {
      outputs[0][place++] = function(inputs[0][in_a], inputs[1][in_b]);
    });
  };
}

void create_binary(cnmlBaseOp_t* op, const char* name, cnmlTensor_t a, cnmlTensor_t b, cnmlTensor_t output,
                   Spread spread, const std::function<float(float, float)>& function) {
  // A broadcast output may be larger than an operand, which it would then overwrite too early.
  create_operator(op, {name,
                       {a, b},
                       {output},
                       {},
                       spread != Spread::ALL,
                       [=] { check_binary(a, b, output, spread); },
                       [=] { return binary_kernel(a, b, output, function); }});
}

// --- casts ---------------------------------------------------------------------------------------------------------

void check_cast(cnmlCastType_t type, cnmlTensor_t input, cnmlTensor_t output) {
  const cnmlTensor& from = object_at(input);
  const cnmlTensor& to = object_at(output);
  cnmlDataType_t source = CNML_DATA_FLOAT32, target = CNML_DATA_FLOAT32;
  switch (type) {
    case CNML_CAST_UINT8_TO_FLOAT32:
      source = CNML_DATA_UINT8;
      break;
    case CNML_CAST_FLOAT16_TO_FLOAT32:
      source = CNML_DATA_FLOAT16;
      break;
    case CNML_CAST_FLOAT32_TO_FLOAT16:
      target = CNML_DATA_FLOAT16;
      break;
    default:
      fail(Fault::UNSUPPORTED, "the stand-in casts UINT8 and FLOAT16 to FLOAT32, and FLOAT32 to FLOAT16");
  }
  require(from.type == CNML_TENSOR && to.type == CNML_TENSOR, Fault::BAD_VALUE, "only CNML_TENSORs are cast");
  require(from.data_type == source && to.data_type == target, Fault::BAD_TYPE, "the tensors are not of these types");
  require_shape(to.shape, from.shape, "output");
}

void check_copy(cnmlTensor_t input, cnmlTensor_t output) {
  const cnmlTensor& from = object_at(input);
  const cnmlTensor& to = object_at(output);
  require(from.type == CNML_TENSOR && to.type == CNML_TENSOR, Fault::BAD_VALUE, "only CNML_TENSORs are copied");
  require(from.data_type == to.data_type, Fault::BAD_TYPE, "input and output have different types");
  require_shape(to.shape, from.shape, "output");
}

Kernel copy_kernel(cnmlTensor_t input) { return unary_kernel(object_at(input).shape.count(), identity); }

}  // namespace

cnmlStatus_t cnmlCreateActiveOp(cnmlBaseOp_t* op, cnmlActiveFunction_t fn, cnmlTensor_t input, cnmlTensor_t output) {
  return cnml_call("cnmlCreateActiveOp", [&] {
    const Unary function = active_function(fn);
    create_operator(op, {"Active",
                         {input},
                         {output},
                         {},
                         true,
                         [=] { checked_unary(input, output); },
                         [=] { return unary_kernel(checked_unary(input, output).count(), function); }});
  });
}

cnmlStatus_t cnmlCreatePreluOp(cnmlBaseOp_t* op, cnmlTensor_t input, cnmlTensor_t output, cnmlTensor_t prelu_param) {
  return cnml_call("cnmlCreatePreluOp", [&] {
    create_per_channel(op, "Prelu", input, output, {prelu_param}, false, leaking);
  });
}

cnmlStatus_t cnmlCreateBatchNormOp(cnmlBaseOp_t* op, cnmlTensor_t input, cnmlTensor_t output, cnmlTensor_t mean,
                                   cnmlTensor_t var) {
  return cnml_call("cnmlCreateBatchNormOp", [&] {
    create_per_channel(op, "BatchNorm", input, output, {mean, var}, false, normalized);
  });
}

cnmlStatus_t cnmlCreateScaleOp(cnmlBaseOp_t* op, cnmlTensor_t input, cnmlTensor_t output, cnmlTensor_t alpha,
                               cnmlTensor_t beta) {
  return cnml_call("cnmlCreateScaleOp", [&] {
    create_per_channel(op, "Scale", input, output, {alpha, beta}, true, scaled);
  });
}

#define CREATE_BINARY(name, spread, function)                                                                     \
  cnmlStatus_t cnmlCreate##name##Op(cnmlBaseOp_t* op, cnmlTensor_t a, cnmlTensor_t b, cnmlTensor_t output) {      \
    return cnml_call("cnmlCreate" #name "Op", [&] { create_binary(op, #name, a, b, output, spread, function); }); \
  }

CREATE_BINARY(Add, Spread::NONE, sum)
CREATE_BINARY(Sub, Spread::NONE, difference)
CREATE_BINARY(Mult, Spread::NONE, product)
CREATE_BINARY(MaxTT, Spread::NONE, maximum)
CREATE_BINARY(CycleAdd, Spread::CHANNELS, sum)
CREATE_BINARY(CycleSub, Spread::CHANNELS, difference)
CREATE_BINARY(CycleMult, Spread::CHANNELS, product)
CREATE_BINARY(BroadcastAdd, Spread::ALL, sum)
CREATE_BINARY(BroadcastSub, Spread::ALL, difference)
CREATE_BINARY(BroadcastMult, Spread::ALL, product)

cnmlStatus_t cnmlCreateCoeffAddOp(cnmlBaseOp_t* op, float coeff_1, float coeff_2, cnmlTensor_t a, cnmlTensor_t b,
                                  cnmlTensor_t output) {
  return cnml_call("cnmlCreateCoeffAddOp", [&] {
    create_binary(op, "CoeffAdd", a, b, output, Spread::NONE,
                  [=](float first, float second) { return coeff_1 * first + coeff_2 * second; });
  });
}

cnmlStatus_t cnmlCreateCastOp(cnmlBaseOp_t* op, cnmlCastType_t cast_type, cnmlTensor_t input, cnmlTensor_t output) {
  return cnml_call("cnmlCreateCastOp", [&] {
    create_operator(op, {"Cast",
                         {input},
                         {output},
                         {},
                         false,
                         [=] { check_cast(cast_type, input, output); },
                         [=] { return copy_kernel(input); }});
  });
}

cnmlStatus_t cnmlCreateDeviceMemcpyOp(cnmlBaseOp_t* op, cnmlTensor_t input, cnmlTensor_t output) {
  return cnml_call("cnmlCreateDeviceMemcpyOp", [&] {
    create_operator(op, {"DeviceMemcpy",
                         {input},
                         {output},
                         {},
                         false,
                         [=] { check_copy(input, output); },
                         [=] { return copy_kernel(input); }});
  });
}
