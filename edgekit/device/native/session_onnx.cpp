#include "session_onnx.h"

#include <cstdlib>

#include "clock.h"
#include "machine.h"

#ifndef EDGEKIT_RUNTIME_VERSION
#define EDGEKIT_RUNTIME_VERSION "unknown"
#endif

namespace edgekit::engine {

const ort::Api* api = nullptr;

namespace {

ort::Env* env = nullptr;

using TypeOf = ort::Status* (*)(const ort::Session*, size_t, ort::TypeInfo**);
using NameOf = ort::Status* (*)(const ort::Session*, size_t, ort::Allocator*, char**);

std::vector<Shape> shapes(const ort::Session* session, size_t count, TypeOf type_of) {
  std::vector<Shape> found;
  for (size_t i = 0; i < count; ++i) {
    ort::TypeInfo* type = nullptr;
    require_ok(type_of(session, i, &type), "reading a type");
    const Owned<ort::TypeInfo> owned(type, api->release_type);
    const ort::ShapeInfo* info = nullptr;
    require_ok(api->as_shape(type, &info), "reading a type");
    found.push_back(info == nullptr ? Shape{} : shape(info));
  }
  return found;
}

ort::Allocator* allocator() {
  ort::Allocator* found = nullptr;
  require_ok(api->default_allocator(&found), "finding the allocator");
  return found;
}

// Takes over a text of the library's.
std::string taken(char* text) {
  const std::string found = text == nullptr ? "" : text;
  if (text != nullptr) require_ok(api->free_with(allocator(), text), "freeing a text");
  return found;
}

std::vector<std::string> names(const ort::Session* session, size_t count, NameOf name_of) {
  std::vector<std::string> found;
  for (size_t i = 0; i < count; ++i) {
    char* text = nullptr;
    require_ok(name_of(session, i, allocator(), &text), "reading a name");
    found.push_back(taken(text));
  }
  return found;
}

}  // namespace

const char* name() { return "onnx"; }

std::string version() { return ort::OrtGetApiBase()->get_version(); }

void start() {
  if (version() != EDGEKIT_RUNTIME_VERSION) {
    throw Failure("internal", "built for onnxruntime " EDGEKIT_RUNTIME_VERSION ", found " + version());
  }
  api = ort::OrtGetApiBase()->get_api(ort::kApiVersion);
  if (api == nullptr) throw Failure("internal", "the library has no version 2 of its API");
  // Official builds report usage over the network unless this is set before the first Env.
  setenv("ORT_DISABLE_TELEMETRY", "1", 1);
  require_ok(api->create_env(ort::kLogErrors, "edgekit", &env), "starting ONNX Runtime");
  require_ok(api->disable_telemetry(env), "switching telemetry off");
}

void describe(Fields& hello) { hello.add("providers", "CPUExecutionProvider"); }

void require_ok(ort::Status* status, const char* doing) {
  if (status == nullptr) return;
  const std::string message = std::string(doing) + ": " + api->error_message(status);
  const auto number = static_cast<uint32_t>(api->error_code(status));
  api->release_status(status);
  throw Failure("onnx", message, number);
}

Shape shape(const ort::ShapeInfo* info) {
  Shape found;
  size_t rank = 0;
  require_ok(api->element_type(info, &found.type), "reading a type");
  require_ok(api->rank(info, &rank), "reading a rank");
  found.dims.resize(rank);
  require_ok(api->dims(info, found.dims.data(), rank), "reading a shape");
  return found;
}

Shape shape(const ort::Value* value) {
  int tensor = 0;
  require_ok(api->is_tensor(value, &tensor), "reading an output");
  if (tensor == 0) return {};
  ort::ShapeInfo* info = nullptr;
  require_ok(api->shape_of(value, &info), "reading an output's shape");
  const Owned<ort::ShapeInfo> owned(info, api->release_shape);
  return shape(info);
}

std::vector<const char*> pointers(const std::vector<std::string>& names) {
  std::vector<const char*> found;
  for (const auto& name : names) found.push_back(name.c_str());
  return found;
}

OpenSession::OpenSession(const std::string& path, uint32_t wanted) {
  ort::MemoryInfo* named = nullptr;
  require_ok(api->cpu_memory(ort::kArenaAllocator, ort::kDefaultMemory, &named), "naming memory");
  memory = {named, api->release_memory};
  const uint64_t before = thread_count();
  const auto start = Clock::now();
  ort::SessionOptions* options = nullptr;
  require_ok(api->create_options(&options), "making options");
  const Owned<ort::SessionOptions> owned(options, api->release_options);
  if (wanted != 0) {
    require_ok(api->set_intra_threads(options, static_cast<int>(wanted)), "setting threads");
  }
  ort::Session* made = nullptr;
  require_ok(api->create_session(env, path.c_str(), options, &made), "loading the model");
  times.open_ms = ms_since(start);
  session = {made, api->release_session};
  // The pool has one thread less than an answer uses: the caller is the other one.
  threads = 1 + thread_count() - before;
  size_t count = 0;
  require_ok(api->input_count(made, &count), "counting inputs");
  input_shapes = shapes(made, count, api->input_type);
  inputs = names(made, count, api->input_name);
  require_ok(api->output_count(made, &count), "counting outputs");
  output_shapes = shapes(made, count, api->output_type);
  outputs = names(made, count, api->output_name);
}

Owned<ort::Value> OpenSession::tensor(void* data, size_t bytes, const std::vector<int64_t>& dims,
                                      int type) const {
  ort::Value* value = nullptr;
  require_ok(
      api->create_tensor(memory.get(), data, bytes, dims.data(), dims.size(), type, &value),
      "making a tensor");
  return {value, api->release_value};
}

std::string OpenSession::metadata(const char* key) const {
  ort::Metadata* all = nullptr;
  require_ok(api->metadata(session.get(), &all), "reading the metadata");
  const Owned<ort::Metadata> owned(all, api->release_metadata);
  char* text = nullptr;
  require_ok(api->custom_metadata(all, allocator(), key, &text), "reading the metadata");
  return taken(text);
}

}  // namespace edgekit::engine
