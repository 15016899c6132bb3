// The C interface of model.h over the classes of program.hpp.
#include <algorithm>
#include <array>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <new>

#include "model.h"
#include "program.hpp"

using dlfusion::model;

struct dlfusion_model {
  std::vector<float> file;  // nothing, if the caller has the weights in memory
  const float* weights = nullptr;
};

struct dlfusion_context {
  dlfusion_context(const float* weights, int data_parallelism) : program(weights, data_parallelism, model.build) {}

  dlfusion::Program program;
  std::atomic<bool> busy{false};
};

namespace {

thread_local std::string error_text;

dlfusion_status failed(dlfusion_status status, const std::string& text) {
  error_text = std::string(model.name) + ": " + text;
  return status;
}

// Runs `action`, and turns what it throws into a status and a text: no exception leaves the C interface.
template <typename Action>
dlfusion_status guarded(Action action) {
  try {
    return action();
  } catch (const dlfusion::Failure& failure) {
    return failed(DLFUSION_DEVICE_FAILED, failure.what());
  } catch (const std::bad_alloc&) {
    return failed(DLFUSION_OUT_OF_MEMORY, "the host's memory is full");
  }
}

// CRC-32 (IEEE 802.3), as zlib computes it.
std::uint32_t crc32(const unsigned char* bytes, std::size_t count) {
  std::array<std::uint32_t, 256> table;
  for (std::uint32_t byte = 0; byte < 256; ++byte) {
    std::uint32_t value = byte;
    for (int bit = 0; bit < 8; ++bit) value = value & 1 ? 0xEDB88320u ^ (value >> 1) : value >> 1;
    table[byte] = value;
  }
  std::uint32_t digest = 0xFFFFFFFFu;
  for (std::size_t index = 0; index < count; ++index) {
    digest = table[(digest ^ bytes[index]) & 0xFF] ^ (digest >> 8);
  }
  return ~digest;
}

// What must hold before any weights are looked at; then *opened is null.
dlfusion_status check_opening(int flags, dlfusion_model** opened) {
  if (opened == nullptr) return failed(DLFUSION_INVALID_ARGUMENT, "dlfusion_open: model is null");
  *opened = nullptr;
  if ((flags & ~DLFUSION_CHECK_DIGEST) != 0) {
    return failed(DLFUSION_INVALID_ARGUMENT, "dlfusion_open: unknown flags " + std::to_string(flags));
  }
  return DLFUSION_OK;
}

// Whether `source` has as many bytes as the model's weights.
dlfusion_status check_size(const std::string& source, std::size_t bytes) {
  if (bytes == model.weights_bytes) return DLFUSION_OK;
  return failed(DLFUSION_WRONG_WEIGHTS, source + " has " + std::to_string(bytes) +
                                            " bytes, but the model's weights have " +
                                            std::to_string(model.weights_bytes));
}

// Whether the weights, which are of the right size, are the model's.
dlfusion_status check_digest(const std::string& source, const void* weights, int flags) {
  if ((flags & DLFUSION_CHECK_DIGEST) == 0 ||
      crc32(static_cast<const unsigned char*>(weights), model.weights_bytes) == model.weights_crc32) {
    return DLFUSION_OK;
  }
  return failed(DLFUSION_WRONG_WEIGHTS, source + " is damaged or belongs to another model: its digest is wrong");
}

// Reads the weights at `path`, or in the folder that it is.
dlfusion_status read(std::string path, int flags, std::vector<float>& weights) {
  std::error_code ignored;
  if (std::filesystem::is_directory(path, ignored)) path += "/weights.bin";
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) return failed(DLFUSION_CANNOT_OPEN, "cannot open " + path);
  const dlfusion_status status = check_size(path, static_cast<std::size_t>(file.tellg()));
  if (status != DLFUSION_OK) return status;
  weights.resize(model.weights_bytes / sizeof(float));
  file.seekg(0);
  file.read(reinterpret_cast<char*>(weights.data()), static_cast<std::streamsize>(model.weights_bytes));
  if (!file) return failed(DLFUSION_CANNOT_OPEN, "cannot read " + path);
  return check_digest(path, weights.data(), flags);
}

dlfusion_status run(dlfusion_context* context, const float* const* inputs, float* const* outputs,
                    double* block_seconds) {
  if (context->busy.exchange(true)) return failed(DLFUSION_BUSY, "another thread is running this context");
  const dlfusion_status status = guarded([&] {
    context->program.run(inputs, outputs, block_seconds);
    return DLFUSION_OK;
  });
  context->busy = false;
  return status;
}

bool complete(int count, const void* const* arrays) {
  if (arrays == nullptr) return count == 0;
  for (int index = 0; index < count; ++index) {
    if (arrays[index] == nullptr) return false;
  }
  return true;
}

bool complete(const float* const* inputs, float* const* outputs) {
  return complete(model.input_count, reinterpret_cast<const void* const*>(inputs)) &&
         complete(model.output_count, reinterpret_cast<const void* const*>(outputs));
}

const dlfusion::PortInfo* input(int index) {
  return index >= 0 && index < model.input_count ? &model.inputs[index] : nullptr;
}

const dlfusion::PortInfo* output(int index) {
  return index >= 0 && index < model.output_count ? &model.outputs[index] : nullptr;
}

const dlfusion::BlockInfo* block(int index) {
  return index >= 0 && index < model.block_count ? &model.blocks[index] : nullptr;
}

}  // namespace

