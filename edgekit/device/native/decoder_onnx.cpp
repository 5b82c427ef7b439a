// An .onnx decoder: input_ids, attention_mask and position_ids with a cache that goes in as
// past_key_values.* and comes out as present.*. Where the model says that its attention writes into
// the cache that it reads, both names are bound to one buffer of the context's length; else what
// comes out is what goes in next.

#include <cstring>
#include <numeric>

#include "decoder.h"
#include "session_onnx.h"

namespace edgekit::engine {
namespace {

constexpr char kInPlace[] = "edgekit.cache_in_place";
const std::string kPast = "past_key_values.", kPresent = "present.";
constexpr int64_t kMostCacheBytes = int64_t{1} << 33;

[[noreturn]] void refuse(const std::string& why) { throw Failure("inputs", "no decoder: " + why); }

bool starts_with(const std::string& text, const std::string& with) {
  return text.compare(0, with.size(), with) == 0;
}

size_t place(const std::vector<std::string>& names, const std::string& name) {
  for (size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return i;
  }
  refuse("it has no " + name);
}

}  // namespace

struct Decoder::State {
  State(const std::string& path, uint32_t threads) : opened(path, threads) {}

  struct Cache {
    std::string name;  // behind past_key_values. and present.
    std::vector<int64_t> dims;
    std::vector<float> memory;                  // in place: all of the context
    Owned<ort::Value> value{nullptr, nullptr};  // what goes in next
  };

  void require_integers(const std::string& name) {
    const Shape& found = opened.input_shapes[place(opened.inputs, name)];
    if (found.type != ort::kInt64 || found.dims.size() != 2) refuse(name + " is not int64 [1, n]");
  }

  void add_cache(const std::string& name, const Shape& shape, uint64_t context) {
    const auto& dims = shape.dims;
    const bool known = shape.type == ort::kFloat32 && dims.size() == 4 && dims[0] == 1 &&
                       dims[1] > 0 && dims[1] < 65536 && dims[2] < 0 && dims[3] > 0 &&
                       dims[3] < 65536;
    if (!known) refuse(kPast + name + " is not float32 [1, heads, n, width]");
    Cache cache;
    cache.name = name;
    cache.dims = {1, dims[1], in_place ? static_cast<int64_t>(context) : 0, dims[3]};
    const int64_t items = cache.dims[1] * cache.dims[2] * cache.dims[3];
    bytes += items * static_cast<int64_t>(sizeof(float));
    if (bytes > kMostCacheBytes) refuse("its cache is over 8 GiB");
    cache.memory.resize(static_cast<size_t>(items));
    caches.push_back(std::move(cache));
  }

  void forget() {
    for (Cache& cache : caches) {
      cache.value = opened.tensor(cache.memory.data(), cache.memory.size() * sizeof(float),
                                  cache.dims, ort::kFloat32);
    }
  }

  OpenSession opened;
  bool in_place = false;
  int64_t bytes = 0;
  uint64_t vocabulary = 0;
  std::vector<Cache> caches;
  std::vector<std::string> input_names, output_names;
  Owned<ort::Value> logits{nullptr, nullptr};
  const float* row = nullptr;
};

Decoder::Decoder(const std::string& path, uint32_t threads, uint64_t context)
    : state_(std::make_unique<State>(path, threads)) {
  State& state = *state_;
  const OpenSession& opened = state.opened;
  state.in_place = !opened.metadata(kInPlace).empty();
  state.input_names = {"input_ids", "attention_mask", "position_ids"};
  for (const auto& name : state.input_names) state.require_integers(name);
  state.output_names = {"logits"};
  const Shape& logits = opened.output_shapes[place(opened.outputs, "logits")];
  if (logits.type != ort::kFloat32 || logits.dims.empty() || logits.dims.back() <= 0) {
    refuse("logits are not float32 [..., vocabulary]");
  }
  state.vocabulary = static_cast<uint64_t>(logits.dims.back());
  for (size_t i = 0; i < opened.inputs.size(); ++i) {
    if (!starts_with(opened.inputs[i], kPast)) continue;
    const std::string name = opened.inputs[i].substr(kPast.size());
    place(opened.outputs, kPresent + name);
    state.add_cache(name, opened.input_shapes[i], context);
    state.input_names.push_back(kPast + name);
    state.output_names.push_back(kPresent + name);
  }
  if (state.caches.empty()) refuse("it has no " + kPast + "*");
  if (state.input_names.size() != opened.inputs.size()) refuse("it takes other inputs as well");
  state.forget();
}

Decoder::~Decoder() = default;

LoadTimes Decoder::times() const { return state_->opened.times; }

uint64_t Decoder::threads() const { return state_->opened.threads; }

uint64_t Decoder::vocabulary() const { return state_->vocabulary; }

void Decoder::feed(const int64_t* ids, size_t count, uint64_t position) {
  State& state = *state_;
  if (position == 0) state.forget();
  const auto total = static_cast<int64_t>(position + count), tokens = static_cast<int64_t>(count);
  std::vector<int64_t> given(ids, ids + count), mask(position + count, 1), positions(count);
  std::iota(positions.begin(), positions.end(), static_cast<int64_t>(position));
  const auto integers = [&](std::vector<int64_t>& values, int64_t length) {
    return state.opened.tensor(values.data(), values.size() * sizeof(int64_t), {1, length},
                               ort::kInt64);
  };
  std::vector<Owned<ort::Value>> own;
  own.push_back(integers(given, tokens));
  own.push_back(integers(mask, total));
  own.push_back(integers(positions, tokens));
  std::vector<const ort::Value*> inputs;
  for (const auto& value : own) inputs.push_back(value.get());
  std::vector<ort::Value*> outputs{nullptr};
  for (const auto& cache : state.caches) {
    inputs.push_back(cache.value.get());
    outputs.push_back(state.in_place ? cache.value.get() : nullptr);
  }
  const auto input_names = pointers(state.input_names), output_names = pointers(state.output_names);
  ort::Status* status =
      api->run(state.opened.session.get(), nullptr, input_names.data(), inputs.data(),
               inputs.size(), output_names.data(), outputs.size(), outputs.data());
  state.logits = {outputs[0], api->release_value};
  for (size_t i = 0; i < state.caches.size() && !state.in_place; ++i) {
    state.caches[i].value = {outputs[i + 1], api->release_value};
  }
  require_ok(status, "reading tokens");
  const Shape found = shape(state.logits.get());
  uint64_t items = found.type == ort::kFloat32 ? 1 : 0;
  for (const int64_t dim : found.dims) items *= static_cast<uint64_t>(dim);
  if (items == 0 || items % state.vocabulary != 0) {
    throw Failure("outputs", "the model gave other logits than it declares");
  }
  void* data = nullptr;
  require_ok(api->tensor_data(state.logits.get(), &data), "reading logits");
  // Where a model gives a row for each token, the last one counts.
  state.row = static_cast<const float*>(data) + items - state.vocabulary;
}

const float* Decoder::logits() const { return state_->row; }

}  // namespace edgekit::engine
