/* Arrays for all inputs or outputs of the model that a program is linked with; inputs differ from seed to seed. */
#ifndef ARRAYS_H
#define ARRAYS_H

#include <stdio.h>
#include <stdlib.h>

#include "dlfusion.h"

#define CHECK(condition)                                                                  \
  do {                                                                                    \
    if (!(condition)) {                                                                   \
      fprintf(stderr, "line %d: %s (%s)\n", __LINE__, #condition, dlfusion_error_text()); \
      exit(1);                                                                            \
    }                                                                                     \
  } while (0)

typedef struct Arrays {
  int input_count, output_count;
  float** inputs;
  float** outputs;
} Arrays;

static size_t element_count(int rank, const long* shape) {
  size_t count = 1;
  int axis;
  for (axis = 0; axis < rank; axis++) count *= (size_t)shape[axis];
  return count;
}

static size_t input_elements(int index) { return element_count(dlfusion_input_rank(index), dlfusion_input_shape(index)); }

static size_t output_elements(int index) {
  return element_count(dlfusion_output_rank(index), dlfusion_output_shape(index));
}

static Arrays make_arrays(unsigned seed) {
  Arrays made = {dlfusion_input_count(), dlfusion_output_count(), NULL, NULL};
  int index;
  size_t element;
  made.inputs = malloc((size_t)made.input_count * sizeof(float*));
  made.outputs = malloc((size_t)made.output_count * sizeof(float*));
  CHECK(made.inputs != NULL && made.outputs != NULL);
  for (index = 0; index < made.input_count; index++) {
    made.inputs[index] = malloc(input_elements(index) * sizeof(float));
    CHECK(made.inputs[index] != NULL);
    for (element = 0; element < input_elements(index); element++) {
      made.inputs[index][element] = (float)((element * 7 + seed * 13) % 101) / 50.0f - 1.0f;
    }
  }
  for (index = 0; index < made.output_count; index++) {
    made.outputs[index] = calloc(output_elements(index), sizeof(float));
    CHECK(made.outputs[index] != NULL);
  }
  return made;
}

static void free_arrays(Arrays* arrays) {
  int index;
  for (index = 0; index < arrays->input_count; index++) free(arrays->inputs[index]);
  for (index = 0; index < arrays->output_count; index++) free(arrays->outputs[index]);
  free(arrays->inputs);
  free(arrays->outputs);
}

static dlfusion_status run(dlfusion_context* context, const Arrays* arrays) {
  return dlfusion_run(context, (const float* const*)arrays->inputs, arrays->outputs);
}

#endif
