#include "attention.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <memory>
#include <new>

#include "vectors.h"

namespace edgekit {
namespace {

constexpr int64_t kBlock = 64;       // keys at a time
constexpr int64_t kTile = 6;         // rows of queries at a time
constexpr int64_t kMostRows = 48;    // of one item of work
constexpr int64_t kFewRows = 8;      // fewer than this are not worth turning the keys for
constexpr float kHidden = 1e8f;
constexpr float kNothing = -std::numeric_limits<float>::infinity();

// How the work is cut: an item is a run of tokens times a run of heads that share keys.
struct Cut {
  int64_t heads, tokens;       // of one item
  int64_t head_runs, token_runs, items;
};

// What one thread works in.
struct Room {
  float* query;   // [rows, width], scaled
  float* mixed;   // [rows, width], what the rows have gathered
  float* turned;  // [width, kBlock]: a block of keys, turned
  float* scores;  // [kTile, kBlock]
  float* most;    // [rows]
  float* total;   // [rows]
  int64_t* first;  // [rows]: the columns that a row sees
  int64_t* last;   // [rows]
};

int64_t rounded_up(int64_t value, int64_t to) { return (value + to - 1) / to * to; }

Cut cut(const Attention& given, int64_t threads) {
  const int64_t group = given.heads / given.kv_heads;
  Cut found{};
  found.heads = std::min(group, kMostRows);
  while (group % found.heads != 0) --found.heads;
  found.tokens = std::min(kMostRows / found.heads, given.tokens);
  const auto count = [&] {
    found.head_runs = given.heads / found.heads;
    found.token_runs = (given.tokens + found.tokens - 1) / found.tokens;
    return found.items = given.batch * found.head_runs * found.token_runs;
  };
  // Sharing the keys among heads is worth less than work for every thread.
  if (count() < 4 * threads && found.items % threads != 0) found.heads = 1;
  count();
  return found;
}

// to[row][0..16) += from[row][0..depth) * right[0..depth][0..16), or = when `fresh`.
template <int Rows>
EDGEKIT_INLINE void multiply(const float* from, int64_t from_step, const float* right,
                             int64_t right_step, int64_t depth, float* to, int64_t to_step,
                             bool fresh) {
  Float8 low[Rows], high[Rows];
  for (int r = 0; r < Rows; ++r) {
    low[r] = fresh ? Float8{} : load(to + r * to_step);
    high[r] = fresh ? Float8{} : load(to + r * to_step + kLanes);
  }
  for (int64_t k = 0; k < depth; ++k) {
    const Float8 left = load(right + k * right_step);
    const Float8 next = load(right + k * right_step + kLanes);
    for (int r = 0; r < Rows; ++r) {
      const Float8 factor = all(from[r * from_step + k]);
      low[r] += factor * left;
      high[r] += factor * next;
    }
  }
  for (int r = 0; r < Rows; ++r) {
    store(to + r * to_step, low[r]);
    store(to + r * to_step + kLanes, high[r]);
  }
}

// scores[row][0..count) of few rows: each key is read as it lies.
EDGEKIT_INLINE void scores_of_few(const float* query, int64_t rows, const float* keys, int64_t step,
                                  int64_t width, int64_t count, float* scores) {
  const int64_t whole = width / kLanes * kLanes;
  for (int64_t r = 0; r < rows; ++r) {
    const float* q = query + r * width;
    float* into = scores + r * kBlock;
    int64_t j = 0;
    for (; j + 4 <= count; j += 4) {
      const float* k = keys + j * step;
      Float8 a{}, b{}, c{}, d{};
      for (int64_t w = 0; w < whole; w += kLanes) {
        const Float8 factor = load(q + w);
        a += factor * load(k + w);
        b += factor * load(k + step + w);
        c += factor * load(k + 2 * step + w);
        d += factor * load(k + 3 * step + w);
      }
      Float4 found = sums(a, b, c, d);
      for (int64_t w = whole; w < width; ++w) {
        found += q[w] * Float4{k[w], k[step + w], k[2 * step + w], k[3 * step + w]};
      }
      std::memcpy(into + j, &found, sizeof found);
    }
    for (; j < count; ++j) {
      const float* k = keys + j * step;
      Float8 a{};
      for (int64_t w = 0; w < whole; w += kLanes) a += load(q + w) * load(k + w);
      float found = sum(a);
      for (int64_t w = whole; w < width; ++w) found += q[w] * k[w];
      into[j] = found;
    }
  }
}

// turned[w][j] = keys[j][w]; columns from `count` to the next 16 are zero.
EDGEKIT_INLINE void turn(const float* keys, int64_t step, int64_t width, int64_t count,
                         float* turned) {
  const int64_t whole = width / 4 * 4;
  int64_t j = 0;
  for (; j + 4 <= count; j += 4) {
    const float* k = keys + j * step;
    for (int64_t w = 0; w < whole; w += 4) {
      Float4 rows[4];
      for (int r = 0; r < 4; ++r) std::memcpy(&rows[r], k + r * step + w, sizeof rows[r]);
      const Float4 a = __builtin_shufflevector(rows[0], rows[1], 0, 4, 1, 5);
      const Float4 b = __builtin_shufflevector(rows[2], rows[3], 0, 4, 1, 5);
      const Float4 c = __builtin_shufflevector(rows[0], rows[1], 2, 6, 3, 7);
      const Float4 d = __builtin_shufflevector(rows[2], rows[3], 2, 6, 3, 7);
      const Float4 columns[4] = {
          __builtin_shufflevector(a, b, 0, 1, 4, 5), __builtin_shufflevector(a, b, 2, 3, 6, 7),
          __builtin_shufflevector(c, d, 0, 1, 4, 5), __builtin_shufflevector(c, d, 2, 3, 6, 7)};
      for (int r = 0; r < 4; ++r) {
        std::memcpy(turned + (w + r) * kBlock + j, &columns[r], sizeof columns[r]);
      }
    }
    for (int64_t w = whole; w < width; ++w) {
      for (int r = 0; r < 4; ++r) turned[w * kBlock + j + r] = k[r * step + w];
    }
  }
  const int64_t end = rounded_up(count, 2 * kLanes);
  for (; j < end; ++j) {
    for (int64_t w = 0; w < width; ++w) {
      turned[w * kBlock + j] = j < count ? keys[j * step + w] : 0.0f;
    }
  }
}

template <int Rows>
EDGEKIT_INLINE void scores_of_many(const float* query, int64_t width, const float* turned,
                                   int64_t count, float* scores) {
  for (int64_t j = 0; j < count; j += 2 * kLanes) {
    multiply<Rows>(query, width, turned + j, kBlock, width, scores + j, kBlock, true);
  }
}

// mixed[row] += scores[row][0..count) * values[0..count)
template <int Rows>
EDGEKIT_INLINE void mix(const float* scores, const float* values, int64_t step, int64_t width,
                        int64_t count, float* mixed) {
  const int64_t whole = width / (2 * kLanes) * (2 * kLanes);
  for (int64_t w = 0; w < whole; w += 2 * kLanes) {
    multiply<Rows>(scores, kBlock, values + w, step, count, mixed + w, width, false);
  }
  for (int r = 0; r < Rows; ++r) {
    for (int64_t w = whole; w < width; ++w) {
      float found = 0;
      for (int64_t j = 0; j < count; ++j) found += scores[r * kBlock + j] * values[j * step + w];
      mixed[r * width + w] += found;
    }
  }
}

// Turns the scores of columns [from, to) of a block into weights, and the others into zeros, and
// brings what the row has gathered to the new maximum.
EDGEKIT_INLINE void weigh(float* scores, const float* mask, int64_t from, int64_t to, int64_t end,
                          float& most, float& total, float* mixed, int64_t width) {
  for (int64_t j = 0; j < from; ++j) scores[j] = kNothing;
  for (int64_t j = to; j < end; ++j) scores[j] = kNothing;
  if (mask != nullptr) {
    for (int64_t j = from; j < to; ++j) scores[j] += mask[j];
  }
  Float8 best = all(kNothing);
  for (int64_t j = 0; j < end; j += kLanes) best = larger(load(scores + j), best);
  float now = most;
  for (int lane = 0; lane < kLanes; ++lane) now = std::max(now, best[lane]);
  const float base = now == kNothing ? 0 : now;
  Float8 gathered{};
  for (int64_t j = 0; j < end; j += kLanes) {
    const Float8 weight = exp_negative(load(scores + j) - base);
    store(scores + j, weight);
    gathered += weight;
  }
  if (now > most) {
    const float smaller = std::exp(most - now);
    total *= smaller;
    for (int64_t w = 0; w < width; ++w) mixed[w] *= smaller;
    most = now;
  }
  total += sum(gathered);
}

// The columns that a token sees: up to `seen`, less what the mask hides at both ends.
EDGEKIT_INLINE void bounds(const Attention& given, int64_t token, int64_t& first, int64_t& last) {
  first = 0;
  last = std::max<int64_t>(given.causal ? given.seen - (given.tokens - 1 - token) : given.seen, 0);
  if (given.mask == nullptr) return;
  const float* mask = given.mask + token * given.rows;
  const float limit = *std::max_element(mask, mask + last) - kHidden;
  while (last > first && !(mask[last - 1] > limit)) --last;
  while (first < last && !(mask[first] > limit)) ++first;
}

template <int Rows>
EDGEKIT_INLINE void tile(const Attention& given, const Cut& cut, const Room& room, int64_t row,
                         int64_t begin, int64_t count, bool many, const float* keys,
                         const float* values, int64_t step, int64_t token) {
  const int64_t width = given.width;
  const float* query = room.query + row * width;
  float* mixed = room.mixed + row * width;
  if (many) {
    scores_of_many<Rows>(query, width, room.turned, count, room.scores);
  } else {
    scores_of_few(query, Rows, keys, step, width, count, room.scores);
  }
  const int64_t end = rounded_up(count, kLanes);
  for (int r = 0; r < Rows; ++r) {
    const int64_t at = row + r;
    const int64_t from = std::clamp<int64_t>(room.first[at] - begin, 0, count);
    const int64_t to = std::clamp<int64_t>(room.last[at] - begin, from, count);
    const float* mask =
        given.mask ? given.mask + (token + at / cut.heads) * given.rows + begin : nullptr;
    weigh(room.scores + r * kBlock, mask, from, to, end, room.most[at], room.total[at],
          mixed + r * width, width);
  }
  mix<Rows>(room.scores, values, step, width, count, mixed);
}

EDGEKIT_VERSIONS void run_item(const Attention& given, const Cut& cut, const Room& room,
                               int64_t item) {
  // The last tokens see most: they come first, so that no thread is left with them at the end.
  const int64_t run = cut.token_runs - 1 - item / (given.batch * cut.head_runs);
  const int64_t batch = item / cut.head_runs % given.batch;
  const int64_t head = item % cut.head_runs * cut.heads;
  const int64_t token = run * cut.tokens;
  const int64_t tokens = std::min(cut.tokens, given.tokens - token);
  const int64_t width = given.width, step = given.kv_heads * width;
  const int64_t shared = head / (given.heads / given.kv_heads);
  const int64_t rows = tokens * cut.heads;
  const int64_t origin = ((batch * given.tokens + token) * given.heads + head) * width;
  int64_t first = given.rows, last = 0;
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t at = (r / cut.heads) * given.heads * width + (r % cut.heads) * width;
    for (int64_t w = 0; w < width; ++w) {
      room.query[r * width + w] = given.query[origin + at + w] * given.scale;
      room.mixed[r * width + w] = 0;
    }
    room.most[r] = kNothing;
    room.total[r] = 0;
    bounds(given, token + r / cut.heads, room.first[r], room.last[r]);
    first = std::min(first, room.first[r]);
    last = std::max(last, room.last[r]);
  }
  const float* keys = given.key + (batch * given.rows * given.kv_heads + shared) * width;
  const float* values = given.value + (batch * given.rows * given.kv_heads + shared) * width;
  const bool many = rows >= kFewRows;
  for (int64_t begin = first; begin < last; begin += kBlock) {
    const int64_t count = std::min(kBlock, last - begin);
    const float* k = keys + begin * step;
    const float* v = values + begin * step;
    if (many) turn(k, step, width, count, room.turned);
    int64_t row = 0;
    for (; row + kTile <= rows; row += kTile) {
      tile<kTile>(given, cut, room, row, begin, count, many, k, v, step, token);
    }
    for (; row < rows; ++row) {
      tile<1>(given, cut, room, row, begin, count, many, k, v, step, token);
    }
  }
  for (int64_t r = 0; r < rows; ++r) {
    float* out =
        given.out + origin + (r / cut.heads) * given.heads * width + (r % cut.heads) * width;
    // What saw nothing has gathered nothing. A sum that is no number shows in the answer.
    const float whole = room.total[r] == 0 ? 0 : 1 / room.total[r];
    for (int64_t w = 0; w < width; ++w) out[w] = room.mixed[r * width + w] * whole;
  }
}

}  // namespace

