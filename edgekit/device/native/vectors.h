// Eight floats at once, in the compiler's own vector extension: one AVX register, two of NEON or SSE.
// All is inlined, so how a call would pass them (-Wpsabi) is of no interest.

#pragma once

#include <cstdint>
#include <cstring>

#define EDGEKIT_INLINE inline __attribute__((always_inline))

// Baseline x86-64 has neither eight lanes nor fused multiplication: a second version of a function
// is compiled for processors that do, and the loader chooses. NEON is part of every arm64.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__)
#define EDGEKIT_VERSIONS __attribute__((target_clones("default", "arch=x86-64-v3")))
#else
#define EDGEKIT_VERSIONS
#endif

namespace edgekit {

using Float8 __attribute__((vector_size(32))) = float;
using Float4 __attribute__((vector_size(16))) = float;
using Int8 __attribute__((vector_size(32))) = int32_t;

constexpr int64_t kLanes = 8;

EDGEKIT_INLINE Float8 load(const float* from) {
  Float8 found;
  std::memcpy(&found, from, sizeof found);
  return found;
}

EDGEKIT_INLINE void store(float* to, Float8 value) { std::memcpy(to, &value, sizeof value); }

EDGEKIT_INLINE Float8 all(float value) { return Float8{} + value; }

EDGEKIT_INLINE Float8 larger(Float8 a, Float8 b) { return a > b ? a : b; }

EDGEKIT_INLINE Float4 halves_added(Float8 value) {
  return __builtin_shufflevector(value, value, 0, 1, 2, 3) +
         __builtin_shufflevector(value, value, 4, 5, 6, 7);
}

// The four sums of lanes.
EDGEKIT_INLINE Float4 sums(Float8 a, Float8 b, Float8 c, Float8 d) {
  const Float4 p = halves_added(a), q = halves_added(b), r = halves_added(c), s = halves_added(d);
  const Float4 pq = __builtin_shufflevector(p, q, 0, 2, 4, 6) +
                    __builtin_shufflevector(p, q, 1, 3, 5, 7);
  const Float4 rs = __builtin_shufflevector(r, s, 0, 2, 4, 6) +
                    __builtin_shufflevector(r, s, 1, 3, 5, 7);
  return __builtin_shufflevector(pq, rs, 0, 2, 4, 6) + __builtin_shufflevector(pq, rs, 1, 3, 5, 7);
}

EDGEKIT_INLINE float sum(Float8 value) {
  const Float4 half = halves_added(value);
  return (half[0] + half[1]) + (half[2] + half[3]);
}

// e^x for x <= 0, to about one unit in the last place; 0 below -87, where float32 ends.
EDGEKIT_INLINE Float8 exp_negative(Float8 x) {
  const Float8 least = all(-87.0f);
  const Float8 bounded = larger(x, least);
  // 2^n * e^r with n a whole number and |r| <= ln(2) / 2. Adding 1.5 * 2^23 rounds to one.
  const Float8 magic = all(12582912.0f);
  const Float8 shifted = bounded * 1.44269504f + magic;
  const Float8 n = shifted - magic;
  const Float8 r = (bounded - n * 0.693359375f) + n * 2.12194440e-4f;
  // Taylor's series to the seventh power: its rest is below 2^-26 there.
  Float8 e = all(1.0f / 5040);
  e = e * r + 1.0f / 720;
  e = e * r + 1.0f / 120;
  e = e * r + 1.0f / 24;
  e = e * r + 1.0f / 6;
  e = e * r + 0.5f;
  e = e * r + 1.0f;
  e = e * r + 1.0f;
  Int8 bits;
  std::memcpy(&bits, &shifted, sizeof bits);
  Int8 scaled;
  std::memcpy(&scaled, &e, sizeof scaled);
  scaled += bits << 23;
  std::memcpy(&e, &scaled, sizeof e);
  const Float8 found = x < least ? Float8{} : e;
  return x == x ? found : x;
}

}  // namespace edgekit
