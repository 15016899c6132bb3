// Drives the thread pool and whole contexts hard; meant to run under a sanitizer. Prints "done" if all sums are right.
#include <chrono>
#include <cstdio>
#include <thread>
#include <vector>

#include "dlfusion.h"
#include "thread_pool.hpp"

namespace {

// Not atomic on purpose: the pool must order all accesses, and the thread sanitizer reports it if it does not.
struct Sums {
  long per_core[8] = {};
  long all = 0;
};

void count(const void* argument, int core) {
  static_cast<Sums*>(const_cast<void*>(argument))->per_core[core]++;
}

bool stress_pool(int cores, int rounds) {
  Sums sums;
  long expected = 0;
  dlfusion::ThreadPool pool;
  if (pool.start(cores) != 0) return false;
  for (int round = 0; round < rounds; round++) {
    const int used = 1 + round % cores;
    pool.run(count, &sums, used);
    expected += used;
    sums.all = 0;
    for (long sum : sums.per_core) sums.all += sum;
    if (sums.all != expected) return false;
    // Now and then long enough that the workers fall asleep.
    if (round % 100 == 0) std::this_thread::sleep_for(std::chrono::microseconds(300));
  }
  return true;
}

bool stress_contexts(const dlfusion_model* model, int rounds) {
  dlfusion_context* context;
  if (dlfusion_create(model, &context) != DLFUSION_OK) return false;
  std::vector<float> x(30, 2.0f), y(30), z(30);
  const float* inputs[] = {x.data()};
  float* outputs[] = {y.data(), z.data()};
  bool right = true;
  for (int round = 0; round < rounds; round++) {
    right &= dlfusion_run(context, inputs, outputs) == DLFUSION_OK && y[29] == 9.0f && z[0] == 90.0f;
  }
  dlfusion_destroy(context);
  return right;
}

}  // namespace

int main() {
  for (int cores : {1, 2, 3, 8}) {
    if (!stress_pool(cores, 1000)) return std::printf("wrong sum on %d cores\n", cores), 1;
  }
  for (int repeat = 0; repeat < 20; repeat++) {
    dlfusion::ThreadPool unused;
    if (unused.start(4) != 0) return std::printf("no threads\n"), 1;
  }

  dlfusion_model* model;
  if (dlfusion_open("weights.bin", DLFUSION_CHECK_DIGEST, &model) != DLFUSION_OK) {
    return std::printf("%s\n", dlfusion_error_text()), 1;
  }
  bool right[3] = {};
  std::vector<std::thread> callers;
  for (bool& result : right) callers.emplace_back([&] { result = stress_contexts(model, 300); });
  for (std::thread& caller : callers) caller.join();
  dlfusion_close(model);
  if (!(right[0] && right[1] && right[2])) return std::printf("wrong outputs\n"), 1;
  std::puts("done");
  return 0;
}
