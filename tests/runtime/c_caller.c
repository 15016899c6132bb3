/* Calls every function of dlfusion.h on the tiny program: it must compile as C99 and run without Python. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "dlfusion.h"

#define CHECK(condition)                                                                    \
  do {                                                                                      \
    if (!(condition)) {                                                                     \
      fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, dlfusion_error_text());   \
      return 1;                                                                             \
    }                                                                                       \
  } while (0)

static float x[30], y[30], z[30];

/* The weights as a program may hold them: aligned, with a few bytes behind. */
static unsigned char room[2 * DLFUSION_WEIGHTS_ALIGNMENT + 8];
static unsigned char* memory;

static int read_memory(void) {
  FILE* file = fopen("weights.bin", "rb");
  memory = room + DLFUSION_WEIGHTS_ALIGNMENT - (uintptr_t)room % DLFUSION_WEIGHTS_ALIGNMENT;
  CHECK(file != NULL && fread(memory, 1, 8, file) == 8);
  fclose(file);
  return 0;
}

/* Both ways of opening give models that compute the same. */
static int run_from_memory(const float* const* inputs, float* const* outputs) {
  dlfusion_model* model;
  dlfusion_context* context;
  float expected[30];
  memcpy(expected, y, sizeof(y));
  memset(y, 0, sizeof(y));
  CHECK(dlfusion_open_memory(memory, 8, DLFUSION_CHECK_DIGEST, &model) == DLFUSION_OK);
  CHECK(dlfusion_create(model, &context) == DLFUSION_OK);
  CHECK(dlfusion_run(context, inputs, outputs) == DLFUSION_OK);
  CHECK(memcmp(y, expected, sizeof(y)) == 0);
  dlfusion_destroy(context);
  dlfusion_close(model);
  return 0;
}

static int wrong_memory(void) {
  dlfusion_model* no_model;
  CHECK(dlfusion_open_memory(NULL, 8, 0, &no_model) == DLFUSION_INVALID_ARGUMENT && no_model == NULL);
  CHECK(dlfusion_open_memory(memory, 8, 64, &no_model) == DLFUSION_INVALID_ARGUMENT);
  CHECK(dlfusion_open_memory(memory, 8, 0, NULL) == DLFUSION_INVALID_ARGUMENT);
  CHECK(dlfusion_open_memory(memory, 7, 0, &no_model) == DLFUSION_WRONG_WEIGHTS);
  CHECK(strstr(dlfusion_error_text(), "weights in memory have 7 bytes, but model tiny needs 8") != NULL);
  CHECK(dlfusion_open_memory(memory + 4, 8, 0, &no_model) == DLFUSION_INVALID_ARGUMENT && no_model == NULL);
  CHECK(strstr(dlfusion_error_text(), "begin 4 bytes after a multiple of 64 bytes") != NULL);
  memory[0] ^= 1;
  CHECK(dlfusion_open_memory(memory, 8, DLFUSION_CHECK_DIGEST, &no_model) == DLFUSION_WRONG_WEIGHTS);
  memory[0] ^= 1;
  return 0;
}

