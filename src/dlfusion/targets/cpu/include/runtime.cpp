// The C interface (dlfusion.h) over the generated program.
//
// This file is compiled for the plainest CPU of its architecture, with DLFUSION_CPU_FEATURES naming the extensions that
// the program's other files are compiled for, so that it can refuse a CPU on which they would crash.
#include "runtime.hpp"

#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>

#include "cpu_features.hpp"
#include "dlfusion.h"
#include "memory.hpp"
#include "sha256.hpp"
#include "thread_pool.hpp"

#if !defined(DLFUSION_CPU_FEATURES)
#define DLFUSION_CPU_FEATURES ""
#endif

using dlfusion::Block;
using dlfusion::Port;
using dlfusion::program;
using dlfusion::Run;

struct dlfusion_model {
  dlfusion::MappedFile file;  // nothing, if the caller has the weights in memory
  const void* weights = nullptr;
};

struct dlfusion_context {
  const float* weights = nullptr;
  dlfusion::ZeroedMemory tensors;
  dlfusion::ZeroedMemory scratch;
  dlfusion::ThreadPool pool;
  std::atomic_flag busy = ATOMIC_FLAG_INIT;
};

namespace {

thread_local char error_text[1024];

// Keeps the message for dlfusion_error_text and returns the status.
__attribute__((format(printf, 2, 3))) dlfusion_status fail(dlfusion_status status, const char* format, ...) {
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(error_text, sizeof(error_text), format, arguments);
  va_end(arguments);
  return status;
}

// What the file of the weights is called in the model's folder.
constexpr const char* WEIGHTS_FILE = "weights.bin";

// Each core's scratch begins on a page of its own: no two cores write one cache line or one page.
constexpr std::size_t PAGE_BYTES = 4096;

std::size_t scratch_stride_bytes() { return (program.scratch_bytes + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES; }

const Port* port(const Port* ports, int count, int index) {
  return index >= 0 && index < count ? &ports[index] : nullptr;
}

const Block* block(int index) {
  return index >= 0 && index < program.block_count ? &program.blocks[index] : nullptr;
}

// What must hold before any weights are looked at; then *model is null.
dlfusion_status check_opening(dlfusion_model** model, int flags) {
  if (model == nullptr) return fail(DLFUSION_INVALID_ARGUMENT, "the place for the model is null");
  *model = nullptr;
  if ((flags & ~DLFUSION_CHECK_DIGEST) != 0) return fail(DLFUSION_INVALID_ARGUMENT, "unknown flags %d", flags);

  std::size_t length = 0;
  const char* missing = dlfusion::missing_cpu_feature(DLFUSION_CPU_FEATURES, &length);
  if (missing != nullptr) {
    return fail(DLFUSION_UNSUPPORTED_CPU, "model %s was compiled for a CPU with %s, and this CPU lacks %.*s: compile it here",
                program.name, DLFUSION_CPU_FEATURES, static_cast<int>(length), missing);
  }
  return DLFUSION_OK;
}

// Whether these are the weights of the model. Messages name their place by `where` and `path`, one after the other.
dlfusion_status check_weights(const void* weights, std::size_t bytes, int flags, const char* where, const char* path) {
  if (bytes != program.weights_bytes) {
    return fail(DLFUSION_WRONG_WEIGHTS,
                "the weights %s%s have %zu bytes, but model %s needs %zu: they belong to another model or are cut off",
                where, path, bytes, program.name, program.weights_bytes);
  }
  if ((flags & DLFUSION_CHECK_DIGEST) == 0) return DLFUSION_OK;
  char digest[65];
  dlfusion::Sha256::hexadecimal(static_cast<const unsigned char*>(weights), bytes, digest);
  if (std::strcmp(digest, program.weights_sha256) != 0) {
    return fail(DLFUSION_WRONG_WEIGHTS,
                "the weights %s%s have SHA-256 %s, but model %s needs %s: they belong to another model or are damaged",
                where, path, digest, program.name, program.weights_sha256);
  }
  return DLFUSION_OK;
}

// Maps the weights at `path` into a new model.
dlfusion_status map_weights(dlfusion_model& model, const char* path, int flags) {
  const int failure = model.file.open(path, WEIGHTS_FILE);
  if (failure != 0) {
    return fail(DLFUSION_CANNOT_OPEN, "cannot read %s, which should be the folder of model %s or its %s: %s", path,
                program.name, WEIGHTS_FILE, std::strerror(failure));
  }
  model.weights = model.file.data();
  return check_weights(model.weights, model.file.bytes(), flags, "at ", path);
}

// One block on one core, as the pool calls it.
struct Work {
  const Block* block;
  const Run* run;
  float* scratch;
  std::size_t scratch_stride;  // in floats
};

void run_core(const void* argument, int core) {
  const Work& work = *static_cast<const Work*>(argument);
  Run run = *work.run;
  run.scratch = work.scratch == nullptr ? nullptr : work.scratch + work.scratch_stride * static_cast<std::size_t>(core);
  work.block->run(run, core);
}

// Runs the blocks in order; all cores finish a block before the next begins.
void run_blocks(dlfusion_context& context, const float* const* inputs, float* const* outputs, double* block_seconds) {
  const Run run{inputs, outputs, context.weights, context.tensors.floats(), nullptr};
  for (int index = 0; index < program.block_count; index++) {
    const Block& current = program.blocks[index];
    const Work work{&current, &run, context.scratch.floats(), scratch_stride_bytes() / sizeof(float)};
    if (block_seconds == nullptr) {
      context.pool.run(run_core, &work, current.cores);
    } else {
      const std::int64_t start = dlfusion::clock_nanoseconds();
      context.pool.run(run_core, &work, current.cores);
      block_seconds[index] = static_cast<double>(dlfusion::clock_nanoseconds() - start) * 1e-9;
    }
  }
}

dlfusion_status check_arrays(const char* kind, const float* const* arrays, const Port* ports, int count) {
  if (arrays == nullptr && count > 0) return fail(DLFUSION_INVALID_ARGUMENT, "the list of %ss is null", kind);
  for (int index = 0; index < count; index++) {
    if (arrays[index] == nullptr) {
      return fail(DLFUSION_INVALID_ARGUMENT, "%s %d (%s) is null", kind, index, ports[index].name);
    }
  }
  return DLFUSION_OK;
}

dlfusion_status run_checked(dlfusion_context* context, const float* const* inputs, float* const* outputs,
                            double* block_seconds) {
  if (context == nullptr) return fail(DLFUSION_INVALID_ARGUMENT, "the context is null");
  dlfusion_status status = check_arrays("input", inputs, program.inputs, program.input_count);
  if (status == DLFUSION_OK) status = check_arrays("output", outputs, program.outputs, program.output_count);
  if (status != DLFUSION_OK) return status;
  if (context->busy.test_and_set(std::memory_order_acquire)) {
    return fail(DLFUSION_BUSY, "another thread is running this context: create one context for each thread");
  }
  run_blocks(*context, inputs, outputs, block_seconds);
  context->busy.clear(std::memory_order_release);
  return DLFUSION_OK;
}

// Makes an object without the C++ library's operator new; null if there is no memory.
template <typename Object>
Object* make() {
  static_assert(alignof(Object) <= alignof(std::max_align_t), "malloc aligns no further");
  void* memory = std::malloc(sizeof(Object));
  return memory == nullptr ? nullptr : new (memory) Object;
}

// Undoes make(); null is allowed.
template <typename Object>
void destroy(Object* object) {
  if (object == nullptr) return;
  object->~Object();
  std::free(object);
}

dlfusion_status prepare(dlfusion_context& context, const dlfusion_model& model) {
  context.weights = static_cast<const float*>(model.weights);
  if (context.tensors.allocate(program.tensors_bytes) != 0 ||
      context.scratch.allocate(scratch_stride_bytes() * static_cast<std::size_t>(program.cores)) != 0) {
    return fail(DLFUSION_OUT_OF_MEMORY, "no memory for a context of %zu bytes", dlfusion_context_bytes());
  }
  const int refused = context.pool.start(program.cores);
  if (refused != 0) {
    return fail(DLFUSION_NO_THREADS, "cannot start %d threads: %s", program.cores - 1, std::strerror(refused));
  }
  return DLFUSION_OK;
}

}  // namespace

const char* dlfusion_error_text(void) { return error_text; }
int dlfusion_interface_version(void) { return DLFUSION_INTERFACE_VERSION; }
const char* dlfusion_name(void) { return program.name; }

int dlfusion_input_count(void) { return program.input_count; }
const char* dlfusion_input_name(int index) {
  const Port* input = port(program.inputs, program.input_count, index);
  return input == nullptr ? nullptr : input->name;
}
int dlfusion_input_rank(int index) {
  const Port* input = port(program.inputs, program.input_count, index);
  return input == nullptr ? -1 : input->rank;
}
const long* dlfusion_input_shape(int index) {
  const Port* input = port(program.inputs, program.input_count, index);
  return input == nullptr ? nullptr : input->shape;
}

int dlfusion_output_count(void) { return program.output_count; }
const char* dlfusion_output_name(int index) {
  const Port* output = port(program.outputs, program.output_count, index);
  return output == nullptr ? nullptr : output->name;
}
int dlfusion_output_rank(int index) {
  const Port* output = port(program.outputs, program.output_count, index);
  return output == nullptr ? -1 : output->rank;
}
const long* dlfusion_output_shape(int index) {
  const Port* output = port(program.outputs, program.output_count, index);
  return output == nullptr ? nullptr : output->shape;
}

int dlfusion_block_count(void) { return program.block_count; }
const char* dlfusion_block_name(int index) { return block(index) == nullptr ? nullptr : block(index)->name; }
int dlfusion_block_cores(int index) { return block(index) == nullptr ? -1 : block(index)->cores; }

int dlfusion_cores(void) { return program.cores; }
size_t dlfusion_weights_bytes(void) { return program.weights_bytes; }
size_t dlfusion_context_bytes(void) {
  return program.tensors_bytes + scratch_stride_bytes() * static_cast<std::size_t>(program.cores);
}

dlfusion_status dlfusion_open(const char* path, int flags, dlfusion_model** model) {
  dlfusion_status status = check_opening(model, flags);
  if (status != DLFUSION_OK) return status;
  if (path == nullptr) return fail(DLFUSION_INVALID_ARGUMENT, "the path of the model's folder is null");
  dlfusion_model* opened = make<dlfusion_model>();
  if (opened == nullptr) return fail(DLFUSION_OUT_OF_MEMORY, "no memory for the model");
  status = map_weights(*opened, path, flags);
  if (status != DLFUSION_OK) {
    destroy(opened);
    return status;
  }
  *model = opened;
  return DLFUSION_OK;
}

dlfusion_status dlfusion_open_memory(const void* weights, size_t bytes, int flags, dlfusion_model** model) {
  dlfusion_status status = check_opening(model, flags);
  if (status != DLFUSION_OK) return status;
  if (weights == nullptr) return fail(DLFUSION_INVALID_ARGUMENT, "the weights are null");
  const std::size_t beyond = reinterpret_cast<std::uintptr_t>(weights) % DLFUSION_WEIGHTS_ALIGNMENT;
  if (beyond != 0) {
    return fail(DLFUSION_INVALID_ARGUMENT, "the weights begin %zu bytes after a multiple of %d bytes: align the memory",
                beyond, DLFUSION_WEIGHTS_ALIGNMENT);
  }
  status = check_weights(weights, bytes, flags, "in memory", "");
  if (status != DLFUSION_OK) return status;
  dlfusion_model* opened = make<dlfusion_model>();
  if (opened == nullptr) return fail(DLFUSION_OUT_OF_MEMORY, "no memory for the model");
  opened->weights = weights;
  *model = opened;
  return DLFUSION_OK;
}

void dlfusion_close(dlfusion_model* model) { destroy(model); }

dlfusion_status dlfusion_create(const dlfusion_model* model, dlfusion_context** context) {
  if (context == nullptr) return fail(DLFUSION_INVALID_ARGUMENT, "the place for the context is null");
  *context = nullptr;
  if (model == nullptr) return fail(DLFUSION_INVALID_ARGUMENT, "the model is null");
  dlfusion_context* created = make<dlfusion_context>();
  if (created == nullptr) return fail(DLFUSION_OUT_OF_MEMORY, "no memory for the context");
  const dlfusion_status status = prepare(*created, *model);
  if (status != DLFUSION_OK) {
    destroy(created);
    return status;
  }
  *context = created;
  return DLFUSION_OK;
}

void dlfusion_destroy(dlfusion_context* context) { destroy(context); }

dlfusion_status dlfusion_run(dlfusion_context* context, const float* const* inputs, float* const* outputs) {
  return run_checked(context, inputs, outputs, nullptr);
}

dlfusion_status dlfusion_run_timed(dlfusion_context* context, const float* const* inputs, float* const* outputs,
                                   double* block_seconds) {
  if (block_seconds == nullptr) return fail(DLFUSION_INVALID_ARGUMENT, "the place for the blocks' seconds is null");
  return run_checked(context, inputs, outputs, block_seconds);
}
