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
  "daaf0b8c126e929578eac56554b336e86af4cd8150da59053e96f04247cb6e68",
  1,
  inputs,
  1,
  outputs,
  4,
  blocks,
  2,  // cores
  117760,  // bytes of weights
  73984,  // bytes of tensors between blocks
  23296,  // bytes that each core works in
};

}  // namespace dlfusion
