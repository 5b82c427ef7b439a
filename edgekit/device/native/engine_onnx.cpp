// ONNX Runtime behind engine.h: its CPU provider, from the onnxruntime package.

#include "clock.h"
#include "session_onnx.h"

namespace edgekit::engine {
namespace {

std::string type_name(int type) {
  if (type == ort::kFloat32) return "float32";
  return type == ort::kInt64 ? "int64" : "ONNX type " + std::to_string(type);
}

int onnx_type(Dtype dtype) { return dtype == Dtype::kInt64 ? ort::kInt64 : ort::kFloat32; }

}  // namespace

struct Model::State {
  State(const std::string& path, uint32_t threads)
      : opened(path, threads), input_names(pointers(opened.inputs)),
        output_names(pointers(opened.outputs)) {}

  OpenSession opened;
  std::vector<const char*> input_names, output_names;
  std::vector<Owned<ort::Value>> values, answer;
  std::vector<const ort::Value*> given;
};

Model::Model(const std::string& path, uint32_t threads)
    : state_(std::make_unique<State>(path, threads)) {}

Model::~Model() = default;

LoadTimes Model::times() const { return state_->opened.times; }

uint64_t Model::threads() const { return state_->opened.threads; }

void Model::take(std::vector<Tensor>& sample) {
  State& state = *state_;
  const auto& shapes = state.opened.input_shapes;
  if (sample.size() != shapes.size()) {
    throw Failure("inputs", std::to_string(sample.size()) + " tensors given, the model takes " +
                                std::to_string(shapes.size()));
  }
  state.values.clear();
  state.given.clear();
  for (size_t i = 0; i < sample.size(); ++i) {
    Tensor& tensor = sample[i];
    const Shape& wanted = shapes[i];
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
    state.values.push_back(
        state.opened.tensor(tensor.data.data(), tensor.data.size(), dims, wanted.type));
    state.given.push_back(state.values.back().get());
  }
}

double Model::run() {
  State& state = *state_;
  state.answer.clear();
  std::vector<ort::Value*> outputs(state.output_names.size(), nullptr);
  const auto begin = Clock::now();
  ort::Status* status = api->run(state.opened.session.get(), nullptr, state.input_names.data(),
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
    const Shape found = shape(value.get());
    if (found.type == ort::kNotTensor) {
      throw Failure("outputs", "an output of the model is not a tensor");
    }
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
