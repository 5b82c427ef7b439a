// A loaded .onnx: what the engine and the decoder share.

#pragma once

#include "engine.h"
#include "onnxruntime_api.h"

namespace edgekit::engine {

// The library's table; start() fills it in.
extern const ort::Api* api;

void require_ok(ort::Status* status, const char* doing);

// An object of the library and how to give it back.
template <typename T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

// Type and sizes; a size below 0 is dynamic.
struct Shape {
  int type = ort::kNotTensor;
  std::vector<int64_t> dims;
};

Shape shape(const ort::ShapeInfo* info);
// Of a value that has been computed; its type is kNotTensor when it is none.
Shape shape(const ort::Value* value);

struct OpenSession {
  // `threads` 0 leaves the number to the runtime.
  OpenSession(const std::string& path, uint32_t threads);

  // A tensor over memory of the caller's, which must outlive it.
  Owned<ort::Value> tensor(void* data, size_t bytes, const std::vector<int64_t>& dims,
                           int type) const;
  // What the model's metadata says under `key`; empty when it says nothing.
  std::string metadata(const char* key) const;

  Owned<ort::Session> session{nullptr, nullptr};
  Owned<ort::MemoryInfo> memory{nullptr, nullptr};
  LoadTimes times;
  uint64_t threads = 1;
  std::vector<std::string> inputs, outputs;
  std::vector<Shape> input_shapes, output_shapes;
};

std::vector<const char*> pointers(const std::vector<std::string>& names);

}  // namespace edgekit::engine
