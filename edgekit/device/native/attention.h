// Attention of a decoder over its cache, in float32: softmax(Q K^T * scale + mask) V, heads shared.
//
// The softmax is taken block by block of keys with a running maximum and sum (Milakov and
// Gimelshein 2018; Dao et al. 2022), so memory does not grow with the context. Nothing of a runtime
// is needed but a way to run a function on several threads.

#pragma once

#include <cstdint>
#include <functional>

namespace edgekit {

// All tensors are dense and row-major, of float32.
struct Attention {
  const float* query;   // [batch, tokens, heads, width]
  const float* key;     // [batch, rows, kv_heads, width]
  const float* value;   // as key
  const float* mask;    // [tokens, rows], added to the scores; null for none
  float* out;           // as query
  int64_t batch, tokens, heads, kv_heads, width, rows;
  // Keys that a query sees: `seen` of them, or, when `causal`, one less for each query before the
  // last. At most `rows`.
  int64_t seen;
  bool causal;
  float scale;
};

// Calls its argument once for each number below the first, on as many threads as it has.
using Parallel = std::function<bool(int64_t, const std::function<void(int64_t)>&)>;

// Computes `out`; heads is a multiple of kv_heads. A query that sees nothing gets zeros. A column
// whose mask is 1e8 under the row's largest counts as hidden and is not read. Returns false when
// there is no memory or `parallel` fails.
bool attend(const Attention& given, int64_t threads, const Parallel& parallel);

}  // namespace edgekit
