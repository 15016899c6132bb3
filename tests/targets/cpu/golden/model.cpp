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
};

extern const Program program = {
  "toy",
  "13b2360dda6f796294fdde9da325cd3f924402dbf9e09aa16dcb1248bf822c42",
  1,
  inputs,
  1,
  outputs,
  3,
  blocks,
  2,  // cores
  117184,  // bytes of weights
  73984,  // bytes of tensors between blocks
  34816,  // bytes of line buffers, for each core
};

}  // namespace dlfusion
