/* Runs the model once, prints "ready" and stays as it is until its input ends, so that its memory can be looked at.
 * Usage: waits FOLDER. */
#include "arrays.h"

int main(int count, char** words) {
  dlfusion_model* model;
  dlfusion_context* context;
  Arrays arrays = make_arrays(0);
  CHECK(count == 2);
  CHECK(dlfusion_open(words[1], DLFUSION_CHECK_DIGEST, &model) == DLFUSION_OK);
  CHECK(dlfusion_create(model, &context) == DLFUSION_OK);
  CHECK(run(context, &arrays) == DLFUSION_OK);
  puts("ready");
  fflush(stdout);
  while (getchar() != EOF) continue;
  dlfusion_destroy(context);
  dlfusion_close(model);
  free_arrays(&arrays);
  return 0;
}