static int wrong_calls(const dlfusion_model* model, dlfusion_context* context) {
  dlfusion_model* no_model;
  dlfusion_context* no_context;
  const float* inputs[1] = {NULL};
  float* outputs[2] = {y, NULL};
  CHECK(dlfusion_open("no such file", 0, &no_model) == DLFUSION_CANNOT_OPEN && no_model == NULL);
  CHECK(strstr(dlfusion_error_text(), "no such file") != NULL);
  CHECK(dlfusion_open("sources", 0, &no_model) == DLFUSION_CANNOT_OPEN);
  CHECK(strstr(dlfusion_error_text(), "should be the folder of model tiny or its weights.bin: No such file") != NULL);
  CHECK(dlfusion_open(NULL, 0, &no_model) == DLFUSION_INVALID_ARGUMENT);
  CHECK(dlfusion_open("weights.bin", 64, &no_model) == DLFUSION_INVALID_ARGUMENT);
  CHECK(dlfusion_open("weights.bin", 0, NULL) == DLFUSION_INVALID_ARGUMENT);
  CHECK(dlfusion_open("model.json", 0, &no_model) == DLFUSION_WRONG_WEIGHTS);
  CHECK(dlfusion_create(NULL, &no_context) == DLFUSION_INVALID_ARGUMENT && no_context == NULL);
  CHECK(dlfusion_create(model, NULL) == DLFUSION_INVALID_ARGUMENT);
  CHECK(dlfusion_run(NULL, inputs, outputs) == DLFUSION_INVALID_ARGUMENT);
  CHECK(dlfusion_run(context, NULL, outputs) == DLFUSION_INVALID_ARGUMENT);
  CHECK(dlfusion_run(context, inputs, outputs) == DLFUSION_INVALID_ARGUMENT);
  CHECK(strstr(dlfusion_error_text(), "input 0 (x) is null") != NULL);
  inputs[0] = x;
  CHECK(dlfusion_run(context, inputs, outputs) == DLFUSION_INVALID_ARGUMENT);
  CHECK(strstr(dlfusion_error_text(), "output 1 (z) is null") != NULL);
  CHECK(dlfusion_run_timed(context, inputs, outputs, NULL) == DLFUSION_INVALID_ARGUMENT);
  CHECK(dlfusion_input_name(1) == NULL && dlfusion_input_name(-1) == NULL && dlfusion_input_rank(1) == -1);
  CHECK(dlfusion_output_shape(2) == NULL && dlfusion_block_name(2) == NULL && dlfusion_block_cores(2) == -1);
  return 0;
}

int main(void) {
  dlfusion_model* model;
  dlfusion_context* context;
  const float* inputs[1] = {x};
  float* outputs[2] = {y, z};
  double seconds[2] = {-1, -1};
  int i;

  CHECK(dlfusion_interface_version() == DLFUSION_INTERFACE_VERSION);
  CHECK(strcmp(dlfusion_name(), "tiny") == 0 && strcmp(dlfusion_error_text(), "") == 0);
  CHECK(dlfusion_input_count() == 1 && dlfusion_output_count() == 2 && dlfusion_block_count() == 2);
  CHECK(strcmp(dlfusion_input_name(0), "x") == 0 && strcmp(dlfusion_output_name(1), "z") == 0);
  CHECK(dlfusion_input_rank(0) == 3 && dlfusion_input_shape(0)[1] == 6 && dlfusion_output_shape(1)[2] == 5);
  CHECK(dlfusion_output_rank(0) == 3 && strcmp(dlfusion_block_name(1), "scale") == 0);
  CHECK(dlfusion_block_cores(0) == 2 && dlfusion_cores() == 2);
  CHECK(dlfusion_weights_bytes() == 8 && dlfusion_context_bytes() > 0);

  CHECK(read_memory() == 0);
  CHECK(dlfusion_open("weights.bin", DLFUSION_CHECK_DIGEST, &model) == DLFUSION_OK);
  dlfusion_close(model);
  CHECK(dlfusion_open(".", DLFUSION_CHECK_DIGEST, &model) == DLFUSION_OK);
  CHECK(dlfusion_create(model, &context) == DLFUSION_OK);
  CHECK(wrong_calls(model, context) == 0 && wrong_memory() == 0);
  for (i = 0; i < 30; i++) x[i] = (float)i;
  CHECK(dlfusion_run(context, inputs, outputs) == DLFUSION_OK);
  for (i = 0; i < 30; i++) CHECK(y[i] == (x[i] + 1.0f) * 3.0f && z[i] == y[i] * 10.0f);
  CHECK(dlfusion_run_timed(context, inputs, outputs, seconds) == DLFUSION_OK);
  CHECK(seconds[0] >= 0 && seconds[1] >= 0 && seconds[0] < 10);
  CHECK(run_from_memory(inputs, outputs) == 0);
  dlfusion_destroy(context);
  dlfusion_destroy(NULL);
  dlfusion_close(model);
  dlfusion_close(NULL);
  puts("done");
  return 0;
}
