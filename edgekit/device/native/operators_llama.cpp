// llama::custom_sdpa and llama::update_cache for programs with a cache inside. ExecuTorch's library
// for Android has operators of these names; its package for C++ does not.

#include <executorch/extension/kernel_util/make_boxed_from_unboxed_functor.h>
#include <executorch/runtime/kernel/kernel_includes.h>
#include <executorch/runtime/kernel/thread_parallel_interface.h>

#include <cmath>
#include <cstring>

#include "attention.h"

namespace edgekit {
namespace {

using executorch::aten::ScalarType;
using executorch::aten::Tensor;
using executorch::runtime::Error;
using executorch::runtime::KernelRuntimeContext;

// Four dimensions of float32, row-major.
bool dense(const Tensor& tensor) {
  return tensor.dim() == 4 && tensor.scalar_type() == ScalarType::Float &&
         executorch::runtime::is_contiguous_dim_order(tensor.dim_order().data(), tensor.dim());
}

bool parallel(int64_t count, const std::function<void(int64_t)>& run) {
  if (count == 1) {
    run(0);
    return true;
  }
  return executorch::extension::parallel_for(0, count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) run(i);
  });
}

// Queries [batch, tokens, heads, width] attend to a cache [batch, rows, kv_heads, width] that holds
// tokens from 0 to start + tokens. With a mask [tokens, rows] all rows are looked at.
Tensor& custom_sdpa_out(KernelRuntimeContext& context, const Tensor& query, const Tensor& key,
                        const Tensor& value, int64_t start, const std::optional<Tensor> mask,
                        double dropout, bool causal, std::optional<double> scale, Tensor& out) {
  ET_KERNEL_CHECK(context, dense(query) && dense(key) && dense(value), InvalidArgument, out);
  ET_KERNEL_CHECK(context, dropout == 0.0, InvalidArgument, out);
  const int64_t batch = query.size(0), tokens = query.size(1);
  const int64_t heads = query.size(2), width = query.size(3);
  const int64_t rows = key.size(1), kv_heads = key.size(2);
  for (int dim = 0; dim < 4; ++dim) {
    ET_KERNEL_CHECK(context, key.size(dim) == value.size(dim), InvalidArgument, out);
  }
  ET_KERNEL_CHECK(context, key.size(0) == batch && key.size(3) == width, InvalidArgument, out);
  ET_KERNEL_CHECK(context, width > 0 && kv_heads > 0 && heads % kv_heads == 0, InvalidArgument, out);
  ET_KERNEL_CHECK(context, start >= 0 && start <= rows && tokens <= rows - start, InvalidArgument,
                  out);
  if (mask) {
    ET_KERNEL_CHECK(context, !causal && mask->dim() == 2, InvalidArgument, out);
    ET_KERNEL_CHECK(context, mask->scalar_type() == ScalarType::Float, InvalidArgument, out);
    ET_KERNEL_CHECK(context, mask->size(0) == tokens && mask->size(1) == rows, InvalidArgument, out);
    ET_KERNEL_CHECK(
        context, executorch::runtime::is_contiguous_dim_order(mask->dim_order().data(), 2),
        InvalidArgument, out);
  }
  ET_KERNEL_CHECK(context, executorch::runtime::resize_tensor(out, query.sizes()) == Error::Ok,
                  InvalidArgument, out);
  ET_KERNEL_CHECK(context, dense(out), InvalidArgument, out);
  Attention given{};
  given.query = query.const_data_ptr<float>();
  given.key = key.const_data_ptr<float>();
  given.value = value.const_data_ptr<float>();
  given.mask = mask ? mask->const_data_ptr<float>() : nullptr;
  given.out = out.mutable_data_ptr<float>();
  given.batch = batch;
  given.tokens = tokens;
  given.heads = heads;
  given.kv_heads = kv_heads;
  given.width = width;
  given.rows = rows;
  given.seen = mask ? rows : start + tokens;
  given.causal = causal;
  given.scale = static_cast<float>(scale.value_or(1.0 / std::sqrt(static_cast<double>(width))));
  ET_KERNEL_CHECK(context, attend(given, executorch::extension::get_thread_count(), parallel),
                  MemoryAllocationFailed, out);
  return out;
}

// Writes tokens [batch, tokens, heads, width] into a cache from row `start` on. `out` says nothing.
Tensor& update_cache_out(KernelRuntimeContext& context, const Tensor& value, Tensor& cache,
                         int64_t start, Tensor& out) {
  ET_KERNEL_CHECK(context, dense(value) && dense(cache), InvalidArgument, out);
  for (const int dim : {0, 2, 3}) {
    ET_KERNEL_CHECK(context, value.size(dim) == cache.size(dim), InvalidArgument, out);
  }
  const int64_t tokens = value.size(1), rows = cache.size(1);
  ET_KERNEL_CHECK(context, start >= 0 && start <= rows && tokens <= rows - start, InvalidArgument,
                  out);
  const int64_t row = value.size(2) * value.size(3);
  const float* from = value.const_data_ptr<float>();
  float* to = cache.mutable_data_ptr<float>();
  if (tokens * row == 0) return out;
  for (int64_t batch = 0; batch < value.size(0); ++batch) {
    std::memcpy(to + (batch * rows + start) * row, from + batch * tokens * row,
                static_cast<size_t>(tokens * row) * sizeof(float));
  }
  return out;
}

EXECUTORCH_LIBRARY(llama, "custom_sdpa.out", custom_sdpa_out);
EXECUTORCH_LIBRARY(llama, "update_cache.out", update_cache_out);

}  // namespace
}  // namespace edgekit
