// Runs a compiled model that is linked into this program: inputs.bin has all its inputs, one after the other, and
// outputs.bin gets its outputs. Needs the C library alone, as the model does.
#include <cstdio>
#include <cstdlib>

#include "dlfusion.h"

static std::size_t elements(const long* shape, int rank) {
  std::size_t count = 1;
  for (int axis = 0; axis < rank; axis++) count *= static_cast<std::size_t>(shape[axis]);
  return count;
}

static float* floats(std::size_t count) { return static_cast<float*>(std::calloc(count, sizeof(float))); }

int main() {
  constexpr int MOST = 8;
  const float* from[MOST];
  float* to[MOST];
  const int inputs = dlfusion_input_count(), outputs = dlfusion_output_count();
  std::FILE* input = std::fopen("inputs.bin", "rb");
  std::FILE* output = std::fopen("outputs.bin", "wb");
  if (inputs > MOST || outputs > MOST || input == nullptr || output == nullptr) return 1;
  for (int i = 0; i < inputs; i++) {
    const std::size_t count = elements(dlfusion_input_shape(i), dlfusion_input_rank(i));
    float* array = floats(count);
    if (std::fread(array, sizeof(float), count, input) != count) return 1;
    from[i] = array;
  }
  for (int i = 0; i < outputs; i++) to[i] = floats(elements(dlfusion_output_shape(i), dlfusion_output_rank(i)));
  dlfusion_model* model;
  dlfusion_context* context;
  if (dlfusion_open("weights.bin", DLFUSION_CHECK_DIGEST, &model) != DLFUSION_OK ||
      dlfusion_create(model, &context) != DLFUSION_OK || dlfusion_run(context, from, to) != DLFUSION_OK) {
    std::fprintf(stderr, "%s\n", dlfusion_error_text());
    return 1;
  }
  dlfusion_destroy(context);
  dlfusion_close(model);
  for (int i = 0; i < outputs; i++) {
    std::fwrite(to[i], sizeof(float), elements(dlfusion_output_shape(i), dlfusion_output_rank(i)), output);
  }
  return std::fclose(output);
}
