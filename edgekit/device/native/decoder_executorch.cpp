// A .pte decoder: (input_ids [1, tokens], position [1]) to the last token's logits, its cache in the
// program's own memory.

#include <executorch/extension/tensor/tensor.h>

#include "decoder.h"
#include "program_executorch.h"

namespace edgekit::engine {
namespace {

using executorch::aten::ScalarType;
using executorch::runtime::EValue;
using executorch::runtime::Result;
using executorch::runtime::TensorInfo;

// The largest sizes of a tensor of one type; empty when it is of another, or none.
std::vector<int64_t> sizes(const Result<TensorInfo>& info, ScalarType type) {
  if (!info.ok() || info->scalar_type() != type) return {};
  return {info->sizes().begin(), info->sizes().end()};
}

}  // namespace

struct Decoder::State {
  State(const std::string& path, uint32_t threads) : program(path, threads) {}

  Program program;
  uint64_t vocabulary = 0;
  std::vector<EValue> answer;
};

Decoder::Decoder(const std::string& path, uint32_t threads, uint64_t context)
    : state_(std::make_unique<State>(path, threads)) {
  const auto& meta = *state_->program.meta;
  std::vector<int64_t> ids, position, logits;
  if (meta.num_inputs() == 2 && meta.num_outputs() == 1) {
    ids = sizes(meta.input_tensor_meta(0), ScalarType::Long);
    position = sizes(meta.input_tensor_meta(1), ScalarType::Long);
    logits = sizes(meta.output_tensor_meta(0), ScalarType::Float);
  }
  if (ids.size() != 2 || ids[0] != 1 || position != std::vector<int64_t>{1} || logits.size() != 2 ||
      logits[0] != 1) {
    throw Failure("inputs", "no decoder: it must take token ids [1, n] and a position [1], and "
                            "give logits [1, vocabulary]");
  }
  if (context > static_cast<uint64_t>(ids[1])) {
    throw Failure("inputs", "a context of " + std::to_string(context) + ", the model has " +
                                std::to_string(ids[1]));
  }
  state_->vocabulary = static_cast<uint64_t>(logits[1]);
}

Decoder::~Decoder() = default;

LoadTimes Decoder::times() const { return state_->program.times; }

uint64_t Decoder::threads() const { return pool_threads(); }

uint64_t Decoder::vocabulary() const { return state_->vocabulary; }

void Decoder::feed(const int64_t* ids, size_t count, uint64_t position) {
  auto start = static_cast<int64_t>(position);
  // The runtime does not write into its inputs.
  const auto tokens = executorch::extension::from_blob(
      const_cast<int64_t*>(ids), {1, static_cast<int32_t>(count)}, ScalarType::Long);
  const auto first = executorch::extension::from_blob(&start, {1}, ScalarType::Long);
  auto found = state_->program.module.forward({*tokens, *first});
  require_ok(found.error(), "reading tokens");
  state_->answer = std::move(*found);
  if (state_->answer.size() != 1 || !state_->answer[0].isTensor() ||
      static_cast<uint64_t>(state_->answer[0].toTensor().numel()) != state_->vocabulary) {
    throw Failure("outputs", "the model gave other outputs than it declares");
  }
}

const float* Decoder::logits() const {
  return state_->answer[0].toTensor().const_data_ptr<float>();
}

}  // namespace edgekit::engine