bool attend(const Attention& given, int64_t threads, const Parallel& parallel) {
  if (given.batch == 0 || given.tokens == 0 || given.heads == 0) return true;
  const Cut plan = cut(given, threads);
  const int64_t rows = plan.heads * plan.tokens;
  const int64_t floats = (2 * rows + kBlock) * given.width + kTile * kBlock + 2 * rows;
  const int64_t each = rounded_up(floats, 16);
  threads = std::min(threads, plan.items);
  const std::unique_ptr<float[]> room(new (std::nothrow) float[each * threads]);
  const std::unique_ptr<int64_t[]> ends(new (std::nothrow) int64_t[2 * rows * threads]);
  if (!room || !ends) return false;
  std::atomic<int64_t> next{0};
  return parallel(threads, [&](int64_t thread) {
    Room own{};
    own.query = room.get() + thread * each;
    own.mixed = own.query + rows * given.width;
    own.turned = own.mixed + rows * given.width;
    own.scores = own.turned + kBlock * given.width;
    own.most = own.scores + kTile * kBlock;
    own.total = own.most + rows;
    own.first = ends.get() + thread * 2 * rows;
    own.last = own.first + rows;
    // Whoever is free takes the next item: a phone's processors are not equally fast.
    for (int64_t item; (item = next.fetch_add(1)) < plan.items;) run_item(given, plan, own, item);
  });
}

}  // namespace edgekit
