// What compiling gives: a list of steps over slots, for a base operator (one step) as for a fused chain.
#pragma once
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "tensors.hpp"

namespace standin {

// Computes outputs from inputs, all NHWC. Sums are float; who calls it rounds the outputs to the tensors' type.
using Kernel = std::function<void(const float* const* inputs, float* const* outputs)>;

// What an operator is before it is compiled.
struct Definition {
  const char* name;                      // as in cnmlCompute<name>OpForward_V3
  std::vector<cnmlTensor_t> inputs;      // that a compute call passes; those of type CNML_CONST as null
  std::vector<cnmlTensor_t> outputs;
  std::vector<cnmlTensor_t> parameters;  // filters and constants that a compute call does not pass
  bool in_place;                         // whether an output may be an input: element i needs only elements i
  std::function<void()> check;           // fails if the tensors' shapes do not fit; run at creation and at compilation
  std::function<Kernel()> build;         // reads the constants; run at compilation
};

// A tensor inside an executable.
struct Slot {
  Shape shape;
  cnmlDataType_t type;
  std::vector<float> constant;  // empty for what is computed or passed

  std::size_t bytes() const { return shape.count() * element_bytes(type); }
};

struct Step {
  Kernel kernel;
  std::vector<std::size_t> inputs;
  std::vector<std::size_t> outputs;
};

struct Executable {
  std::string name;
  int cores = 1;
  bool in_place = false;
  std::vector<Slot> slots;
  std::vector<Step> steps;
  std::vector<std::size_t> inputs;  // the slots of a compute call's pointers, in their order
  std::vector<std::size_t> outputs;
  std::size_t parameter_bytes = 0;
  std::optional<double> microseconds;  // simulated time of one run

  // A base operator needs 1 MB, a chain one more than it has operators: an assumption that makes programs check.
  std::int64_t stack_megabytes() const { return steps.size() == 1 ? 1 : static_cast<std::int64_t>(steps.size()) + 1; }
  std::size_t io_bytes() const;
};

// Assembles an executable operator by operator, in topological order.
class ExecutableBuilder {
 public:
  explicit ExecutableBuilder(const std::string& name, int cores);

  // The next pointer of a compute call is this tensor.
  void add_input(cnmlTensor_t tensor);
  // Fails if an input of the operator is neither a constant nor known by now.
  void add_operator(const Definition& definition);
  // Fails if no operator computes the tensor.
  void add_output(cnmlTensor_t tensor);
  // Fails if an input is used by no operator.
  std::shared_ptr<const Executable> finish();

 private:
  std::size_t add_slot(cnmlTensor_t tensor);
  std::size_t input_slot(const Definition& definition, cnmlTensor_t tensor);

  Executable executable_;
  std::unordered_map<cnmlTensor_t, std::size_t> slots_;
  std::vector<bool> used_;      // by slot
  std::vector<bool> computed_;  // by slot
};

// Fails unless an MLU100 program may have this many cores.
void require_cores(int model_parallelism);
void require_mlu100(cnmlCoreVersion_t version);

// What a compute call passes beside the operator.
struct Arguments {
  void* const* inputs;
  int input_count;
  void* const* outputs;
  int output_count;
  const cnrtInvokeFuncParam_t* parameters;
  cnrtQueue_t queue;
};

// Fails if a call of the operator waits in a queue, which would then run something that is gone.
void require_no_waiting_call(const std::shared_ptr<const Executable>& executable);

// Checks a compute call and puts it into its queue.
void enqueue(const std::shared_ptr<const Executable>& executable, const Arguments& arguments);

}  // namespace standin

struct cnmlBaseOp {
  static constexpr const char* KIND = "base operator";
  standin::Definition definition;
  cnmlFusionOp_t fusion = nullptr;  // that it was fused into
  std::shared_ptr<const standin::Executable> executable;  // null until it is compiled
};
