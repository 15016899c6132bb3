/* The C interface of a compiled model: one shared library (model.so) holds one model.
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
 * All arrays are dense float32 in the order of their shape (the last axis is contiguous). Functions are safe to call
 * from several threads at once, except that one context runs one call at a time and that a context or model that is
 * being destroyed must not be in use. A context has threads, so a child process made by fork() creates its own.
 */
#ifndef DLFUSION_H
#define DLFUSION_H

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

/* Weights that are passed to dlfusion_open_memory begin on a multiple of this many bytes, a cache line. */
#define DLFUSION_WEIGHTS_ALIGNMENT 64

/* The packed weights, which all contexts share and nobody writes. */
typedef struct dlfusion_model dlfusion_model;

/* The activations and threads of one caller. */
typedef struct dlfusion_context dlfusion_context;

typedef enum dlfusion_status {
  DLFUSION_OK = 0,
  DLFUSION_INVALID_ARGUMENT = 1, /* a null pointer, an unknown flag, or memory that is not aligned */
  DLFUSION_CANNOT_OPEN = 2,      /* the weights cannot be read */
  DLFUSION_WRONG_WEIGHTS = 3,    /* the weights belong to another model or are damaged */
  DLFUSION_UNSUPPORTED_CPU = 4,  /* the library uses instructions that this CPU lacks */
  DLFUSION_OUT_OF_MEMORY = 5,
  DLFUSION_NO_THREADS = 6,       /* the system refused to start the context's threads */
  DLFUSION_BUSY = 7              /* another thread is running this context */
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

/* The threads that work in dlfusion_run, the caller's included. */
DLFUSION_API int dlfusion_cores(void);

/* Bytes of the weights, and of memory that each context allocates. */
DLFUSION_API size_t dlfusion_weights_bytes(void);
DLFUSION_API size_t dlfusion_context_bytes(void);

/* Map the weights into memory, read-only: all processes that open one file share its pages. `path` is the folder of the
 * compiled model, or its weights.bin wherever and under whatever name that lies. `flags` is 0 or DLFUSION_CHECK_DIGEST.
 * On failure *model is null. */
DLFUSION_API dlfusion_status dlfusion_open(const char* path, int flags, dlfusion_model** model);

/* The same with the `bytes` of weights.bin that the caller has in memory at `weights`, such as a part of the program. They
 * are not copied: they must begin on a multiple of DLFUSION_WEIGHTS_ALIGNMENT bytes, and stay as they are until the model
 * is closed. */
DLFUSION_API dlfusion_status dlfusion_open_memory(const void* weights, size_t bytes, int flags, dlfusion_model** model);

/* Give the weights back; all contexts of the model must be destroyed before. Null is allowed. */
DLFUSION_API void dlfusion_close(dlfusion_model* model);

/* Allocate what one caller needs and start dlfusion_cores() - 1 threads. On failure *context is null. */
DLFUSION_API dlfusion_status dlfusion_create(const dlfusion_model* model, dlfusion_context** context);

/* Stop the threads and free the memory. Null is allowed. */
DLFUSION_API void dlfusion_destroy(dlfusion_context* context);

/* Run the model once. The arrays must have the elements that the shapes say, and outputs must not overlap inputs. */
DLFUSION_API dlfusion_status dlfusion_run(dlfusion_context* context, const float* const* inputs,
                                          float* const* outputs);

/* Run the model once and store the wall-clock seconds of each block in block_seconds[dlfusion_block_count()]. */
DLFUSION_API dlfusion_status dlfusion_run_timed(dlfusion_context* context, const float* const* inputs,
                                                float* const* outputs, double* block_seconds);

#ifdef __cplusplus
}
#endif

#endif
