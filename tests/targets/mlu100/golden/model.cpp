// toy for the MLU-100, by CNML.
#include "cnml_operators.hpp"
#include "program.hpp"

namespace dlfusion {
namespace {

// Block 0: layer 0 on 16 cores.
void block_0(Program& program, const Tensor& image, const Tensor& features_stem_relu) {
  auto& block = program.add<LayerBlock>("block_0", 16);

  // Conv 7x7 s2; ONNX: features/stem
  const Tensor& features_stem = block.tensor("features_stem", {1, 16, 17, 16});
  convolution(block, image, features_stem, block.filter({16, 3, 7, 7}, 0), block.channels(16, 2352), Strides{2, 2},
      TotalPads{6, 6});

  // Relu; ONNX: features/stem_relu
  activation(block, features_stem, features_stem_relu, CNML_ACTIVE_RELU);
  block.compile();
}

// Block 1: layer 1 on 4 cores.
// It ends here: the pool's result is read by two layers.
void block_1(Program& program, const Tensor& features_stem_relu, const Tensor& features_pool) {
  auto& block = program.add<LayerBlock>("block_1", 4);

  // MaxPool 3x3 s2; ONNX: features/pool
  const Tensor& features_pool_padded = block.tensor("features_pool_padded", {1, 16, 19, 18});
  pad(block, features_stem_relu, features_pool_padded, Border{1, 1, 1, 1});
  pool(block, features_pool_padded, features_pool, CNML_POOL_MAX, Window{3, 3}, Strides{2, 2});
  block.compile();
}

// Block 2: layers 2 to 3, fused, on 8 cores.
// It ends here: the next layer needs the whole map.
void block_2(Program& program, const Tensor& features_pool, const Tensor& features_sum_relu) {
  auto& block = program.add<FusedBlock>("block_2", 8);

  // Conv 3x3; ONNX: features/inner
  const Tensor& features_inner = block.tensor("features_inner", {1, 24, 9, 8});
  convolution(block, features_pool, features_inner, block.filter({24, 16, 3, 3}, 2368), block.channels(24, 5824),
      Strides{1, 1}, TotalPads{2, 2});

  // Relu; ONNX: features/inner_relu
  const Tensor& features_inner_relu = block.tensor("features_inner_relu", {1, 24, 9, 8});
  activation(block, features_inner, features_inner_relu, CNML_ACTIVE_RELU);

  // Conv 3x3; ONNX: features/outer
  const Tensor& features_outer = block.tensor("features_outer", {1, 16, 9, 8});
  convolution(block, features_inner_relu, features_outer, block.filter({16, 24, 3, 3}, 5848),
      block.channels(16, 9304), Strides{1, 1}, TotalPads{2, 2});

  // Add; ONNX: features/add
  const Tensor& features_add = block.tensor("features_add", {1, 16, 9, 8});
  add(block, features_outer, features_pool, features_add);

  // Relu; ONNX: features/sum_relu
  activation(block, features_add, features_sum_relu, CNML_ACTIVE_RELU);
  block.compile({&features_pool}, {&features_sum_relu});
}

// Block 3: layer 4 on 1 core.
void block_3(Program& program, const Tensor& features_sum_relu, const Tensor& mean) {
  auto& block = program.add<LayerBlock>("block_3", 1);

  // GlobalAveragePool; ONNX: mean
  pool(block, features_sum_relu, mean, CNML_POOL_AVG, Window{9, 8}, Strides{1, 1});
  block.compile();
}

// Block 4: layer 5 on 2 cores.
// It ends here: last layer.
void block_4(Program& program, const Tensor& mean, const Tensor& scores) {
  auto& block = program.add<LayerBlock>("block_4", 2);

  // Gemm; ONNX: head
  fully_connected(block, mean, scores, block.filter({10, 16, 1, 1}, 9320), block.channels(10, 9480));
  block.compile();
}

// The tensors that blocks hand over (N x C x H x W), and the blocks in the order they run.
void build(Program& program) {
  const Tensor& image = program.input("image", {1, 3, 33, 31});
  const Tensor& features_stem_relu = program.tensor("features_stem_relu", {1, 16, 17, 16});
  block_0(program, image, features_stem_relu);
  const Tensor& features_pool = program.tensor("features_pool", {1, 16, 9, 8});
  block_1(program, features_stem_relu, features_pool);
  const Tensor& features_sum_relu = program.tensor("features_sum_relu", {1, 16, 9, 8});
  block_2(program, features_pool, features_sum_relu);
  const Tensor& mean = program.tensor("mean", {1, 16, 1, 1});
  block_3(program, features_sum_relu, mean);
  const Tensor& scores = program.tensor("scores", {1, 10, 1, 1});
  block_4(program, mean, scores);
  program.output(scores);
}

const long input_0_shape[] = {1, 3, 33, 31};
const PortInfo inputs[] = {
  {"image", 4, input_0_shape},
};
const long output_0_shape[] = {1, 10};
const PortInfo outputs[] = {
  {"scores", 2, output_0_shape},
};
const BlockInfo blocks[] = {
  {"block_0", 16},
  {"block_1", 4},
  {"block_2", 8},
  {"block_3", 1},
  {"block_4", 2},
};

}  // namespace

const ModelInfo model = {
  "toy",
  1,
  inputs,
  1,
  outputs,
  5,
  blocks,
  37960,  // bytes of weights
  0xc89e5242,  // their CRC-32
  39150,  // bytes of tensors on the device
  build,
};

}  // namespace dlfusion
