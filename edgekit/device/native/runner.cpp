// Runs a .pte over a stream of samples and says what happens as JSON lines on stdout.
//
//   runner --model M.pte --inputs IN --outputs OUT [--threads N]
//   runner --version
//
// Events: loaded, sample (one each), heartbeat (every few seconds), done, error. An error ends the
// run with a status from sysexits; then OUT does not exist. stream.h describes IN and OUT.

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/backend/interface.h>
#include <executorch/runtime/kernel/operator_registry.h>
#include <executorch/runtime/platform/runtime.h>
#include <sys/stat.h>

#include <charconv>
#include <cstring>
#include <fstream>
#include <map>

#include "events.h"
#include "stream.h"

#ifndef EDGEKIT_EXECUTORCH_VERSION
#define EDGEKIT_EXECUTORCH_VERSION "unknown"
#endif

// The wheel has the thread pool's library but not its header: these are the two members used here.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(uint32_t new_thread_count);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

namespace {

using edgekit::Dtype;
using edgekit::Event;
using edgekit::Failure;
using executorch::aten::ScalarType;
using executorch::extension::Module;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::MethodMeta;
using executorch::runtime::Tag;
using Clock = std::chrono::steady_clock;

constexpr uint64_t kProtocol = 1;
constexpr auto kHeartbeat = std::chrono::milliseconds(3000);

struct Options {
  std::string model, inputs, outputs;
  uint32_t threads = 0;  // 0: the thread pool's own choice
  bool version = false;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string name = argv[i];
    if (name == "--version") {
      options.version = true;
      continue;
    }
    if (i + 1 == argc) throw Failure("usage", "no value for " + name);
    const std::string value = argv[++i];
    if (name == "--model") {
      options.model = value;
    } else if (name == "--inputs") {
      options.inputs = value;
    } else if (name == "--outputs") {
      options.outputs = value;
    } else if (name == "--threads") {
      const auto end = value.data() + value.size();
      const auto parsed = std::from_chars(value.data(), end, options.threads);
      if (parsed.ec != std::errc() || parsed.ptr != end || options.threads < 1 ||
          options.threads > 256) {
        throw Failure("usage", "--threads takes a number from 1 to 256, not " + value);
      }
    } else {
      throw Failure("usage", "unknown option " + name);
    }
  }
  if (!options.version &&
      (options.model.empty() || options.inputs.empty() || options.outputs.empty())) {
    throw Failure("usage", "--model, --inputs and --outputs are needed");
  }
  return options;
}

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

// Highest resident set of this process in KiB; 0 where the kernel does not say.
uint64_t peak_rss_kb() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::strtoull(line.c_str() + 6, nullptr, 10);
  }
  return 0;
}

void require_ok(Error error, const char* doing) {
  if (error == Error::Ok) return;
  throw Failure("executorch", std::string(doing) + ": " + executorch::runtime::to_string(error),
                static_cast<uint32_t>(error));
}

void send_version() {
  Event event("version");
  event.add("protocol", kProtocol).add("executorch", std::string(EDGEKIT_EXECUTORCH_VERSION));
  event.add("kernels", static_cast<uint64_t>(executorch::runtime::get_registered_kernels().size()));
  std::string backends;
  for (size_t i = 0; i < executorch::runtime::get_num_registered_backends(); ++i) {
    const auto name = executorch::runtime::get_backend_name(i);
    if (name.ok()) backends += (backends.empty() ? "" : " ") + std::string(*name);
  }
  event.add("backends", backends).send();
}

ScalarType scalar_type(Dtype dtype) {
  return dtype == Dtype::kInt64 ? ScalarType::Long : ScalarType::Float;
}

// Holds a sample against what the model declares, so that the reason is named before it runs.
void check(const std::vector<edgekit::Tensor>& sample, const MethodMeta& meta) {
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

void write_outputs(const std::vector<EValue>& values, edgekit::StreamWriter& writer) {
  writer.begin_sample(static_cast<uint32_t>(values.size()));
  for (const EValue& value : values) {
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

// Loads the method and says so; the threads must be set before a delegate takes the pool.
void load(Module& module, uint32_t threads) {
  const auto start = Clock::now();
  auto* pool = executorch::extension::threadpool::get_threadpool();
  if (threads != 0 && !pool->_unsafe_reset_threadpool(threads)) {
    throw Failure("executorch", "the thread pool cannot be resized");
  }
  require_ok(module.load(executorch::runtime::Program::Verification::InternalConsistency),
             "loading the program");
  require_ok(module.load_forward(), "loading forward()");
  Event("loaded")
      .add("protocol", kProtocol)
      .add("ms", ms_since(start))
      .add("threads", static_cast<uint64_t>(pool->get_thread_count()))
      .send();
}

void run(const Options& options) {
  const auto start = Clock::now();
  edgekit::Heartbeat heartbeat(kHeartbeat);
  struct stat info{};
  if (stat(options.model.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
    throw Failure("missing", "no model file " + options.model);
  }
  edgekit::StreamReader reader(options.inputs);
  Module module(options.model, Module::LoadMode::Mmap);
  load(module, options.threads);
  const auto meta = module.method_meta("forward");
  require_ok(meta.error(), "reading forward()'s signature");
  edgekit::StreamWriter writer(options.outputs, reader.samples());
  for (uint32_t i = 0; i < reader.samples(); ++i) {
    heartbeat.at_sample(i);
    auto sample = reader.next();
    check(sample, *meta);
    std::vector<executorch::extension::TensorPtr> tensors;
    std::vector<EValue> values;
    for (auto& tensor : sample) {
      tensors.push_back(executorch::extension::from_blob(tensor.data.data(), tensor.sizes,
                                                         scalar_type(tensor.dtype)));
      values.emplace_back(*tensors.back());
    }
    const auto begin = Clock::now();
    const auto outputs = module.forward(values);
    const double ms = ms_since(begin);
    require_ok(outputs.error(), ("running sample " + std::to_string(i)).c_str());
    write_outputs(*outputs, writer);
    Event("sample").add("index", static_cast<uint64_t>(i)).add("ms", ms).send();
  }
  writer.finish();
  Event("done")
      .add("samples", static_cast<uint64_t>(reader.samples()))
      .add("ms", ms_since(start))
      .add("peak_rss_kb", peak_rss_kb())
      .send();
}

int exit_status(const std::string& code) {
  static const std::map<std::string, int> statuses = {
      {"usage", 64},  {"inputs", 65}, {"stream", 65},       {"missing", 66},
      {"outputs", 70}, {"output", 73}, {"storage-full", 74}, {"executorch", 70}};
  const auto found = statuses.find(code);
  return found == statuses.end() ? 70 : found->second;
}

int fail(const std::string& code, const std::string& message, uint32_t status) {
  Event("error")
      .add("code", code)
      .add("message", message)
      .add("status", static_cast<uint64_t>(status))
      .send();
  return exit_status(code);
}

}  // namespace

int main(int argc, char** argv) {
  try {
    executorch::runtime::runtime_init();
    const Options options = parse(argc, argv);
    if (options.version) {
      send_version();
    } else {
      run(options);
    }
    return 0;
  } catch (const Failure& failure) {
    return fail(failure.code, failure.what(), failure.status);
  } catch (const std::exception& error) {
    return fail("internal", error.what(), 0);
  }
}
