// What reading a decoder's cache costs for one token, as float32 and as int8; see
// benchmarks/decoder_cache.py, which builds and runs this.
//
//   cache_kinds LAYERS HEADS KV_HEADS WIDTH ROWS WEIGHT_BYTES TURNS
//
// int8 has a scale for each token and head; a block of it becomes float32 in a scratch that stays in
// the first cache, and what follows is the float32 kernel's own. Between two layers as many bytes
// are read as the layer's weights have, so that a cache has to come from where it would come from.


#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <random>
#include <vector>

#include "attention.cpp"

namespace edgekit {
namespace {

using Byte8 __attribute__((vector_size(8))) = int8_t;

struct Quantized {
  std::vector<int8_t> data;   // [rows, kv_heads, width]
  std::vector<float> scales;  // [rows, kv_heads]
};

Quantized quantized(const std::vector<float>& from, int64_t width) {
  Quantized found{std::vector<int8_t>(from.size()), std::vector<float>(from.size() / width)};
  for (size_t at = 0; at < found.scales.size(); ++at) {
    const float* row = from.data() + at * width;
    float most = 0;
    for (int64_t w = 0; w < width; ++w) most = std::max(most, std::abs(row[w]));
    found.scales[at] = most / 127;
    for (int64_t w = 0; w < width; ++w) {
      found.data[at * width + w] = static_cast<int8_t>(std::lround(row[w] * 127 / most));
    }
  }
  return found;
}

// to[j][0..width) = from[j][0..width) * scales[j]
EDGEKIT_INLINE void widen(const int8_t* from, const float* scales, int64_t kv_heads, int64_t width,
                          int64_t count, float* to) {
  for (int64_t j = 0; j < count; ++j) {
    const Float8 scale = all(scales[j * kv_heads]);
    for (int64_t w = 0; w < width; w += kLanes) {
      Byte8 bytes;
      std::memcpy(&bytes, from + j * kv_heads * width + w, sizeof bytes);
      store(to + j * width + w, __builtin_convertvector(bytes, Float8) * scale);
    }
  }
}

// One token's queries over an int8 cache.
EDGEKIT_VERSIONS void attend_int8(const Attention& given, const Quantized& keys,
                                  const Quantized& values, float* room) {
  const int64_t width = given.width, group = given.heads / given.kv_heads;
  float *k = room, *v = k + kBlock * width, *scores = v + kBlock * width;
  float* query = scores + group * kBlock;
  for (int64_t shared = 0; shared < given.kv_heads; ++shared) {
    float most[kMostRows], total[kMostRows];
    float* mixed = given.out + shared * group * width;
    for (int64_t at = 0; at < group * width; ++at) {
      query[at] = given.query[shared * group * width + at] * given.scale;
      mixed[at] = 0;
    }
    for (int64_t r = 0; r < group; ++r) most[r] = kNothing, total[r] = 0;
    for (int64_t begin = 0; begin < given.seen; begin += kBlock) {
      const int64_t count = std::min(kBlock, given.seen - begin);
      const int64_t at = begin * given.kv_heads + shared;
      widen(&keys.data[at * width], &keys.scales[at], given.kv_heads, width, count, k);
      widen(&values.data[at * width], &values.scales[at], given.kv_heads, width, count, v);
      scores_of_few(query, group, k, width, width, count, scores);
      for (int64_t r = 0; r < group; ++r) {
        weigh(scores + r * kBlock, nullptr, 0, count, rounded_up(count, kLanes), most[r], total[r],
              mixed + r * width, width);
        mix<1>(scores + r * kBlock, v, width, width, count, mixed + r * width);
      }
    }
    for (int64_t r = 0; r < group; ++r) {
      for (int64_t w = 0; w < width; ++w) mixed[r * width + w] /= total[r];
    }
  }
}

double now() {
  timespec found;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &found);
  return static_cast<double>(found.tv_sec) + 1e-9 * static_cast<double>(found.tv_nsec);
}

std::vector<float> drawn(std::mt19937& draw, int64_t count) {
  std::normal_distribution<float> normal;
  std::vector<float> found(count);
  for (float& value : found) value = normal(draw);
  return found;
}

struct Layer {
  std::vector<float> key, value;
  Quantized small_key, small_value;
  std::vector<int64_t> weights;
};

}  // namespace
}  // namespace edgekit

int main(int count, char** words) {
  using namespace edgekit;
  if (count != 8) return 64;
  const auto number = [&](int at) { return std::atoll(words[at]); };
  const int64_t layers = number(1), heads = number(2), kv_heads = number(3), width = number(4);
  const int64_t rows = number(5), weight_bytes = number(6), turns = number(7);
  std::mt19937 draw(0);
  std::vector<Layer> model(layers);
  for (Layer& layer : model) {
    layer.key = drawn(draw, rows * kv_heads * width);
    layer.value = drawn(draw, rows * kv_heads * width);
    layer.small_key = quantized(layer.key, width);
    layer.small_value = quantized(layer.value, width);
    layer.weights.assign(weight_bytes / 8, 1);
  }
  const std::vector<float> query = drawn(draw, heads * width);
  std::vector<float> exact(heads * width), close(heads * width), room(4 * kBlock * width);
  Attention given{};
  given.query = query.data();
  given.batch = given.tokens = 1;
  given.heads = heads, given.kv_heads = kv_heads, given.width = width, given.rows = rows;
  given.seen = rows, given.causal = true;
  given.scale = 1 / std::sqrt(static_cast<float>(width));
  const Parallel here = [](int64_t, const std::function<void(int64_t)>& run) { return run(0), true; };
  int64_t read = 0;
  float difference = 0;
  for (int64_t turn = 0; turn < turns; ++turn) {
    double taken[2] = {0, 0};
    for (int kind = 0; kind < 2; ++kind) {
      for (const Layer& layer : model) {
        for (const int64_t value : layer.weights) read += value;
        given.key = layer.key.data(), given.value = layer.value.data();
        given.out = kind == 0 ? exact.data() : close.data();
        const double begin = now();
        if (kind == 0) {
          if (!attend(given, 1, here)) return 70;
        } else {
          attend_int8(given, layer.small_key, layer.small_value, room.data());
        }
        taken[kind] += now() - begin;
      }
    }
    for (size_t at = 0; at < exact.size(); ++at) {
      difference = std::max(difference, std::abs(exact[at] - close[at]));
    }
    std::printf("%.6f %.6f\n", 1e3 * taken[0], 1e3 * taken[1]);
  }
  std::fprintf(stderr, "%g %lld\n", difference, static_cast<long long>(read));
  return 0;
}
