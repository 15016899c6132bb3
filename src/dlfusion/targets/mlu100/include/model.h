/* The C interface of a compiled model. It is the interface of DLFusion's models for CPUs, so that a program can use
 * either, and one function more: dlfusion_create_parallel.
 *
 * Open the weights once, create one context for each thread that runs the model, and call dlfusion_run. `folder` is the
 * path of the compiled model's folder:
 *
 *     dlfusion_model* model;
 *     dlfusion_context* context;
 *     if (dlfusion_open(folder, 0, &model) || dlfusion_create(model, &context)) {
 *       fprintf(stderr, "%s\n", dlfusion_error_text());
 *       return 1;
 *     }
 *     const float* inputs[] = {image};
 *     float* outputs[] = {scores};
 *     dlfusion_run(context, inputs, outputs);
 *     dlfusion_destroy(context);
 *     dlfusion_close(model);
 *
 * All arrays are dense float32 in the order of their shape (the last axis is contiguous); the device computes in fp16.
 * Functions are safe to call from several threads at once, except that one context runs one call at a time and that a
 * context or model that is being destroyed must not be in use.
 */
#ifndef DLFUSION_MODEL_H
#define DLFUSION_MODEL_H

#include <stddef.h>

#if defined(_WIN32)
#define DLFUSION_API __declspec(dllexport)
#else
#define DLFUSION_API __attribute__((visibility("default")))
#endif

#ifdef __cplusplus
extern "C" {
#endif

/* The version of this interface; dlfusion_interface_version() returns that of the library. */
#define DLFUSION_INTERFACE_VERSION 2

/* Weights that are passed to dlfusion_open_memory begin on a multiple of this many bytes. */
#define DLFUSION_WEIGHTS_ALIGNMENT 64

/* The weights in memory, which all contexts share. */
typedef struct dlfusion_model dlfusion_model;

/* The model compiled on the device, with its queue and its memory, for one caller. */
typedef struct dlfusion_context dlfusion_context;

typedef enum dlfusion_status {
  DLFUSION_OK = 0,
  DLFUSION_INVALID_ARGUMENT = 1, /* a null pointer, an unknown flag, unaligned memory, or more cores than there are */
  DLFUSION_CANNOT_OPEN = 2,      /* the weights cannot be read */
  DLFUSION_WRONG_WEIGHTS = 3,    /* the weights belong to another model or are damaged */
  DLFUSION_UNSUPPORTED_CPU = 4,  /* never returned by a model for the MLU-100 */
  DLFUSION_OUT_OF_MEMORY = 5,    /* of the host; the device's memory counts as DLFUSION_DEVICE_FAILED */
  DLFUSION_NO_THREADS = 6,       /* never returned by a model for the MLU-100 */
  DLFUSION_BUSY = 7,             /* another thread is running this context */
  DLFUSION_DEVICE_FAILED = 8     /* a call of CNML or CNRT failed; the error text says which, for what, and why */
} dlfusion_status;

/* Flags of opening. Without DLFUSION_CHECK_DIGEST only the size of the weights is checked. */
enum { DLFUSION_CHECK_DIGEST = 1 };

/* What went wrong in this thread's last call that failed; "" if none did. Valid until this thread's next failure. */
DLFUSION_API const char* dlfusion_error_text(void);

DLFUSION_API int dlfusion_interface_version(void);
DLFUSION_API const char* dlfusion_name(void);

/* The model's inputs and outputs. For an index out of range names and shapes are null and ranks are -1. */
DLFUSION_API int dlfusion_input_count(void);
DLFUSION_API const char* dlfusion_input_name(int index);
DLFUSION_API int dlfusion_input_rank(int index);
DLFUSION_API const long* dlfusion_input_shape(int index);
DLFUSION_API int dlfusion_output_count(void);
DLFUSION_API const char* dlfusion_output_name(int index);
DLFUSION_API int dlfusion_output_rank(int index);
DLFUSION_API const long* dlfusion_output_shape(int index);

/* The blocks, in the order they run, and on how many cores each runs; null and -1 for an index out of range. */
DLFUSION_API int dlfusion_block_count(void);
DLFUSION_API const char* dlfusion_block_name(int index);
DLFUSION_API int dlfusion_block_cores(int index);

/* The most cores that a block runs on. */
DLFUSION_API int dlfusion_cores(void);

/* Bytes of the weights, and of the device's memory that each context takes for each data-parallel way. */
DLFUSION_API size_t dlfusion_weights_bytes(void);
DLFUSION_API size_t dlfusion_context_bytes(void);

/* Read the weights. `path` is the folder of the compiled model, or its weights.bin wherever and under whatever name that
 * lies. `flags` is 0 or DLFUSION_CHECK_DIGEST. On failure *model is null. */
DLFUSION_API dlfusion_status dlfusion_open(const char* path, int flags, dlfusion_model** model);

/* The same with the `bytes` of weights.bin that the caller has in memory at `weights`. They are not copied: they must
 * begin on a multiple of DLFUSION_WEIGHTS_ALIGNMENT bytes, and stay as they are until the model is closed. */
DLFUSION_API dlfusion_status dlfusion_open_memory(const void* weights, size_t bytes, int flags, dlfusion_model** model);

/* Give the weights back; all contexts of the model must be destroyed before. Null is allowed. */
DLFUSION_API void dlfusion_close(dlfusion_model* model);

/* Compile the model on the device and allocate its memory. On failure *context is null. */
DLFUSION_API dlfusion_status dlfusion_create(const dlfusion_model* model, dlfusion_context** context);

/* The same for several ways of data parallelism: each run computes the model so often at once, on arrays that hold the
 * inputs and outputs of the ways one after the other. The ways times dlfusion_cores() can be 32 at most. */
DLFUSION_API dlfusion_status dlfusion_create_parallel(const dlfusion_model* model, int data_parallelism,
                                                      dlfusion_context** context);

/* Free all that the context has on the device. Null is allowed. */
DLFUSION_API void dlfusion_destroy(dlfusion_context* context);

/* Run the model once. The arrays must have the elements that the shapes say (times the ways of data parallelism), and
 * outputs must not overlap inputs. */
DLFUSION_API dlfusion_status dlfusion_run(dlfusion_context* context, const float* const* inputs,
                                          float* const* outputs);

/* Run the model once and store the seconds between the notifiers round each block, in
 * block_seconds[dlfusion_block_count()]. */
DLFUSION_API dlfusion_status dlfusion_run_timed(dlfusion_context* context, const float* const* inputs,
                                                float* const* outputs, double* block_seconds);

#ifdef __cplusplus
}
#endif

#endif
