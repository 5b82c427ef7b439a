#include "library.h"

#include <executorch/extension/module/module.h>
#include <executorch/extension/tensor/tensor.h>
#include <executorch/runtime/core/exec_aten/util/dim_order_util.h>
#include <executorch/runtime/platform/runtime.h>

#include <exception>
#include <new>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

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

using executorch::aten::ScalarType;
using executorch::extension::Module;
using executorch::extension::TensorPtr;
using executorch::runtime::Error;
using executorch::runtime::EValue;
using executorch::runtime::MethodMeta;
using executorch::runtime::Result;
using executorch::runtime::TensorInfo;

thread_local std::string complaint;

[[noreturn]] void refuse(const std::string& why) { throw std::runtime_error(why); }

void require_ok(Error error, const std::string& doing) {
  if (error != Error::Ok) refuse(doing + ": " + executorch::runtime::to_string(error));
}

// What `act` returns; `failed` when it throws, with the reason in edgekit_error().
template <class Act, class Value>
Value told(const Act& act, Value failed) noexcept {
  try {
    return act();
  } catch (const std::bad_alloc&) {
    complaint.assign("out of memory");
  } catch (const std::exception& error) {
    try {
      complaint = error.what();
    } catch (...) {
      complaint.clear();
    }
  } catch (...) {
    complaint.assign("unknown");
  }
  return failed;
}

int32_t dtype_of(ScalarType type, const std::string& what) {
  if (type == ScalarType::Float) return EDGEKIT_FLOAT32;
  if (type == ScalarType::Long) return EDGEKIT_INT64;
  refuse(what + " is " + executorch::runtime::toString(type) + ", neither float32 nor int64");
}

template <class Sizes>
void describe(const Sizes& sizes, ScalarType type, const std::string& what, edgekit_tensor* into) {
  if (sizes.size() > EDGEKIT_MOST_DIMS) refuse(what + " has too many dimensions");
  *into = {};
  into->dtype = dtype_of(type, what);
  into->dims = static_cast<int32_t>(sizes.size());
  for (size_t i = 0; i < sizes.size(); ++i) into->sizes[i] = sizes[i];
}

void set_threads(uint32_t threads) {
  auto* pool = executorch::extension::threadpool::get_threadpool();
  if (threads == 0 || pool->get_thread_count() == threads) return;
  if (!pool->_unsafe_reset_threadpool(threads)) refuse("the thread pool cannot be resized");
}

// The shape of an input, after a look at whether the method takes it.
std::vector<executorch::aten::SizesType> fitting(const edgekit_tensor& given, const MethodMeta& meta,
                                                uint32_t index) {
  const auto info = meta.input_tensor_meta(index);
  const std::string which = "input " + std::to_string(index);
  require_ok(info.error(), which);
  if (given.dtype != dtype_of(info->scalar_type(), which)) refuse(which + " is of another dtype");
  const auto bounds = info->sizes();
  if (given.dims < 0 || static_cast<size_t>(given.dims) != bounds.size()) {
    refuse(which + " has " + std::to_string(given.dims) + " dimensions, the model takes " +
           std::to_string(bounds.size()));
  }
  std::vector<executorch::aten::SizesType> sizes;
  bool empty = false;
  for (size_t i = 0; i < bounds.size(); ++i) {
    if (given.sizes[i] < 0 || given.sizes[i] > bounds[i]) {
      refuse(which + " has " + std::to_string(given.sizes[i]) + " in dimension " +
             std::to_string(i) + ", the model takes " + std::to_string(bounds[i]) + " at most");
    }
    sizes.push_back(static_cast<executorch::aten::SizesType>(given.sizes[i]));
    empty = empty || sizes.back() == 0;
  }
  if (given.data == nullptr && !empty) refuse(which + " has no data");
  return sizes;
}

}  // namespace

