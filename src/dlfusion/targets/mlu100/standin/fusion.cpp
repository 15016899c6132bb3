// Fusion operators: chains of base operators that are compiled and run as one.
#include <algorithm>

#include "operators.hpp"

using namespace standin;

struct cnmlFusionOp {
  static constexpr const char* KIND = "fusion operator";
  std::vector<cnmlBaseOp_t> members;
  std::vector<cnmlTensor_t> inputs;
  std::vector<cnmlTensor_t> outputs;
  std::shared_ptr<const Executable> executable;  // null until it is compiled
};

namespace {

cnmlFusionOp& changeable(cnmlFusionOp_t op) {
  cnmlFusionOp& fusion = object_at(op);
  require(fusion.executable == nullptr, Fault::WRONG_ORDER, "the fusion operator is compiled already");
  return fusion;
}

const Executable& compiled(const cnmlFusionOp& fusion) {
  require(fusion.executable != nullptr, Fault::WRONG_ORDER, "the fusion operator is not compiled");
  return *fusion.executable;
}

// Puts a tensor at the end of the inputs or outputs.
void add_tensor(std::vector<cnmlTensor_t>& tensors, cnmlTensor_t tensor, const char* what) {
  require(object_at(tensor).type == CNML_TENSOR, Fault::BAD_VALUE,
          std::string(what) + " must be a CNML_TENSOR: constants belong to their operators");
  require(std::find(tensors.begin(), tensors.end(), tensor) == tensors.end(), Fault::BAD_VALUE,
          std::string(what) + " is listed twice");
  tensors.push_back(tensor);
}

std::vector<cnmlTensor_t> listed(const cnmlTensor_t* tensors, int count, const char* what) {
  require_argument(tensors, what);
  require(count >= 1, Fault::BAD_VALUE, std::string(what) + ": a fusion operator needs at least one");
  std::vector<cnmlTensor_t> list;
  for (int index = 0; index < count; ++index) add_tensor(list, tensors[index], what);
  return list;
}

}  // namespace

cnmlStatus_t cnmlCreateFusionOp(cnmlFusionOp_t* op) {
  return cnml_call("cnmlCreateFusionOp", [&] { create(op, cnmlFusionOp{}); });
}

cnmlStatus_t cnmlDestroyFusionOp(cnmlFusionOp_t* op) {
  return destroy("cnmlDestroyFusionOp", op, [](const cnmlFusionOp& made) { require_no_waiting_call(made.executable); });
}

cnmlStatus_t cnmlFuseOp(cnmlBaseOp_t op, cnmlFusionOp_t fusion_op) {
  return cnml_call("cnmlFuseOp", [&] {
    cnmlBaseOp& base = object_at(op);
    cnmlFusionOp& fusion = changeable(fusion_op);
    require(base.executable == nullptr, Fault::WRONG_ORDER,
            std::string(base.definition.name) + " is compiled; operators are fused before they are compiled");
    require(base.fusion == nullptr, Fault::WRONG_ORDER, std::string(base.definition.name) + " was fused before");
    fusion.members.push_back(op);
    base.fusion = fusion_op;
  });
}

cnmlStatus_t cnmlSetFusionIO(cnmlFusionOp_t op, cnmlTensor_t* inputs, int input_num, cnmlTensor_t* outputs,
                             int output_num) {
  return cnml_call("cnmlSetFusionIO", [&] {
    cnmlFusionOp& fusion = changeable(op);
    std::vector<cnmlTensor_t> new_inputs = listed(inputs, input_num, "inputs");
    fusion.outputs = listed(outputs, output_num, "outputs");
    fusion.inputs = std::move(new_inputs);
  });
}

cnmlStatus_t cnmlAddFusionInput(cnmlFusionOp_t op, cnmlTensor_t input) {
  return cnml_call("cnmlAddFusionInput", [&] { add_tensor(changeable(op).inputs, input, "the input"); });
}

cnmlStatus_t cnmlAddFusionOutput(cnmlFusionOp_t op, cnmlTensor_t output) {
  return cnml_call("cnmlAddFusionOutput", [&] { add_tensor(changeable(op).outputs, output, "the output"); });
}

cnmlStatus_t cnmlCompileFusionOp(cnmlFusionOp_t op, cnmlCoreVersion_t version, int model_parallelism) {
  return cnml_call("cnmlCompileFusionOp", [&] {
    cnmlFusionOp& fusion = changeable(op);
    require_mlu100(version);
    require_cores(model_parallelism);
    require(!fusion.members.empty(), Fault::WRONG_ORDER, "no operators were fused; call cnmlFuseOp first");
    require(!fusion.inputs.empty() && !fusion.outputs.empty(), Fault::WRONG_ORDER,
            "inputs and outputs are not set; call cnmlSetFusionIO first");
    std::string name = "fusion of";
    for (const cnmlBaseOp_t member : fusion.members) name += std::string(" ") + object_at(member).definition.name;
    ExecutableBuilder builder(name, model_parallelism);
    for (const cnmlTensor_t input : fusion.inputs) builder.add_input(input);
    for (const cnmlBaseOp_t member : fusion.members) builder.add_operator(object_at(member).definition);
    for (const cnmlTensor_t output : fusion.outputs) builder.add_output(output);
    fusion.executable = builder.finish();
  });
}

cnmlStatus_t cnmlComputeFusionOpForward_V3(cnmlFusionOp_t op, void* inputs[], int input_num, void* outputs[],
                                           int output_num, cnrtInvokeFuncParam_t* compute_forw_param,
                                           cnrtQueue_t queue) {
  return cnml_call("cnmlComputeFusionOpForward_V3", [&] {
    const cnmlFusionOp& fusion = object_at(op);
    compiled(fusion);
    enqueue(fusion.executable, {inputs, input_num, outputs, output_num, compute_forw_param, queue});
  });
}

cnmlStatus_t cnmlGetFusionOpRequiredStackSize(cnmlFusionOp_t op, int64_t* size) {
  return cnml_call("cnmlGetFusionOpRequiredStackSize", [&] {
    require_argument(size, "the place for the size");
    *size = compiled(object_at(op)).stack_megabytes();
  });
}

cnmlStatus_t cnmlGetFusionIOCount(cnmlFusionOp_t op, int64_t* iocount) {
  return cnml_call("cnmlGetFusionIOCount", [&] {
    require_argument(iocount, "the place for the count");
    const cnmlFusionOp& fusion = object_at(op);
    *iocount = static_cast<std::int64_t>(fusion.inputs.size() + fusion.outputs.size());
  });
}

cnmlStatus_t cnmlGetFusionMaxMemUsed(cnmlFusionOp_t op, int64_t* totalmem, int64_t* sharemem, int64_t* privatemem) {
  return cnml_call("cnmlGetFusionMaxMemUsed", [&] {
    require(totalmem != nullptr && sharemem != nullptr && privatemem != nullptr, Fault::BAD_VALUE, "a place is null");
    const Executable& executable = compiled(object_at(op));
    *sharemem = static_cast<std::int64_t>(executable.parameter_bytes);
    *privatemem = static_cast<std::int64_t>(executable.io_bytes());
    *totalmem = *sharemem + *privatemem;
  });
}
