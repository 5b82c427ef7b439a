// The part of ONNX Runtime's C API that the runner calls, written down by hand.
//
// The onnxruntime package brings the library and no header. What binds a program to the library is
// one exported function, OrtGetApiBase, and behind it a table of function pointers whose order is
// fixed for good: entries are only ever added at the end, and the project's own build asserts which
// entry ends each version of the API. All that is used here belongs to version 2. The runner refuses
// a library of another version than it was built for.

#pragma once

#include <cstddef>
#include <cstdint>

namespace edgekit::ort {

// Opaque to us, each behind a pointer.
struct Status;
struct Env;
struct SessionOptions;
struct Session;
struct RunOptions;
struct MemoryInfo;
struct Allocator;
struct TypeInfo;
struct ShapeInfo;
struct Value;
struct Metadata;

constexpr uint32_t kApiVersion = 2;
constexpr int kLogErrors = 3;  // of 0 verbose .. 4 fatal
constexpr int kNotTensor = 0;  // ONNX's own numbers of element types
constexpr int kFloat32 = 1;
constexpr int kInt64 = 7;
constexpr int kArenaAllocator = 1;
constexpr int kDefaultMemory = 0;

using Unused = const void*;

// The table. A null Status is success; what a function hands out is ours to release.
struct Api {
  Unused before_1[1];
  int (*error_code)(const Status*);
  const char* (*error_message)(const Status*);
  Status* (*create_env)(int log_level, const char* id, Env**);
  Unused before_6[2];
  Status* (*disable_telemetry)(const Env*);
  Status* (*create_session)(const Env*, const char* path, const SessionOptions*, Session**);
  Unused before_9[1];
  Status* (*run)(Session*, const RunOptions*, const char* const* names, const Value* const* inputs,
                 size_t count, const char* const* output_names, size_t output_count, Value** outputs);
  Status* (*create_options)(SessionOptions**);
  Unused before_24[13];
  Status* (*set_intra_threads)(SessionOptions*, int);
  Unused before_30[5];
  Status* (*input_count)(const Session*, size_t*);
  Status* (*output_count)(const Session*, size_t*);
  Unused before_33[1];
  Status* (*input_type)(const Session*, size_t index, TypeInfo**);
  Status* (*output_type)(const Session*, size_t index, TypeInfo**);
  Unused before_36[1];
  Status* (*input_name)(const Session*, size_t index, Allocator*, char**);
  Status* (*output_name)(const Session*, size_t index, Allocator*, char**);
  Unused before_49[11];
  Status* (*create_tensor)(const MemoryInfo*, void* data, size_t bytes, const int64_t* dims,
                           size_t rank, int type, Value**);
  Status* (*is_tensor)(const Value*, int*);
  Status* (*tensor_data)(Value*, void**);
  Unused before_55[3];
  Status* (*as_shape)(const TypeInfo*, const ShapeInfo**);  // borrowed; null when not a tensor
  Unused before_60[4];
  Status* (*element_type)(const ShapeInfo*, int*);
  Status* (*rank)(const ShapeInfo*, size_t*);
  Status* (*dims)(const ShapeInfo*, int64_t*, size_t rank);
  Unused before_65[2];
  Status* (*shape_of)(const Value*, ShapeInfo**);
  Unused before_69[3];
  Status* (*cpu_memory)(int allocator, int kind, MemoryInfo**);
  Unused before_76[6];
  Status* (*free_with)(Allocator*, void*);
  Unused before_78[1];
  Status* (*default_allocator)(Allocator**);  // borrowed
  Unused before_92[13];
  void (*release_env)(Env*);
  void (*release_status)(Status*);
  void (*release_memory)(MemoryInfo*);
  void (*release_session)(Session*);
  void (*release_value)(Value*);
  Unused before_98[1];
  void (*release_type)(TypeInfo*);
  void (*release_shape)(ShapeInfo*);
  void (*release_options)(SessionOptions*);
  Unused before_111[10];
  Status* (*metadata)(const Session*, Metadata**);
  Unused before_116[4];
  Status* (*custom_metadata)(const Metadata*, Allocator*, const char* key, char** text);
  Unused before_118[1];
  void (*release_metadata)(Metadata*);  // the last of version 2
};

constexpr bool at(size_t offset, size_t number) { return offset == number * sizeof(void*); }
static_assert(at(offsetof(Api, error_code), 1) && at(offsetof(Api, disable_telemetry), 6));
static_assert(at(offsetof(Api, run), 9) && at(offsetof(Api, set_intra_threads), 24));
static_assert(at(offsetof(Api, input_count), 30) && at(offsetof(Api, input_type), 33));
static_assert(at(offsetof(Api, input_name), 36) && at(offsetof(Api, create_tensor), 49));
static_assert(at(offsetof(Api, as_shape), 55) && at(offsetof(Api, element_type), 60));
static_assert(at(offsetof(Api, shape_of), 65) && at(offsetof(Api, cpu_memory), 69));
static_assert(at(offsetof(Api, free_with), 76) && at(offsetof(Api, default_allocator), 78));
static_assert(at(offsetof(Api, release_env), 92) && at(offsetof(Api, release_type), 98));
static_assert(at(offsetof(Api, metadata), 111) && at(offsetof(Api, custom_metadata), 116));
static_assert(at(offsetof(Api, release_metadata), 118) && sizeof(Api) == 119 * sizeof(void*));

struct ApiBase {
  const Api* (*get_api)(uint32_t version);
  const char* (*get_version)();
};

extern "C" const ApiBase* OrtGetApiBase();

}  // namespace edgekit::ort
