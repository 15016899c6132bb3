// A model on the device: its tensors, its blocks, and one run through them.
#pragma once
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <initializer_list>
#include <memory>
#include <string>
#include <vector>

#include "cnml_support.hpp"

namespace dlfusion {

// The cores of the device: data parallelism times the cores of a block cannot be more.
constexpr int kDeviceCores = 32;

// Images, channels, height and width. With data parallelism, of one way.
struct Shape {
  int n, c, h, w;
};

// An activation on the device, in fp16. One that only a fused block sees has no memory, so `data` stays null.
struct Tensor {
  Tensor(const char* tensor_name, Shape tensor_shape);

  const char* name;
  Shape shape;
  Handle<cnmlTensor_t, cnmlDestroyTensor> device;
  void* data = nullptr;
};

// The host's view of a tensor: fp32, N x C x H x W.
using HostTensor = Handle<cnmlCpuTensor_t, cnmlDestroyCpuTensor>;
HostTensor host_tensor(cnmlTensorType_t type, Shape shape, const std::string& name);

// Weights of an operator: CNML keeps them on the device itself, so they have no buffer.
struct Constant {
  Constant(cnmlTensorType_t type, Shape shape, const float* values);

  HostTensor host;
  Handle<cnmlTensor_t, cnmlDestroyTensor> device;
  const float* values;
};

class Program;

// Some layers of the model, compiled for a number of cores. What the library needs is kept until the model is closed.
class Block {
 public:
  using Create = std::function<cnmlStatus_t(cnmlBaseOp_t* op)>;
  using Compute = std::function<cnmlStatus_t(cnmlBaseOp_t op, cnrtInvokeFuncParam_t* parameters, cnrtQueue_t queue)>;

  Block(Program& program, const char* name, int cores) : program_(program), name_(name), cores_(cores) {}
  Block(const Block&) = delete;
  Block& operator=(const Block&) = delete;
  virtual ~Block() = default;

  // A tensor that no other block reads.
  virtual const Tensor& tensor(const char* name, Shape shape) = 0;

  // Weights that begin `offset` floats after the start of the weights file: of a convolution or fully connected layer,
  // and one value for each channel.
  const Constant& filter(Shape shape, std::size_t offset);
  const Constant& channels(int count, std::size_t offset);

  // Makes a base operator and binds its constants. `kind` is the middle of its functions' names ("Conv").
  void add(const char* kind, const Tensor& output, const Create& create, Compute compute,
           std::initializer_list<const Constant*> constants = {});

  // Makes a parameter object that lives as long as the block: P is its type, `destroy` the function that frees it, and
  // `call` the name of the one that `make` calls.
  template <typename P, cnmlStatus_t (*destroy)(P*), typename Make>
  P parameters(const char* call, const Tensor& output, Make make) {
    auto owner = std::make_shared<Handle<P, destroy>>("the destruction of an operator's parameters");
    check(make(owner->address()), call, described(output));
    parameters_.push_back(owner);
    return owner->get();
  }

  // Queues the block's computations.
  virtual void run(cnrtInvokeFuncParam_t* parameters, const Queue& queue) = 0;

  // The stack that the device must have for the block.
  virtual std::int64_t stack_size() const = 0;

 protected:
  struct Operator {
    std::string kind, object;
    Handle<cnmlBaseOp_t, cnmlDestroyBaseOp> handle;
    Compute compute;
  };

  std::string described(const Tensor& output) const;

  Program& program_;
  const char* name_;
  int cores_;
  // In the order of their life: what is used comes before its user, and is destroyed after it.
  std::deque<Constant> constants_;
  std::vector<std::shared_ptr<const void>> parameters_;
  std::vector<Operator> operators_;
};

// A block of one layer: base operators that run one after the other and hand their results over in memory.
class LayerBlock : public Block {
 public:
  using Block::Block;
  const Tensor& tensor(const char* name, Shape shape) override;
  void compile();
  void run(cnrtInvokeFuncParam_t* parameters, const Queue& queue) override;
  std::int64_t stack_size() const override;
};

// A block of several layers: one fusion operator. Its own tensors never get memory of their own.
class FusedBlock : public Block {
 public:
  using Block::Block;
  const Tensor& tensor(const char* name, Shape shape) override;
  void compile(std::vector<const Tensor*> inputs, std::vector<const Tensor*> outputs);
  void run(cnrtInvokeFuncParam_t* parameters, const Queue& queue) override;
  std::int64_t stack_size() const override;

 private:
  std::vector<const Tensor*> inputs_, outputs_;
  Handle<cnmlFusionOp_t, cnmlDestroyFusionOp> fusion_{"cnmlDestroyFusionOp"};
};

// The model: `build` (in model.cpp) declares its tensors and adds its blocks in the order they run.
class Program {
 public:
  Program(const float* weights, int data_parallelism, void (*build)(Program&));
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;
  ~Program();

  // Tensors that blocks hand over, and which of them the user feeds and gets, in the order of the model's ports.
  const Tensor& tensor(const char* name, Shape shape) { return make_tensor(name, shape, true); }
  const Tensor& input(const char* name, Shape shape);
  void output(const Tensor& tensor);

  template <typename Kind>
  Kind& add(const char* name, int cores) {
    auto block = std::make_unique<Kind>(*this, name, cores);
    Kind& reference = *block;
    blocks_.push_back(std::move(block));
    return reference;
  }

  // Runs the model once. Arrays hold the ways of data parallelism one after the other. If `block_seconds` is not null,
  // it receives the time between notifiers round each block.
  void run(const float* const* inputs, float* const* outputs, double* block_seconds);

 private:
  friend class Block;
  friend class LayerBlock;
  friend class FusedBlock;

  struct Port {
    const Tensor* tensor;
    HostTensor host;
  };

  Tensor& make_tensor(const char* name, Shape shape, bool in_memory);
  void reserve_stack();
  void queue_blocks(bool timed);

  int data_parallelism_;
  unsigned int affinity_ = 0x01;  // the library's default
  const float* weights_;
  // In the order of their life: the last is destroyed first.
  Library library_;
  Device device_;
  Queue queue_;
  std::deque<Tensor> tensors_;
  std::vector<Tensor*> in_memory_;
  std::vector<Port> inputs_, outputs_;
  std::vector<std::unique_ptr<Block>> blocks_;
  std::vector<Buffer> buffers_;
  std::vector<Notifier> notifiers_;
};

// One input or output as the user sees it.
struct PortInfo {
  const char* name;
  int rank;
  const long* shape;
};

struct BlockInfo {
  const char* name;
  int cores;
};

// All that the C interface says about a model.
struct ModelInfo {
  const char* name;
  int input_count;
  const PortInfo* inputs;
  int output_count;
  const PortInfo* outputs;
  int block_count;
  const BlockInfo* blocks;
  std::size_t weights_bytes;
  std::uint32_t weights_crc32;
  std::size_t context_bytes;
  void (*build)(Program&);
};

extern const ModelInfo model;

}  // namespace dlfusion
