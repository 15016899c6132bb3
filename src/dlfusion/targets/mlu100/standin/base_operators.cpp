// Base operators: checks that all share, compilation, compute calls, and queries.
#include "operators.hpp"

namespace standin {
namespace {

Shape half_shape(const cnmlTensor& tensor, const char* what) {
  require(tensor.data_type == CNML_DATA_FLOAT16, Fault::BAD_TYPE,
          std::string(what) + " must be FLOAT16: the device computes with halves");
  return tensor.shape;
}

const Executable& compiled(const cnmlBaseOp& base) {
  require(base.executable != nullptr, Fault::WRONG_ORDER,
          std::string(base.definition.name) + " is not compiled" +
              (base.fusion == nullptr ? "" : ": it was fused, so that only its fusion operator can run"));
  return *base.executable;
}

cnmlStatus_t compute(const char* function, const char* name, cnmlBaseOp_t op, const Arguments& arguments) {
  return cnml_call(function, [&] {
    const cnmlBaseOp& base = object_at(op);
    require(std::string(name) == base.definition.name, Fault::BAD_VALUE,
            std::string("the operator is ") + base.definition.name + ", not " + name);
    compiled(base);
    enqueue(base.executable, arguments);
  });
}

}  // namespace

void create_operator(cnmlBaseOp_t* place, Definition definition) {
  require_argument(place, "the place for the handle");
  definition.check();
  for (std::size_t index = 0; index < definition.outputs.size(); ++index) {
    for (std::size_t other = 0; other < index; ++other) {
      require(definition.outputs[index] != definition.outputs[other], Fault::BAD_VALUE, "two outputs are one tensor");
    }
    for (const cnmlTensor_t input : definition.inputs) {
      require(definition.in_place || input != definition.outputs[index], Fault::BAD_VALUE,
              std::string(definition.name) + " does not work in place");
    }
  }
  cnmlBaseOp base{};
  base.definition = std::move(definition);
  create(place, std::move(base));
}

Shape activation_shape(cnmlTensor_t tensor, const char* what) {
  const cnmlTensor& described = object_at(tensor);
  require(described.type == CNML_TENSOR, Fault::BAD_VALUE, std::string(what) + " must be a CNML_TENSOR");
  return half_shape(described, what);
}

Shape operand_shape(cnmlTensor_t tensor, const char* what) {
  const cnmlTensor& described = object_at(tensor);
  require(described.type != CNML_FILTER, Fault::BAD_VALUE, std::string(what) + " must be a CNML_TENSOR or CNML_CONST");
  return half_shape(described, what);
}

Shape parameter_shape(cnmlTensor_t tensor, cnmlTensorType_t type, const char* what) {
  const cnmlTensor& described = object_at(tensor);
  require(described.type == type, Fault::BAD_VALUE,
          std::string(what) + (type == CNML_FILTER ? " must be a CNML_FILTER" : " must be a CNML_CONST"));
  return half_shape(described, what);
}

void require_channels(cnmlTensor_t constant, int channels, const char* what) {
  require_shape(parameter_shape(constant, CNML_CONST, what), {1, channels, 1, 1}, what);
}

void require_shape(const Shape& shape, const Shape& expected, const char* what) {
  require(shape == expected, Fault::BAD_SHAPE,
          std::string(what) + " is " + shape.text() + ", but must be " + expected.text());
}

void require_no_sparsity(cnmlSparseMode_t sparse) {
  require(sparse == CNML_NoSparse, Fault::UNSUPPORTED, "the stand-in has no sparse mode");
}

int half_of_padding(int total, const char* what) {
  require(total >= 0, Fault::BAD_VALUE, std::string(what) + " must not be negative");
  require(total % 2 == 0, Fault::BAD_VALUE,
          std::string(what) + " is the total of both sides, half on each: an odd one needs an AddPad operator that "
                              "names all four sides");
  return total / 2;
}

std::vector<float> channel_values(cnmlTensor_t constant, const char* what) {
  return constant == nullptr ? std::vector<float>{} : constant_values(constant, CNML_NCHW, what);
}

}  // namespace standin

using namespace standin;

cnmlStatus_t cnmlCompileBaseOp(cnmlBaseOp_t op, cnmlCoreVersion_t version, int model_parallelism) {
  return cnml_call("cnmlCompileBaseOp", [&] {
    cnmlBaseOp& base = object_at(op);
    const Definition& definition = base.definition;
    require(base.executable == nullptr, Fault::WRONG_ORDER, std::string(definition.name) + " is compiled already");
    require(base.fusion == nullptr, Fault::WRONG_ORDER,
            std::string(definition.name) + " was fused; it is compiled with its fusion operator");
    require_mlu100(version);
    require_cores(model_parallelism);
    ExecutableBuilder builder(definition.name, model_parallelism);
    for (const cnmlTensor_t input : definition.inputs) builder.add_input(input);
    builder.add_operator(definition);
    for (const cnmlTensor_t output : definition.outputs) builder.add_output(output);
    base.executable = builder.finish();
  });
}

cnmlStatus_t cnmlDestroyBaseOp(cnmlBaseOp_t* op) {
  return destroy("cnmlDestroyBaseOp", op, [](const cnmlBaseOp& made) { require_no_waiting_call(made.executable); });
}