struct edgekit_model {
  edgekit_model(const char* path, const char* name)
      : module(path, Module::LoadMode::Mmap), method(name) {
    require_ok(module.load(executorch::runtime::Program::Verification::InternalConsistency),
               "loading the program");
    require_ok(module.load_method(method), "loading " + method + "()");
    auto found = module.method_meta(method);
    require_ok(found.error(), "reading the signature of " + method + "()");
    meta.emplace(*found);
  }

  Module module;
  std::string method;
  std::optional<MethodMeta> meta;
  std::vector<EValue> answer;
};

extern "C" {

uint32_t edgekit_version(void) { return EDGEKIT_LIBRARY_VERSION; }

const char* edgekit_error(void) { return complaint.c_str(); }

edgekit_model* edgekit_open(const char* path, const char* method, uint32_t threads) {
  const auto open = [&] {
    static const bool started = (executorch::runtime::runtime_init(), true);
    (void)started;
    // The threads must be set before a delegate takes the pool.
    set_threads(threads);
    return new edgekit_model(path, method);
  };
  return told(open, static_cast<edgekit_model*>(nullptr));
}

uint32_t edgekit_inputs(const edgekit_model* model) {
  return static_cast<uint32_t>(model->meta->num_inputs());
}

uint32_t edgekit_outputs(const edgekit_model* model) {
  return static_cast<uint32_t>(model->meta->num_outputs());
}

int edgekit_input(const edgekit_model* model, uint32_t index, edgekit_tensor* into) {
  const auto look = [&] {
    const auto info = model->meta->input_tensor_meta(index);
    const std::string which = "input " + std::to_string(index);
    require_ok(info.error(), which);
    describe(info->sizes(), info->scalar_type(), which, into);
    return 1;
  };
  return told(look, 0);
}

int edgekit_output(const edgekit_model* model, uint32_t index, edgekit_tensor* into) {
  const auto look = [&] {
    const auto info = model->meta->output_tensor_meta(index);
    const std::string which = "output " + std::to_string(index);
    require_ok(info.error(), which);
    describe(info->sizes(), info->scalar_type(), which, into);
    return 1;
  };
  return told(look, 0);
}

int edgekit_run(edgekit_model* model, const edgekit_tensor* tensors, uint32_t count) {
  const auto run = [&] {
    if (count != edgekit_inputs(model)) {
      refuse(std::to_string(count) + " tensors given, the model takes " +
             std::to_string(edgekit_inputs(model)));
    }
    model->answer.clear();
    std::vector<TensorPtr> held;
    std::vector<EValue> values;
    for (uint32_t i = 0; i < count; ++i) {
      const auto type =
          tensors[i].dtype == EDGEKIT_INT64 ? ScalarType::Long : ScalarType::Float;
      // The runtime does not write into its inputs.
      held.push_back(executorch::extension::from_blob(const_cast<void*>(tensors[i].data),
                                                      fitting(tensors[i], *model->meta, i), type));
      values.emplace_back(*held.back());
    }
    auto found = model->module.execute(model->method, values);
    require_ok(found.error(), "running " + model->method + "()");
    model->answer = std::move(*found);
    return 1;
  };
  return told(run, 0);
}

int edgekit_answer(const edgekit_model* model, uint32_t index, edgekit_tensor* into) {
  const auto look = [&] {
    const std::string which = "answer " + std::to_string(index);
    if (index >= model->answer.size()) refuse("there is no " + which);
    if (!model->answer[index].isTensor()) refuse(which + " is not a tensor");
    const auto& tensor = model->answer[index].toTensor();
    describe(tensor.sizes(), tensor.scalar_type(), which, into);
    if (!executorch::runtime::is_contiguous_dim_order(tensor.dim_order().data(),
                                                      static_cast<size_t>(tensor.dim()))) {
      refuse(which + " is not in row-major order");
    }
    into->data = tensor.const_data_ptr();
    return 1;
  };
  return told(look, 0);
}

void edgekit_close(edgekit_model* model) { delete model; }

}  // extern "C"
