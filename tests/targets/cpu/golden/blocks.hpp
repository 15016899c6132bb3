// The blocks of the model, in the order they run.
#pragma once
#include "runtime.hpp"

namespace dlfusion {
void block_0(const Run& run, int core);
void block_1(const Run& run, int core);
void block_2(const Run& run, int core);
void export_outputs(const Run& run, int core);
}  // namespace dlfusion
