#include "program.hpp"

#include <algorithm>

namespace dlfusion {

Tensor::Tensor(const char* tensor_name, Shape tensor_shape)
    : name(tensor_name), shape(tensor_shape), device("cnmlDestroyTensor") {
  check(cnmlCreateTensor(device.address(), CNML_TENSOR, CNML_DATA_FLOAT16, shape.n, shape.c, shape.h, shape.w),
        "cnmlCreateTensor", name);
}

HostTensor host_tensor(cnmlTensorType_t type, Shape shape, const std::string& name) {
  HostTensor host("cnmlDestroyCpuTensor");
  check(cnmlCreateCpuTensor(host.address(), type, CNML_DATA_FLOAT32, CNML_NCHW, shape.n, shape.c, shape.h, shape.w),
        "cnmlCreateCpuTensor", name);
  return host;
}

Constant::Constant(cnmlTensorType_t type, Shape shape, const float* constant_values)
    : host(host_tensor(type, shape, "a constant")), device("cnmlDestroyTensor"), values(constant_values) {
  check(cnmlCreateTensor(device.address(), type, CNML_DATA_FLOAT16, shape.n, shape.c, shape.h, shape.w),
        "cnmlCreateTensor", "a constant");
}

// --- blocks ------------------------------------------------------------------------------------------------------

const Constant& Block::filter(Shape shape, std::size_t offset) {
  return constants_.emplace_back(CNML_FILTER, shape, program_.weights_ + offset);
}

const Constant& Block::channels(int count, std::size_t offset) {
  return constants_.emplace_back(CNML_CONST, Shape{1, count, 1, 1}, program_.weights_ + offset);
}

void Block::add(const char* kind, const Tensor& output, const Create& create, Compute compute,
                std::initializer_list<const Constant*> constants) {
  Operator made{kind, described(output), Handle<cnmlBaseOp_t, cnmlDestroyBaseOp>("cnmlDestroyBaseOp"),
                std::move(compute)};
  check(create(made.handle.address()), "cnmlCreate" + made.kind + "Op", made.object);
  for (const Constant* constant : constants) {
    void* values = const_cast<float*>(constant->values);  // the library reads only
    check(cnmlBindConstData(constant->device.get(), constant->host.get(), values), "cnmlBindConstData", made.object);
  }
  operators_.push_back(std::move(made));
}

std::string Block::described(const Tensor& output) const { return std::string(output.name) + " in " + name_; }

const Tensor& LayerBlock::tensor(const char* name, Shape shape) { return program_.make_tensor(name, shape, true); }

void LayerBlock::compile() {
  for (const Operator& op : operators_) {
    check(cnmlCompileBaseOp(op.handle.get(), CNML_MLU100, cores_), "cnmlCompileBaseOp", op.object);
  }
}

void LayerBlock::run(cnrtInvokeFuncParam_t* parameters, const Queue& queue) {
  for (const Operator& op : operators_) {
    check(op.compute(op.handle.get(), parameters, queue.get()), "cnmlCompute" + op.kind + "OpForward_V3", op.object);
  }
}

std::int64_t LayerBlock::stack_size() const {
  std::int64_t most = 0;
  for (const Operator& op : operators_) {
    int64_t size = 0;
    check(cnmlGetBaseOpRequiredStackSize(op.handle.get(), &size), "cnmlGetBaseOpRequiredStackSize", op.object);
    most = std::max<std::int64_t>(most, size);
  }
  return most;
}

const Tensor& FusedBlock::tensor(const char* name, Shape shape) { return program_.make_tensor(name, shape, false); }

void FusedBlock::compile(std::vector<const Tensor*> inputs, std::vector<const Tensor*> outputs) {
  inputs_ = std::move(inputs);
  outputs_ = std::move(outputs);
  check(cnmlCreateFusionOp(fusion_.address()), "cnmlCreateFusionOp", name_);
  for (const Operator& op : operators_) check(cnmlFuseOp(op.handle.get(), fusion_.get()), "cnmlFuseOp", op.object);
  std::vector<cnmlTensor_t> from, to;
  for (const Tensor* tensor : inputs_) from.push_back(tensor->device.get());
  for (const Tensor* tensor : outputs_) to.push_back(tensor->device.get());
  const int from_count = static_cast<int>(from.size()), to_count = static_cast<int>(to.size());
  check(cnmlSetFusionIO(fusion_.get(), from.data(), from_count, to.data(), to_count), "cnmlSetFusionIO", name_);
  check(cnmlCompileFusionOp(fusion_.get(), CNML_MLU100, cores_), "cnmlCompileFusionOp", name_);
}

void FusedBlock::run(cnrtInvokeFuncParam_t* parameters, const Queue& queue) {
  std::vector<void*> from, to;
  for (const Tensor* tensor : inputs_) from.push_back(tensor->data);
  for (const Tensor* tensor : outputs_) to.push_back(tensor->data);
  const int from_count = static_cast<int>(from.size()), to_count = static_cast<int>(to.size());
  check(cnmlComputeFusionOpForward_V3(fusion_.get(), from.data(), from_count, to.data(), to_count, parameters,
                                      queue.get()),
        "cnmlComputeFusionOpForward_V3", name_);
}

std::int64_t FusedBlock::stack_size() const {
  int64_t size = 0;
  check(cnmlGetFusionOpRequiredStackSize(fusion_.get(), &size), "cnmlGetFusionOpRequiredStackSize", name_);
  return size;
}

// --- the model ---------------------------------------------------------------------------------------------------

Program::Program(const float* weights, int data_parallelism, void (*build)(Program&))
    : data_parallelism_(data_parallelism), weights_(weights) {
  build(*this);
  reserve_stack();
  for (Tensor* tensor : in_memory_) {
    buffers_.emplace_back(tensor->device.get(), data_parallelism_, tensor->name);
    tensor->data = buffers_.back().address();
  }
  notifiers_ = std::vector<Notifier>(blocks_.size() + 1);
}

// Any thread may close the model, so that it may not have used the device before.
Program::~Program() { device_.make_current_for_cleanup(); }

Tensor& Program::make_tensor(const char* name, Shape shape, bool in_memory) {
  Tensor& tensor = tensors_.emplace_back(name, shape);
  if (in_memory) in_memory_.push_back(&tensor);
  return tensor;
}

const Tensor& Program::input(const char* name, Shape shape) {
  const Tensor& fed = make_tensor(name, shape, true);
  inputs_.push_back({&fed, host_tensor(CNML_TENSOR, shape, name)});
  return fed;
}

void Program::output(const Tensor& tensor) {
  outputs_.push_back({&tensor, host_tensor(CNML_TENSOR, tensor.shape, tensor.name)});
}

// The unit of the required size is not documented; like Cambricon's Caffe, this takes it for megabytes and adds 50.
void Program::reserve_stack() {
  std::int64_t needed = 0;
  for (const std::unique_ptr<Block>& block : blocks_) needed = std::max(needed, block->stack_size());
  unsigned int present = 0;
  check(cnrtGetStackMem(&present), "cnrtGetStackMem", "the device");
  if (needed > present) {
    check(cnrtSetStackMem(static_cast<unsigned int>(needed + 50)), "cnrtSetStackMem", "the device");
  }
}

// Queues all computations, with a notifier before each and after the last if they are timed.
void Program::queue_blocks(bool timed) {
  cnrtInvokeFuncParam_t parameters = {&data_parallelism_, &affinity_, CNRT_PARAM_END};
  if (timed) notifiers_.front().place(queue_);
  for (std::size_t index = 0; index < blocks_.size(); ++index) {
    blocks_[index]->run(&parameters, queue_);
    if (timed) notifiers_[index + 1].place(queue_);
  }
}

void Program::run(const float* const* inputs, float* const* outputs, double* block_seconds) {
  device_.make_current();
  for (std::size_t index = 0; index < inputs_.size(); ++index) {
    const Port& port = inputs_[index];
    void* array = const_cast<float*>(inputs[index]);  // the library reads only
    check(cnmlMemcpyBatchTensorToDevice(port.host.get(), array, port.tensor->device.get(), port.tensor->data,
                                        data_parallelism_),
          "cnmlMemcpyBatchTensorToDevice", port.tensor->name);
  }

  try {
    queue_blocks(block_seconds != nullptr);
  } catch (...) {
    // What is queued already must not meet memory that is freed or used anew.
    queue_.synchronize_for_cleanup();
    throw;
  }
  queue_.synchronize();
  if (block_seconds != nullptr) {
    for (std::size_t index = 0; index < blocks_.size(); ++index) {
      block_seconds[index] = notifiers_[index].microseconds_to(notifiers_[index + 1]) * 1e-6;
    }
  }

  for (std::size_t index = 0; index < outputs_.size(); ++index) {
    const Port& port = outputs_[index];
    check(cnmlMemcpyBatchTensorToHost(port.tensor->device.get(), port.tensor->data, port.host.get(), outputs[index],
                                      data_parallelism_),
          "cnmlMemcpyBatchTensorToHost", port.tensor->name);
  }
}

}  // namespace dlfusion
