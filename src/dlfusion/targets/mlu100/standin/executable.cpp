// Building executables, checking compute calls, and running them way by way.
#include "executable.hpp"

#include <algorithm>

#include "queue.hpp"

namespace standin {
namespace {

std::string position(const char* kind, std::size_t index) { return std::string(kind) + " " + std::to_string(index); }

void load(const Slot& slot, const std::uint8_t* bytes, std::vector<float>& values) {
  for (std::size_t index = 0; index < values.size(); ++index) values[index] = load_element(slot.type, bytes, index);
}

void store(const Slot& slot, const std::vector<float>& values, std::uint8_t* bytes) {
  for (std::size_t index = 0; index < values.size(); ++index) store_element(slot.type, bytes, index, values[index]);
}

// The values of all slots of one way.
class Frame {
 public:
  explicit Frame(const Executable& executable) : executable_(executable), values_(executable.slots.size()) {}

  std::vector<float>& values(std::size_t slot) {
    if (values_[slot].empty()) values_[slot].resize(executable_.slots[slot].shape.count());
    return values_[slot];
  }

  void run(const Step& step) {
    std::vector<const float*> inputs;
    std::vector<float*> outputs;
    for (const std::size_t slot : step.inputs) {
      const std::vector<float>& constant = executable_.slots[slot].constant;
      inputs.push_back(constant.empty() ? values(slot).data() : constant.data());
    }
    for (const std::size_t slot : step.outputs) outputs.push_back(values(slot).data());
    step.kernel(inputs.data(), outputs.data());
    for (const std::size_t slot : step.outputs) {
      const cnmlDataType_t type = executable_.slots[slot].type;
      for (float& value : values(slot)) value = rounded_to(type, value);
    }
  }

