/* Runs a compiled model: a start for programs of your own, in C99.
 *
 *     example FOLDER [--input FILE]... [--output FILE]... [--runs N]
 *
 * FOLDER is the folder of the compiled model. Files hold raw float32 values, one file for each input or output, in the
 * order of the model's. Without files inputs are made up and the outputs' first values are printed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dlfusion.h"

enum { SHOWN_VALUES = 8 };

static void fail(const char* text, const char* detail) {
  fprintf(stderr, "%s%s\n", text, detail);
  exit(1);
}

/* Every function that can fail returns a status, and keeps a text that says what failed. */
static void check(dlfusion_status status) {
  if (status != DLFUSION_OK) fail("", dlfusion_error_text());
}

static void* allocate(size_t count, size_t bytes) {
  void* memory = calloc(count > 0 ? count : 1, bytes);
  if (memory == NULL) fail("no memory", "");
  return memory;
}

static size_t element_count(int rank, const long* shape) {
  size_t count = 1;
  int axis;
  for (axis = 0; axis < rank; axis++) count *= (size_t)shape[axis];
  return count;
}

static void print_port(const char* kind, const char* name, int rank, const long* shape) {
  int axis;
  printf("%s %s:", kind, name);
  for (axis = 0; axis < rank; axis++) printf(axis == 0 ? " %ld" : " x %ld", shape[axis]);
  printf("\n");
}

static void make_up(float* values, size_t count) {
  size_t index;
  for (index = 0; index < count; index++) values[index] = (float)(index % 31) / 15.0f - 1.0f;
}

static void read_values(const char* path, float* values, size_t count) {
  FILE* file = fopen(path, "rb");
  if (file == NULL) fail("cannot open ", path);
  if (fread(values, sizeof(float), count, file) != count || fgetc(file) != EOF) {
    fprintf(stderr, "the input needs just %lu float32 values\n", (unsigned long)count);
    fail("wrong size: ", path);
  }
  fclose(file);
}

static void write_values(const char* path, const float* values, size_t count) {
  FILE* file = fopen(path, "wb");
  if (file == NULL) fail("cannot write ", path);
  if (fwrite(values, sizeof(float), count, file) != count || fclose(file) != 0) fail("cannot write ", path);
}

static void print_values(const char* name, const float* values, size_t count) {
  size_t index;
  printf("%s:", name);
  for (index = 0; index < count && index < SHOWN_VALUES; index++) printf(" %g", (double)values[index]);
  printf(count > SHOWN_VALUES ? " ...\n" : "\n");
}

/* Each input's array, from its file if there is one. */
static float** read_inputs(char** files, int file_count) {
  const int count = dlfusion_input_count();
  float** arrays = allocate((size_t)count, sizeof(float*));
  int index;
  for (index = 0; index < count; index++) {
    const int rank = dlfusion_input_rank(index);
    const long* shape = dlfusion_input_shape(index);
    const size_t elements = element_count(rank, shape);
    print_port("input", dlfusion_input_name(index), rank, shape);
    arrays[index] = allocate(elements, sizeof(float));
    if (index < file_count) {
      read_values(files[index], arrays[index], elements);
    } else {
      make_up(arrays[index], elements);
    }
  }
  return arrays;
}

static float** allocate_outputs(void) {
  const int count = dlfusion_output_count();
  float** arrays = allocate((size_t)count, sizeof(float*));
  int index;
  for (index = 0; index < count; index++) {
    const int rank = dlfusion_output_rank(index);
    const long* shape = dlfusion_output_shape(index);
    print_port("output", dlfusion_output_name(index), rank, shape);
    arrays[index] = allocate(element_count(rank, shape), sizeof(float));
  }
  return arrays;
}

/* Runs the model so many times; returns the seconds of the fastest. */
static double run(dlfusion_context* context, float** inputs, float** outputs, int runs) {
  const int blocks = dlfusion_block_count();
  double* block_seconds = allocate((size_t)blocks, sizeof(double));
  double best = 0;
  int count, index;
  for (count = 0; count < runs; count++) {
    double seconds = 0;
    /* dlfusion_run is the same without the times. */
    check(dlfusion_run_timed(context, (const float* const*)inputs, outputs, block_seconds));
    for (index = 0; index < blocks; index++) seconds += block_seconds[index];
    if (count == 0 || seconds < best) best = seconds;
  }
  free(block_seconds);
  return best;
}

static void free_arrays(float** arrays, int count) {
  int index;
  for (index = 0; index < count; index++) free(arrays[index]);
  free(arrays);
}

int main(int count, char** words) {
  dlfusion_model* model;
  dlfusion_context* context;
  char** input_files = allocate((size_t)count, sizeof(char*));
  char** output_files = allocate((size_t)count, sizeof(char*));
  float **inputs, **outputs;
  int input_files_count = 0, output_files_count = 0, runs = 1, index;

  if (count < 2 || count % 2 != 0) fail("usage: example FOLDER [--input FILE]... [--output FILE]... [--runs N]", "");
  for (index = 2; index < count; index += 2) {
    if (strcmp(words[index], "--input") == 0) {
      input_files[input_files_count++] = words[index + 1];
    } else if (strcmp(words[index], "--output") == 0) {
      output_files[output_files_count++] = words[index + 1];
    } else if (strcmp(words[index], "--runs") == 0 && atoi(words[index + 1]) > 0) {
      runs = atoi(words[index + 1]);
    } else {
      fail("unknown option, or a number that is none: ", words[index]);
    }
  }
  if (input_files_count > dlfusion_input_count() || output_files_count > dlfusion_output_count()) {
    fail("there are more files than the model has inputs or outputs", "");
  }

  /* The model is opened once; a context belongs to one thread at a time, and each thread that runs needs its own. */
  check(dlfusion_open(words[1], DLFUSION_CHECK_DIGEST, &model));
  check(dlfusion_create(model, &context));
  inputs = read_inputs(input_files, input_files_count);
  outputs = allocate_outputs();
  printf("model %s, fastest of %d on %d cores: ", dlfusion_name(), runs, dlfusion_cores());
  printf("%.3f ms\n", 1000 * run(context, inputs, outputs, runs));
  for (index = 0; index < dlfusion_output_count(); index++) {
    const size_t elements = element_count(dlfusion_output_rank(index), dlfusion_output_shape(index));
    print_values(dlfusion_output_name(index), outputs[index], elements);
    if (index < output_files_count) write_values(output_files[index], outputs[index], elements);
  }

  dlfusion_destroy(context);
  dlfusion_close(model);
  free_arrays(inputs, dlfusion_input_count());
  free_arrays(outputs, dlfusion_output_count());
  free(input_files);
  free(output_files);
  return 0;
}
