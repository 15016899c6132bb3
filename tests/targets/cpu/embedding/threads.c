/* Several threads on one model, each with a context and inputs of its own; results must be those of one thread.
 * Usage: threads FOLDER RUNS. Prints "done". */
#include <pthread.h>
#include <string.h>

#include "arrays.h"

enum { THREADS = 4 };

typedef struct Caller {
  const dlfusion_model* model;
  const Arrays* expected;
  unsigned seed;
  int runs;
  int wrong;
} Caller;

/* How many outputs differ in any bit. */
static int differences(const Arrays* arrays, const Arrays* expected) {
  int count = 0, index;
  for (index = 0; index < arrays->output_count; index++) {
    count += memcmp(arrays->outputs[index], expected->outputs[index], output_elements(index) * sizeof(float)) != 0;
  }
  return count;
}

static void* call(void* argument) {
  Caller* caller = argument;
  Arrays arrays = make_arrays(caller->seed);
  int count, index;
  /* Contexts come and go while other threads run theirs. */
  for (count = 0; count < 2; count++) {
    dlfusion_context* context;
    CHECK(dlfusion_create(caller->model, &context) == DLFUSION_OK);
    for (index = 0; index < caller->runs; index++) {
      CHECK(run(context, &arrays) == DLFUSION_OK);
      caller->wrong += differences(&arrays, caller->expected);
    }
    dlfusion_destroy(context);
  }
  free_arrays(&arrays);
  return NULL;
}

int main(int count, char** words) {
  dlfusion_model* model;
  dlfusion_context* context;
  Arrays expected[THREADS];
  Caller callers[THREADS];
  pthread_t threads[THREADS];
  int index;

  CHECK(count == 3);
  CHECK(dlfusion_open(words[1], 0, &model) == DLFUSION_OK);
  CHECK(dlfusion_create(model, &context) == DLFUSION_OK);
  for (index = 0; index < THREADS; index++) {
    expected[index] = make_arrays((unsigned)index);
    CHECK(run(context, &expected[index]) == DLFUSION_OK);
  }
  CHECK(differences(&expected[0], &expected[1]) > 0);
  dlfusion_destroy(context);

  for (index = 0; index < THREADS; index++) {
    Caller caller = {model, &expected[index], (unsigned)index, atoi(words[2]), 0};
    callers[index] = caller;
    CHECK(pthread_create(&threads[index], NULL, call, &callers[index]) == 0);
  }
  for (index = 0; index < THREADS; index++) {
    CHECK(pthread_join(threads[index], NULL) == 0);
    CHECK(callers[index].wrong == 0);
    free_arrays(&expected[index]);
  }
  dlfusion_close(model);
  puts("done");
  return 0;
}