 private:
  const Executable& executable_;
  std::vector<std::vector<float>> values_;
};

using Addresses = std::vector<void*>;

void run_all_ways(const Executable& executable, const Addresses& inputs, const Addresses& outputs, std::size_t ways) {
  for (std::size_t way = 0; way < ways; ++way) {
    Frame frame(executable);
    for (std::size_t index = 0; index < inputs.size(); ++index) {
      const Slot& slot = executable.slots[executable.inputs[index]];
      if (!slot.constant.empty()) continue;
      const std::uint8_t* const bytes = device_bytes(inputs[index], ways * slot.bytes(), "an input of a waiting call");
      load(slot, bytes + way * slot.bytes(), frame.values(executable.inputs[index]));
    }
    for (const Step& step : executable.steps) frame.run(step);
    for (std::size_t index = 0; index < outputs.size(); ++index) {
      const Slot& slot = executable.slots[executable.outputs[index]];
      std::uint8_t* const bytes = device_bytes(outputs[index], ways * slot.bytes(), "an output of a waiting call");
      store(slot, frame.values(executable.outputs[index]), bytes + way * slot.bytes());
    }
  }
}

// How many ways a compute call runs.
std::size_t checked_ways(const Executable& executable, const cnrtInvokeFuncParam_t* parameters) {
  require_argument(parameters, "the invoke parameter");
  require(parameters->end == CNRT_PARAM_END, Fault::BAD_VALUE, "`end` of the invoke parameter must be CNRT_PARAM_END");
  require_argument(parameters->data_parallelism, "`data_parallelism` of the invoke parameter");
  require_argument(parameters->affinity, "`affinity` of the invoke parameter");
  const int ways = *parameters->data_parallelism;
  require_ways(ways);
  require(ways * executable.cores <= DEVICE_CORES, Fault::OUT_OF_RANGE,
          "data parallelism " + std::to_string(ways) + " times " + std::to_string(executable.cores) +
              " cores is more than the device's 32 cores");
  return static_cast<std::size_t>(ways);
}

void require_count(const char* kind, int count, std::size_t expected) {
  require(count >= 0 && static_cast<std::size_t>(count) == expected, Fault::BAD_VALUE,
          std::to_string(count) + " " + kind + " are passed, but the operator has " + std::to_string(expected));
}

// The ranges of the buffers passed; constants have none.
std::vector<Range> checked_ranges(const Executable& executable, const std::vector<std::size_t>& slots,
                                  const Addresses& addresses, const char* kind, std::size_t ways) {
  std::vector<Range> ranges;
  for (std::size_t index = 0; index < slots.size(); ++index) {
    const Slot& slot = executable.slots[slots[index]];
    if (!slot.constant.empty()) {
      require(addresses[index] == nullptr, Fault::BAD_VALUE,
              position(kind, index) + " is a constant: the compute call passes null for it");
      continue;
    }
    device_bytes(addresses[index], ways * slot.bytes(), position(kind, index).c_str());
    ranges.push_back(range_of(addresses[index], ways * slot.bytes()));
  }
  return ranges;
}

void require_apart(const std::vector<Range>& inputs, const std::vector<Range>& outputs, bool in_place) {
  for (std::size_t index = 0; index < outputs.size(); ++index) {
    for (std::size_t other = index + 1; other < outputs.size(); ++other) {
      require(!outputs[index].overlaps(outputs[other]), Fault::BAD_VALUE, "two outputs share memory");
    }
    for (const Range& input : inputs) {
      const bool same = in_place && input.begin == outputs[index].begin;
      require(same || !input.overlaps(outputs[index]), Fault::BAD_VALUE,
              "an output shares memory with an input, and the operator does not work in place");
    }
  }
}

}  // namespace

std::size_t Executable::io_bytes() const {
  std::size_t bytes = 0;
  for (const std::size_t slot : inputs) bytes += slots[slot].bytes();
  for (const std::size_t slot : outputs) bytes += slots[slot].bytes();
  return bytes;
}

ExecutableBuilder::ExecutableBuilder(const std::string& name, int cores) {
  executable_.name = name;
  executable_.cores = cores;
}

std::size_t ExecutableBuilder::add_slot(cnmlTensor_t tensor) {
  const auto known = slots_.find(tensor);
  if (known != slots_.end()) return known->second;
  const cnmlTensor& described = object_at(tensor);
  Slot slot{described.shape, described.data_type, {}};
  if (described.type != CNML_TENSOR) slot.constant = constant_values(tensor, CNML_NHWC, executable_.name.c_str());
  executable_.slots.push_back(std::move(slot));
  used_.push_back(false);
  computed_.push_back(false);
  slots_.emplace(tensor, executable_.slots.size() - 1);
  return executable_.slots.size() - 1;
}

void ExecutableBuilder::add_input(cnmlTensor_t tensor) {
  executable_.inputs.push_back(add_slot(tensor));
}

std::size_t ExecutableBuilder::input_slot(const Definition& definition, cnmlTensor_t tensor) {
  const bool known = slots_.count(tensor) != 0 || object_at(tensor).type != CNML_TENSOR;
  require(known, Fault::BAD_VALUE,
          std::string(definition.name) + " in " + executable_.name +
              " reads a tensor that is no input of it and that no earlier operator computes");
  const std::size_t slot = add_slot(tensor);
  used_[slot] = true;
  return slot;
}

void ExecutableBuilder::add_operator(const Definition& definition) {
  definition.check();
  Step step;
  for (const cnmlTensor_t tensor : definition.inputs) step.inputs.push_back(input_slot(definition, tensor));
  for (const cnmlTensor_t tensor : definition.outputs) {
    const std::size_t slot = add_slot(tensor);
    computed_[slot] = true;
    step.outputs.push_back(slot);
  }
  for (const cnmlTensor_t tensor : definition.parameters) executable_.parameter_bytes += object_at(tensor).bytes();
  step.kernel = definition.build();
  executable_.in_place = executable_.steps.empty() && definition.in_place;
  executable_.steps.push_back(std::move(step));
}

void ExecutableBuilder::add_output(cnmlTensor_t tensor) {
  const auto slot = slots_.find(tensor);
  require(slot != slots_.end() && computed_[slot->second], Fault::BAD_VALUE,
          executable_.name + ": no operator in it computes one of its outputs");
  executable_.outputs.push_back(slot->second);
}

std::shared_ptr<const Executable> ExecutableBuilder::finish() {
  for (std::size_t index = 0; index < executable_.inputs.size(); ++index) {
    require(used_[executable_.inputs[index]], Fault::BAD_VALUE,
            executable_.name + ": no operator in it reads its " + position("input", index));
  }
  executable_.microseconds = next_operator_microseconds();
  return std::make_shared<const Executable>(std::move(executable_));
}

void require_cores(int model_parallelism) {
  const bool power_of_two = (model_parallelism & (model_parallelism - 1)) == 0;
  require(model_parallelism >= 1 && model_parallelism <= DEVICE_CORES && power_of_two, Fault::OUT_OF_RANGE,
          "core counts are 1, 2, 4, 8, 16 and 32, not " + std::to_string(model_parallelism));
}

void require_mlu100(cnmlCoreVersion_t version) {
  require(version == CNML_MLU100, Fault::UNSUPPORTED, "the core version must be CNML_MLU100");
}

void require_no_waiting_call(const std::shared_ptr<const Executable>& executable) {
  // The operator itself has one share, and each waiting call another.
  require(executable.use_count() <= 1, Fault::WRONG_ORDER,
          "a call of this operator waits in a queue; call cnrtSyncQueue first");
}

void enqueue(const std::shared_ptr<const Executable>& executable, const Arguments& arguments) {
  require_device();
  cnrtQueue& queue = object_at(arguments.queue);
  const std::size_t ways = checked_ways(*executable, arguments.parameters);
  require_count("inputs", arguments.input_count, executable->inputs.size());
  require_count("outputs", arguments.output_count, executable->outputs.size());
  require_argument(arguments.inputs, "the list of inputs");
  require_argument(arguments.outputs, "the list of outputs");
  const Addresses inputs(arguments.inputs, arguments.inputs + arguments.input_count);
  const Addresses outputs(arguments.outputs, arguments.outputs + arguments.output_count);
  std::vector<Range> reads = checked_ranges(*executable, executable->inputs, inputs, "input", ways);
  std::vector<Range> writes = checked_ranges(*executable, executable->outputs, outputs, "output", ways);
  require_apart(reads, writes, executable->in_place);
  require(executable->stack_megabytes() <= stack_megabytes(), Fault::OUT_OF_RANGE,
          executable->name + " needs " + std::to_string(executable->stack_megabytes()) +
              " MB of stack; call cnrtSetStackMem");
  const auto run = [executable, inputs, outputs, ways](cnrtQueue& in) {
    run_all_ways(*executable, inputs, outputs, ways);
    in.clock_microseconds += executable->microseconds.value_or(0.0);
  };
  queue.tasks.push_back({run, std::move(reads), std::move(writes)});
}

}  // namespace standin