cnmlStatus_t cnmlCheckBaseOpRunnable(cnmlBaseOp_t op, cnmlCoreVersion_t version) {
  return cnml_call("cnmlCheckBaseOpRunnable", [&] {
    object_at(op);
    require_mlu100(version);
    fail(Fault::UNSUPPORTED, "the vendor's library does not answer this question either");
  });
}

cnmlStatus_t cnmlGetBaseOpRequiredStackSize(cnmlBaseOp_t op, int64_t* size) {
  return cnml_call("cnmlGetBaseOpRequiredStackSize", [&] {
    require_argument(size, "the place for the size");
    *size = compiled(object_at(op)).stack_megabytes();
  });
}

cnmlStatus_t cnmlGetIOCount(cnmlBaseOp_t op, int64_t* iocount) {
  return cnml_call("cnmlGetIOCount", [&] {
    require_argument(iocount, "the place for the count");
    const Definition& definition = object_at(op).definition;
    *iocount = static_cast<std::int64_t>(definition.inputs.size() + definition.outputs.size());
  });
}

cnmlStatus_t cnmlGetMaxMemUsed(cnmlBaseOp_t op, int64_t* totalmem, int64_t* sharemem, int64_t* privatemem) {
  return cnml_call("cnmlGetMaxMemUsed", [&] {
    require(totalmem != nullptr && sharemem != nullptr && privatemem != nullptr, Fault::BAD_VALUE, "a place is null");
    const Executable& executable = compiled(object_at(op));
    *sharemem = static_cast<std::int64_t>(executable.parameter_bytes);
    *privatemem = static_cast<std::int64_t>(executable.io_bytes());
    *totalmem = *sharemem + *privatemem;
  });
}

#define COMPUTE_1(name)                                                                       \
  cnmlStatus_t cnmlCompute##name##OpForward_V3(cnmlBaseOp_t op, void* input, void* output,    \
                                               cnrtInvokeFuncParam_t* parameters,             \
                                               cnrtQueue_t queue) {                           \
    return compute("cnmlCompute" #name "OpForward_V3", #name, op, {&input, 1, &output, 1, parameters, queue}); \
  }

#define COMPUTE_2(name)                                                                       \
  cnmlStatus_t cnmlCompute##name##OpForward_V3(cnmlBaseOp_t op, void* a, void* b, void* output, \
                                               cnrtInvokeFuncParam_t* parameters,             \
                                               cnrtQueue_t queue) {                           \
    void* const inputs[] = {a, b};                                                            \
    return compute("cnmlCompute" #name "OpForward_V3", #name, op, {inputs, 2, &output, 1, parameters, queue}); \
  }

COMPUTE_1(Conv)
COMPUTE_1(ConvGroup)
COMPUTE_1(ConvDepthwise)
COMPUTE_1(AddPad)
COMPUTE_1(Pool)
COMPUTE_1(Active)
COMPUTE_1(Prelu)
COMPUTE_1(BatchNorm)
COMPUTE_1(Scale)
COMPUTE_1(Mlp)
COMPUTE_1(Softmax)
COMPUTE_1(Lrn)
COMPUTE_1(Reshape)
COMPUTE_1(TransposePro)
COMPUTE_1(DeviceMemcpy)
COMPUTE_1(Interp)
COMPUTE_1(Cast)
COMPUTE_1(ReduceMean)
COMPUTE_1(ReduceSum)
COMPUTE_2(Add)
COMPUTE_2(Sub)
COMPUTE_2(Mult)
COMPUTE_2(CoeffAdd)
COMPUTE_2(MaxTT)
COMPUTE_2(CycleAdd)
COMPUTE_2(CycleSub)
COMPUTE_2(CycleMult)
COMPUTE_2(BroadcastAdd)
COMPUTE_2(BroadcastSub)
COMPUTE_2(BroadcastMult)
COMPUTE_2(MatrixMult)

cnmlStatus_t cnmlComputeConcatOpForward_V3(cnmlBaseOp_t op, void* inputs[], int input_num, void* outputs[],
                                           int output_num, cnrtInvokeFuncParam_t* compute_forw_param,
                                           cnrtQueue_t queue) {
  return compute("cnmlComputeConcatOpForward_V3", "Concat", op,
                 {inputs, input_num, outputs, output_num, compute_forw_param, queue});
}

cnmlStatus_t cnmlComputeSplitOpForward_V3(cnmlBaseOp_t op, void* inputs[], int input_num, void* outputs[],
                                          int output_num, cnrtInvokeFuncParam_t* compute_forw_param,
                                          cnrtQueue_t queue) {
  return compute("cnmlComputeSplitOpForward_V3", "Split", op,
                 {inputs, input_num, outputs, output_num, compute_forw_param, queue});
}

cnmlStatus_t cnmlComputeShuffleChannelOpForward_V3(cnmlBaseOp_t op, void* inputs[], void* outputs[],
                                                   cnrtInvokeFuncParam_t* compute_forw_param, cnrtQueue_t queue) {
  return compute("cnmlComputeShuffleChannelOpForward_V3", "ShuffleChannel", op,
                 {inputs, 1, outputs, 1, compute_forw_param, queue});
}
