// toy: its inputs, outputs, and blocks.
#include "blocks.hpp"

namespace dlfusion {

static const long input_0_shape[] = {1, 3, 33, 31};
static const Port inputs[] = {
  {"image", 4, input_0_shape},
};
static const long output_0_shape[] = {1, 20, 17, 16};
static const Port outputs[] = {
  {"head", 4, output_0_shape},
};
static const Block blocks[] = {
  {"block_0", block_0, 2},
  {"block_1", block_1, 1},
  {"block_2", block_2, 2},
  {"export_outputs", export_outputs, 1},
};

extern const Program program = {
  "toy",
  "8222f93255f32e6ecdad694daefeb43d45cd7f165454d83a89b23f63a6cc8311",
  1,
  inputs,
  1,
  outputs,
  4,
  blocks,
  2,  // cores
  133696,  // bytes of weights
  73984,  // bytes of tensors between blocks
  32512,  // bytes of line buffers, for each core
};

}  // namespace dlfusion
