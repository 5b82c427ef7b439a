// ExecuTorch behind engine.h: XNNPACK and the portable kernels, from the executorch package.

#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/kernel/operator_registry.h>
#include <executorch/runtime/platform/runtime.h>

#include "clock.h"
#include "program_executorch.h"

#ifndef EDGEKIT_RUNTIME_VERSION
#define EDGEKIT_RUNTIME_VERSION "unknown"
#endif

namespace edgekit::engine {
namespace {

using executorch::aten::ScalarType;
using executorch::runtime::EValue;
using executorch::runtime::MethodMeta;

ScalarType scalar_type(Dtype dtype) {
  return dtype == Dtype::kInt64 ? ScalarType::Long : ScalarType::Float;
}

// Holds a sample against what the model declares, so that the reason is named before it runs.
void check(const std::vector<Tensor>& sample, const MethodMeta& meta) {
  if (sample.size() != meta.num_inputs()) {
    throw Failure("inputs", std::to_string(sample.size()) + " tensors given, the model takes " +
                                std::to_string(meta.num_inputs()));
  }
  for (size_t i = 0; i < sample.size(); ++i) {
    const auto info = meta.input_tensor_meta(i);
    const std::string which = "input " + std::to_string(i);
    if (!info.ok()) throw Failure("inputs", which + " of the model is not a tensor");
    if (info->scalar_type() != scalar_type(sample[i].dtype)) {
      throw Failure("inputs", which + " is " + name_of(sample[i].dtype) + ", the model takes " +
                                  executorch::runtime::toString(info->scalar_type()));
    }
    const auto bounds = info->sizes();
    bool fits = bounds.size() == sample[i].sizes.size();
    for (size_t d = 0; fits && d < bounds.size(); ++d) fits = sample[i].sizes[d] <= bounds[d];
    if (!fits) throw Failure("inputs", which + " has a shape that the model does not take");
  }
}

}  // namespace

const char* name() { return "executorch"; }

std::string version() { return EDGEKIT_RUNTIME_VERSION; }

void start() { executorch::runtime::runtime_init(); }

void describe(Fields& hello) {
  hello.add("kernels",
            static_cast<uint64_t>(executorch::runtime::get_registered_kernels().size()));
  std::string backends;
  for (size_t i = 0; i < executorch::runtime::get_num_registered_backends(); ++i) {
    const auto name = executorch::runtime::get_backend_name(i);
    if (name.ok()) backends += (backends.empty() ? "" : " ") + std::string(*name);
  }
  hello.add("backends", backends);
}

struct Model::State {
  State(const std::string& path, uint32_t threads) : program(path, threads) {}

  Program program;
  std::vector<executorch::extension::TensorPtr> tensors;
  std::vector<EValue> values;
  std::vector<EValue> answer;
};

Model::Model(const std::string& path, uint32_t threads)
    : state_(std::make_unique<State>(path, threads)) {}

Model::~Model() = default;

LoadTimes Model::times() const { return state_->program.times; }

uint64_t Model::threads() const { return pool_threads(); }

void Model::take(std::vector<Tensor>& sample) {
  check(sample, *state_->program.meta);
  state_->tensors.clear();
  state_->values.clear();
  for (Tensor& tensor : sample) {
    state_->tensors.push_back(executorch::extension::from_blob(tensor.data.data(), tensor.sizes,
                                                               scalar_type(tensor.dtype)));
    state_->values.emplace_back(*state_->tensors.back());
  }
}

double Model::run() {
  const auto begin = Clock::now();
  auto outputs = state_->program.module.forward(state_->values);
  const double ms = ms_since(begin);
  require_ok(outputs.error(), "running a sample");
  state_->answer = std::move(*outputs);
  return ms;
}

void Model::write_answer(StreamWriter& writer) const {
  writer.begin_sample(static_cast<uint32_t>(state_->answer.size()));
  for (const EValue& value : state_->answer) {
    if (!value.isTensor()) throw Failure("outputs", "an output of the model is not a tensor");
    const auto& tensor = value.toTensor();
    if (tensor.scalar_type() != ScalarType::Float && tensor.scalar_type() != ScalarType::Long) {
      throw Failure("outputs", std::string("no output of type ") +
                                   executorch::runtime::toString(tensor.scalar_type()));
    }
    const auto dtype = tensor.scalar_type() == ScalarType::Long ? Dtype::kInt64 : Dtype::kFloat32;
    const std::vector<uint64_t> dims(tensor.sizes().begin(), tensor.sizes().end());
    writer.add(dtype, dims, tensor.const_data_ptr(), tensor.nbytes());
  }
}

}  // namespace edgekit::engine
