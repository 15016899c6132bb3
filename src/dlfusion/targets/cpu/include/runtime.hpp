// What a generated program tells the runtime, and what its blocks are called with.
#pragma once
#include <cstddef>

namespace dlfusion {

// An input or output of the model, as the user sees it: a dense float32 array.
struct Port {
  const char* name;
  int rank;
  const long* shape;
};

// One call of the program: what every block function sees.
struct Run {
  const float* const* inputs;  // the user's arrays
  float* const* outputs;
  const float* weights;        // the packed weights file
  float* tensors;              // activations that pass from block to block
  float* scratch;              // line buffers of the core that the block runs on
};

struct Block {
  const char* name;
  void (*run)(const Run& run, int core);  // called once for each core in [0, cores)
  int cores;
};

struct Program {
  const char* name;
  const char* weights_sha256;  // of the weights file's bytes, checked when it is opened
  int input_count;
  const Port* inputs;
  int output_count;
  const Port* outputs;
  int block_count;
  const Block* blocks;
  int cores;                   // the largest `cores` of any block
  size_t weights_bytes;
  size_t tensors_bytes;
  size_t scratch_bytes;        // per core
};

// Defined by the generated model.cpp.
extern const Program program;

}  // namespace dlfusion
