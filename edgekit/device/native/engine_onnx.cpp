// ONNX Runtime behind engine.h: its CPU provider, from the onnxruntime package.

#include <cstdlib>

#include "engine.h"
#include "machine.h"
#include "onnxruntime_api.h"

#ifndef EDGEKIT_RUNTIME_VERSION
#define EDGEKIT_RUNTIME_VERSION "unknown"
#endif

namespace edgekit::engine {
namespace {

using Clock = std::chrono::steady_clock;

const ort::Api* api = nullptr;
ort::Env* env = nullptr;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

void require_ok(ort::Status* status, const char* doing) {
  if (status == nullptr) return;
  const std::string message = std::string(doing) + ": " + api->error_message(status);
  const auto number = static_cast<uint32_t>(api->error_code(status));
  api->release_status(status);
  throw Failure("onnx", message, number);
}

// An object of the library and how to give it back.
template <typename T>
using Owned = std::unique_ptr<T, void (*)(T*)>;

std::string type_name(int type) {
  if (type == ort::kFloat32) return "float32";
  return type == ort::kInt64 ? "int64" : "ONNX type " + std::to_string(type);
}

int onnx_type(Dtype dtype) { return dtype == Dtype::kInt64 ? ort::kInt64 : ort::kFloat32; }

// Type and sizes; a size below 0 is dynamic.
struct Shape {
  int type = ort::kNotTensor;
  std::vector<int64_t> dims;
};

Shape shape(const ort::ShapeInfo* info) {
  Shape found;
  size_t rank = 0;
  require_ok(api->element_type(info, &found.type), "reading a type");
  require_ok(api->rank(info, &rank), "reading a rank");
  found.dims.resize(rank);
  require_ok(api->dims(info, found.dims.data(), rank), "reading a shape");
  return found;
}

Shape input_shape(const ort::Session* session, size_t index) {
  ort::TypeInfo* type = nullptr;
  require_ok(api->input_type(session, index, &type), "reading an input's type");
  const Owned<ort::TypeInfo> owned(type, api->release_type);
  const ort::ShapeInfo* info = nullptr;
  require_ok(api->as_shape(type, &info), "reading an input's type");
  return info == nullptr ? Shape{} : shape(info);
}

using NameOf = ort::Status* (*)(const ort::Session*, size_t, ort::Allocator*, char**);

std::vector<std::string> names(const ort::Session* session, size_t count, NameOf name_of) {
  ort::Allocator* allocator = nullptr;
  require_ok(api->default_allocator(&allocator), "finding the allocator");
  std::vector<std::string> found;
  for (size_t i = 0; i < count; ++i) {
    char* text = nullptr;
    require_ok(name_of(session, i, allocator, &text), "reading a name");
    found.emplace_back(text);
    require_ok(api->free_with(allocator, text), "freeing a name");
  }
  return found;
}

std::vector<const char*> pointers(const std::vector<std::string>& names) {
  std::vector<const char*> found;
  for (const auto& name : names) found.push_back(name.c_str());
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
  if (api == nullptr) throw Failure("internal", "the library has no version 1 of its API");
  // Official builds report usage over the network unless this is set before the first Env.
  setenv("ORT_DISABLE_TELEMETRY", "1", 1);
  require_ok(api->create_env(ort::kLogErrors, "edgekit", &env), "starting ONNX Runtime");
  require_ok(api->disable_telemetry(env), "switching telemetry off");
}

void describe(Fields& hello) { hello.add("providers", "CPUExecutionProvider"); }

struct Model::State {
  Owned<ort::Session> session{nullptr, api->release_session};
  Owned<ort::MemoryInfo> memory{nullptr, api->release_memory};
  LoadTimes times;
  uint64_t threads = 1;
  std::vector<Shape> shapes;
  std::vector<std::string> inputs, outputs;
  std::vector<const char*> input_names, output_names;
  std::vector<Owned<ort::Value>> values, answer;
  std::vector<const ort::Value*> given;
};

Model::Model(const std::string& path, uint32_t threads) : state_(std::make_unique<State>()) {
  State& state = *state_;
  ort::MemoryInfo* memory = nullptr;
  require_ok(api->cpu_memory(ort::kArenaAllocator, ort::kDefaultMemory, &memory), "naming memory");
  state.memory.reset(memory);
  const uint64_t before = thread_count();
  const auto start = Clock::now();
  ort::SessionOptions* options = nullptr;
  require_ok(api->create_options(&options), "making options");
  const Owned<ort::SessionOptions> owned(options, api->release_options);
  if (threads != 0) {
    require_ok(api->set_intra_threads(options, static_cast<int>(threads)), "setting threads");
  }
  ort::Session* session = nullptr;
  require_ok(api->create_session(env, path.c_str(), options, &session), "loading the model");
  state.times.open_ms = ms_since(start);
  state.session.reset(session);
  // The pool has one thread less than an answer uses: the caller is the other one.
  state.threads = 1 + thread_count() - before;
  size_t count = 0;
  require_ok(api->input_count(session, &count), "counting inputs");
  for (size_t i = 0; i < count; ++i) state.shapes.push_back(input_shape(session, i));
  state.inputs = names(session, count, api->input_name);
  state.input_names = pointers(state.inputs);
  require_ok(api->output_count(session, &count), "counting outputs");
  state.outputs = names(session, count, api->output_name);
  state.output_names = pointers(state.outputs);
}

Model::~Model() = default;

LoadTimes Model::times() const { return state_->times; }

uint64_t Model::threads() const { return state_->threads; }

void Model::take(std::vector<Tensor>& sample) {
  State& state = *state_;
  if (sample.size() != state.shapes.size()) {
    throw Failure("inputs", std::to_string(sample.size()) + " tensors given, the model takes " +
                                std::to_string(state.shapes.size()));
  }
  state.values.clear();
  state.given.clear();
  for (size_t i = 0; i < sample.size(); ++i) {
    Tensor& tensor = sample[i];
    const Shape& wanted = state.shapes[i];
    const std::string which = "input " + std::to_string(i);
    if (wanted.type != onnx_type(tensor.dtype)) {
      throw Failure("inputs", which + " is " + name_of(tensor.dtype) + ", the model takes " +
                                  type_name(wanted.type));
    }
    const std::vector<int64_t> dims(tensor.sizes.begin(), tensor.sizes.end());
    bool fits = dims.size() == wanted.dims.size();
    for (size_t d = 0; fits && d < dims.size(); ++d) {
      fits = wanted.dims[d] < 0 || wanted.dims[d] == dims[d];
    }
    if (!fits) throw Failure("inputs", which + " has a shape that the model does not take");
    ort::Value* value = nullptr;
    require_ok(api->create_tensor(state.memory.get(), tensor.data.data(), tensor.data.size(),
                                  dims.data(), dims.size(), wanted.type, &value),
               "making a tensor");
    state.values.emplace_back(value, api->release_value);
    state.given.push_back(value);
  }
}

double Model::run() {
  State& state = *state_;
  state.answer.clear();
  std::vector<ort::Value*> outputs(state.output_names.size(), nullptr);
  const auto begin = Clock::now();
  ort::Status* status = api->run(state.session.get(), nullptr, state.input_names.data(),
                                 state.given.data(), state.given.size(),
                                 state.output_names.data(), outputs.size(), outputs.data());
  const double ms = ms_since(begin);
  for (ort::Value* output : outputs) state.answer.emplace_back(output, api->release_value);
  require_ok(status, "running a sample");
  return ms;
}

void Model::write_answer(StreamWriter& writer) const {
  writer.begin_sample(static_cast<uint32_t>(state_->answer.size()));
  for (const auto& value : state_->answer) {
    int tensor = 0;
    require_ok(api->is_tensor(value.get(), &tensor), "reading an output");
    if (tensor == 0) throw Failure("outputs", "an output of the model is not a tensor");
    ort::ShapeInfo* info = nullptr;
    require_ok(api->shape_of(value.get(), &info), "reading an output's shape");
    const Owned<ort::ShapeInfo> owned(info, api->release_shape);
    const Shape found = shape(info);
    if (found.type != ort::kFloat32 && found.type != ort::kInt64) {
      throw Failure("outputs", "no output of " + type_name(found.type));
    }
    const auto dtype = found.type == ort::kInt64 ? Dtype::kInt64 : Dtype::kFloat32;
    const std::vector<uint64_t> dims(found.dims.begin(), found.dims.end());
    uint64_t bytes = item_bytes(dtype);
    for (const uint64_t dim : dims) bytes *= dim;
    void* data = nullptr;
    require_ok(api->tensor_data(value.get(), &data), "reading an output");
    writer.add(dtype, dims, data, bytes);
  }
}

}  // namespace edgekit::engine
