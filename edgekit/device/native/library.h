// A method of a .pte behind a C interface, for programs that are not C++: edgekit's Python opens the
// library by itself, so that running a program takes neither torch nor ExecuTorch's own Python.
//
// A call that fails returns null or 0 and leaves a line in edgekit_error() of the same thread. One
// model serves one call at a time.

#pragma once

#include <stdint.h>

#define EDGEKIT_API __attribute__((visibility("default")))

#ifdef __cplusplus
extern "C" {
#endif

// Of this interface; raised with every change of it.
#define EDGEKIT_LIBRARY_VERSION 1
#define EDGEKIT_MOST_DIMS 8

enum { EDGEKIT_FLOAT32 = 0, EDGEKIT_INT64 = 1 };

// A dense tensor, row-major. As an input of a model's signature, `sizes` are the largest that it
// takes and `data` is null.
struct edgekit_tensor {
  int32_t dtype;
  int32_t dims;
  int64_t sizes[EDGEKIT_MOST_DIMS];
  const void* data;
};

typedef struct edgekit_model edgekit_model;

EDGEKIT_API uint32_t edgekit_version(void);

// Why the last call of this thread failed; never null.
EDGEKIT_API const char* edgekit_error(void);

// Loads one method of a program. `threads` 0 leaves the number to the runtime; another one is for
// all models of the process.
EDGEKIT_API edgekit_model* edgekit_open(const char* path, const char* method, uint32_t threads);

EDGEKIT_API uint32_t edgekit_inputs(const edgekit_model* model);
EDGEKIT_API uint32_t edgekit_outputs(const edgekit_model* model);

// Describes an input or output that the method declares. 1 on success.
EDGEKIT_API int edgekit_input(const edgekit_model* model, uint32_t index, struct edgekit_tensor* into);
EDGEKIT_API int edgekit_output(const edgekit_model* model, uint32_t index, struct edgekit_tensor* into);

// Runs the method on `count` tensors, each checked against what the method takes. 1 on success.
EDGEKIT_API int edgekit_run(edgekit_model* model, const struct edgekit_tensor* tensors, uint32_t count);

// An answer of the last run; its data lives until the next run or close. 1 on success.
EDGEKIT_API int edgekit_answer(const edgekit_model* model, uint32_t index, struct edgekit_tensor* into);

// Releases a model; null is fine.
EDGEKIT_API void edgekit_close(edgekit_model* model);

#ifdef __cplusplus
}
#endif
