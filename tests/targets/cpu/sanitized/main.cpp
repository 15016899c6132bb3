// Runs a compiled model twice under a sanitizer: arrays of inputs come from inputs.bin and go to outputs.bin, one after
// the other. Each array has a heap block of its own and of exactly its size.
#include <cstdio>
#include <vector>

#include "dlfusion.h"

static std::size_t elements(const long* shape, int rank) {
  std::size_t count = 1;
  for (int axis = 0; axis < rank; axis++) count *= static_cast<std::size_t>(shape[axis]);
  return count;
}

int main() {
  dlfusion_model* model;
  dlfusion_context* context;
  if (dlfusion_open("weights.bin", DLFUSION_CHECK_DIGEST, &model) != DLFUSION_OK ||
      dlfusion_create(model, &context) != DLFUSION_OK) {
    return std::printf("%s\n", dlfusion_error_text()), 1;
  }
  std::vector<std::vector<float>> inputs, outputs;
  std::vector<const float*> from;
  std::vector<float*> to;
  std::FILE* file = std::fopen("inputs.bin", "rb");
  for (int i = 0; i < dlfusion_input_count(); i++) {
    inputs.emplace_back(elements(dlfusion_input_shape(i), dlfusion_input_rank(i)));
    if (std::fread(inputs[i].data(), sizeof(float), inputs[i].size(), file) != inputs[i].size()) return 1;
    from.push_back(inputs[i].data());
  }
  std::fclose(file);
  for (int i = 0; i < dlfusion_output_count(); i++) {
    outputs.emplace_back(elements(dlfusion_output_shape(i), dlfusion_output_rank(i)));
    to.push_back(outputs[i].data());
  }
  for (int repeat = 0; repeat < 2; repeat++) {
    if (dlfusion_run(context, from.data(), to.data()) != DLFUSION_OK) return std::printf("%s\n", dlfusion_error_text()), 1;
  }
  file = std::fopen("outputs.bin", "wb");
  for (const std::vector<float>& output : outputs) std::fwrite(output.data(), sizeof(float), output.size(), file);
  std::fclose(file);
  dlfusion_destroy(context);
  dlfusion_close(model);
  return 0;
}