extern "C" {

const char* dlfusion_error_text(void) { return error_text.c_str(); }
int dlfusion_interface_version(void) { return DLFUSION_INTERFACE_VERSION; }
const char* dlfusion_name(void) { return model.name; }

int dlfusion_input_count(void) { return model.input_count; }
const char* dlfusion_input_name(int index) { return input(index) ? input(index)->name : nullptr; }
int dlfusion_input_rank(int index) { return input(index) ? input(index)->rank : -1; }
const long* dlfusion_input_shape(int index) { return input(index) ? input(index)->shape : nullptr; }
int dlfusion_output_count(void) { return model.output_count; }
const char* dlfusion_output_name(int index) { return output(index) ? output(index)->name : nullptr; }
int dlfusion_output_rank(int index) { return output(index) ? output(index)->rank : -1; }
const long* dlfusion_output_shape(int index) { return output(index) ? output(index)->shape : nullptr; }

int dlfusion_block_count(void) { return model.block_count; }
const char* dlfusion_block_name(int index) { return block(index) ? block(index)->name : nullptr; }
int dlfusion_block_cores(int index) { return block(index) ? block(index)->cores : -1; }

int dlfusion_cores(void) {
  int most = 1;
  for (int index = 0; index < model.block_count; ++index) most = std::max(most, model.blocks[index].cores);
  return most;
}

size_t dlfusion_weights_bytes(void) { return model.weights_bytes; }
size_t dlfusion_context_bytes(void) { return model.context_bytes; }

dlfusion_status dlfusion_open(const char* path, int flags, dlfusion_model** opened) {
  const dlfusion_status status = check_opening(flags, opened);
  if (status != DLFUSION_OK) return status;
  if (path == nullptr) return failed(DLFUSION_INVALID_ARGUMENT, "dlfusion_open: path is null");
  return guarded([&] {
    auto made = std::make_unique<dlfusion_model>();
    const dlfusion_status found = read(path, flags, made->file);
    made->weights = made->file.data();
    if (found == DLFUSION_OK) *opened = made.release();
    return found;
  });
}

dlfusion_status dlfusion_open_memory(const void* weights, size_t bytes, int flags, dlfusion_model** opened) {
  dlfusion_status status = check_opening(flags, opened);
  if (status != DLFUSION_OK) return status;
  if (weights == nullptr) return failed(DLFUSION_INVALID_ARGUMENT, "dlfusion_open_memory: weights is null");
  const std::uintptr_t beyond = reinterpret_cast<std::uintptr_t>(weights) % DLFUSION_WEIGHTS_ALIGNMENT;
  if (beyond != 0) {
    return failed(DLFUSION_INVALID_ARGUMENT, "dlfusion_open_memory: weights begin " + std::to_string(beyond) +
                                                 " bytes after a multiple of " +
                                                 std::to_string(DLFUSION_WEIGHTS_ALIGNMENT) + ": align the memory");
  }
  status = check_size("the memory with the weights", bytes);
  if (status == DLFUSION_OK) status = check_digest("the memory with the weights", weights, flags);
  if (status != DLFUSION_OK) return status;
  return guarded([&] {
    auto made = std::make_unique<dlfusion_model>();
    made->weights = static_cast<const float*>(weights);
    *opened = made.release();
    return DLFUSION_OK;
  });
}

void dlfusion_close(dlfusion_model* opened) { delete opened; }

dlfusion_status dlfusion_create(const dlfusion_model* opened, dlfusion_context** context) {
  return dlfusion_create_parallel(opened, 1, context);
}

dlfusion_status dlfusion_create_parallel(const dlfusion_model* opened, int data_parallelism,
                                         dlfusion_context** context) {
  if (context == nullptr) return failed(DLFUSION_INVALID_ARGUMENT, "dlfusion_create: context is null");
  *context = nullptr;
  if (opened == nullptr) return failed(DLFUSION_INVALID_ARGUMENT, "dlfusion_create: model is null");
  const int cores = dlfusion_cores();
  if (data_parallelism < 1 || data_parallelism > dlfusion::kDeviceCores / cores) {
    return failed(DLFUSION_INVALID_ARGUMENT,
                  "data parallelism is " + std::to_string(data_parallelism) + " and blocks run on up to " +
                      std::to_string(cores) + " cores, but the device has " + std::to_string(dlfusion::kDeviceCores) +
                      ": choose 1 to " + std::to_string(dlfusion::kDeviceCores / cores));
  }
  return guarded([&] {
    *context = new dlfusion_context(opened->weights, data_parallelism);
    return DLFUSION_OK;
  });
}

void dlfusion_destroy(dlfusion_context* context) { delete context; }

dlfusion_status dlfusion_run(dlfusion_context* context, const float* const* inputs, float* const* outputs) {
  if (context == nullptr || !complete(inputs, outputs)) {
    return failed(DLFUSION_INVALID_ARGUMENT, "dlfusion_run: the context or an array is null");
  }
  return run(context, inputs, outputs, nullptr);
}

dlfusion_status dlfusion_run_timed(dlfusion_context* context, const float* const* inputs, float* const* outputs,
                                   double* block_seconds) {
  if (context == nullptr || block_seconds == nullptr || !complete(inputs, outputs)) {
    return failed(DLFUSION_INVALID_ARGUMENT, "dlfusion_run_timed: the context or an array is null");
  }
  return run(context, inputs, outputs, block_seconds);
}

}  // extern "C"
