#include <algorithm>
#include <cmath>
#include <cstring>

#include "clock.h"
#include "decoder.h"
#include "machine.h"
#include "modes.h"

namespace edgekit {
namespace {

constexpr uint64_t kMostLogitBytes = uint64_t{1} << 30;

struct Answer {
  std::vector<int64_t> ids;
  double prefill_ms = 0, first_ms = 0;
  std::vector<double> step_ms;  // between one token and the next
  const char* ended_by = "";
};

// A tensor's numbers, which must be `least` to `most` in number.
std::vector<int64_t> integers(const Tensor& tensor, uint64_t least, uint64_t most,
                              const std::string& what) {
  const bool row = tensor.sizes.size() == 1 || (tensor.sizes.size() == 2 && tensor.sizes[0] == 1);
  if (tensor.dtype != Dtype::kInt64 || !row) {
    throw Failure("inputs", what + " must be int64 [n] or [1, n]");
  }
  std::vector<int64_t> found(tensor.data.size() / sizeof(int64_t));
  std::memcpy(found.data(), tensor.data.data(), found.size() * sizeof(int64_t));
  if (found.size() < least || found.size() > most) {
    throw Failure("inputs", what + " has " + std::to_string(found.size()) + " numbers, not " +
                                std::to_string(least) + " to " + std::to_string(most));
  }
  return found;
}

// The token ids of a sample, at most `most`.
std::vector<int64_t> token_ids(const std::vector<Tensor>& sample, uint64_t most,
                               const engine::Decoder& decoder, uint32_t index) {
  const std::string what = "prompt " + std::to_string(index);
  if (sample.empty()) throw Failure("inputs", what + " has no tensor");
  const auto ids = integers(sample[0], 1, most, what);
  const auto vocabulary = static_cast<int64_t>(decoder.vocabulary());
  for (const int64_t id : ids) {
    if (id < 0 || id >= vocabulary) {
      throw Failure("inputs", what + " has the token id " + std::to_string(id) +
                                  ", the model knows 0 to " + std::to_string(vocabulary - 1));
    }
  }
  return ids;
}

int64_t likeliest(const engine::Decoder& decoder) {
  const float* row = decoder.logits();
  uint64_t best = 0;
  for (uint64_t i = 0; i < decoder.vocabulary(); ++i) {
    if (!std::isfinite(row[i])) throw Failure("outputs", "the model gave logits that are no numbers");
    if (row[i] > row[best]) best = i;
  }
  return static_cast<int64_t>(best);
}

const char* end(const Job& job, const Answer& answer, size_t prompt) {
  if (std::find(job.eos.begin(), job.eos.end(), answer.ids.back()) != job.eos.end()) return "eos";
  if (answer.ids.size() >= job.tokens) return "length";
  return prompt + answer.ids.size() >= job.context ? "context" : "";
}

Answer answer(const Job& job, engine::Decoder& decoder, const std::vector<int64_t>& prompt) {
  Answer made;
  const auto start = Clock::now();
  decoder.feed(prompt.data(), prompt.size(), 0);
  made.prefill_ms = ms_since(start);
  made.ids.push_back(likeliest(decoder));
  auto last = Clock::now();
  made.first_ms = ms_between(start, last);
  while (*(made.ended_by = end(job, made, prompt.size())) == '\0') {
    decoder.feed(&made.ids.back(), 1, prompt.size() + made.ids.size() - 1);
    made.ids.push_back(likeliest(decoder));
    const auto now = Clock::now();
    made.step_ms.push_back(ms_between(last, now));
    last = now;
  }
  return made;
}

// The least of the times that `share` of them do not exceed; empty without times.
std::optional<double> quantile(std::vector<double> times, double share) {
  if (times.empty()) return {};
  std::sort(times.begin(), times.end());
  const auto rank = std::ceil(share * static_cast<double>(times.size()));
  return times[static_cast<size_t>(std::max(rank, 1.0)) - 1];
}

void tell(uint32_t index, uint64_t round, size_t prompt, const Answer& made) {
  double decoding = 0;
  for (const double ms : made.step_ms) decoding += ms;
  std::optional<double> rate;
  if (decoding > 0) rate = 1000 * static_cast<double>(made.step_ms.size()) / decoding;
  send(event("answer")
           .add("index", static_cast<uint64_t>(index))
           .add("round", round)
           .add("prompt_tokens", static_cast<uint64_t>(prompt))
           .add("tokens", static_cast<uint64_t>(made.ids.size()))
           .add("ended_by", made.ended_by)
           .add("prefill_ms", made.prefill_ms)
           .add("first_ms", made.first_ms)
           .add("prefill_tokens_per_s", 1000 * static_cast<double>(prompt) / made.prefill_ms)
           .add("decode_tokens_per_s", rate)
           .add("step_p50_ms", quantile(made.step_ms, 0.50))
           .add("step_p95_ms", quantile(made.step_ms, 0.95))
           .add("step_ms", made.step_ms)
           .add("ids", made.ids));
}

void write_ids(const std::string& path, const std::vector<std::vector<int64_t>>& answers) {
  StreamWriter writer(path, static_cast<uint32_t>(answers.size()));
  for (const auto& ids : answers) {
    writer.begin_sample(1);
    writer.add(Dtype::kInt64, {1, ids.size()}, ids.data(), ids.size() * sizeof(int64_t));
  }
  writer.finish();
}

}  // namespace

Count decoder_goldens(const Job& job, StreamReader& reader, Heartbeat& heartbeat) {
  engine::Decoder decoder(job.model, job.threads, job.context);
  send(loaded(0, false, decoder.times(), decoder.threads()));
  StreamWriter writer(job.outputs, reader.samples());
  SampleLog log;
  const uint64_t width = decoder.vocabulary();
  for (uint32_t i = 0; i < reader.samples(); ++i) {
    heartbeat.at_sample(i);
    const auto sample = reader.next();
    if (sample.size() > 2) throw Failure("inputs", "more than two tensors in a decoder's sample");
    const auto ids = token_ids(sample, job.context, decoder, i);
    auto first = static_cast<int64_t>(ids.size());
    if (sample.size() == 2) first = integers(sample[1], 1, 1, "the first pass")[0];
    if (first < 1 || first > static_cast<int64_t>(ids.size())) {
      throw Failure("inputs", "the first pass takes " + std::to_string(first) + " of " +
                                  std::to_string(ids.size()) + " ids");
    }
    const uint64_t passes = 1 + ids.size() - static_cast<uint64_t>(first);
    if (passes * width * sizeof(float) > kMostLogitBytes) {
      throw Failure("inputs", "over 1 GiB of logits in a sample");
    }
    std::vector<float> rows;
    rows.reserve(passes * width);
    double ms = 0;
    for (size_t at = 0; at < ids.size();) {
      const size_t count = at == 0 ? static_cast<size_t>(first) : 1;
      const auto begin = Clock::now();
      decoder.feed(ids.data() + at, count, at);
      ms += ms_since(begin);
      rows.insert(rows.end(), decoder.logits(), decoder.logits() + width);
      at += count;
    }
    writer.begin_sample(1);
    writer.add(Dtype::kFloat32, {passes, width}, rows.data(), rows.size() * sizeof(float));
    log.add(i, 0, ms);
  }
  writer.finish();
  log.flush();
  send(memory());
  return {reader.samples(), 1};
}

Count decoder_load(const Job& job, StreamReader& reader, Heartbeat& heartbeat) {
  if (reader.samples() == 0) throw Failure("inputs", "no samples");
  const auto sample = reader.next();
  for (uint64_t i = 0; i < job.runs; ++i) {
    heartbeat.at_sample(i);
    for (const bool cold : {true, false}) {
      const auto resident = cold ? drop_from_cache(job.model) : std::nullopt;
      engine::Decoder decoder(job.model, job.threads, job.context);
      const auto ids = token_ids(sample, job.context, decoder, 0);
      const auto start = Clock::now();
      decoder.feed(ids.data(), ids.size(), 0);
      const double first = ms_since(start);
      send(loaded(i, cold, decoder.times(), decoder.threads())
               .add("first_ms", first)
               .add("resident", resident));
      if (!cold && i + 1 == job.runs) send(memory());
    }
  }
  return {job.runs, job.runs};
}

Count generate(const Job& job, StreamReader& reader, Heartbeat& heartbeat) {
  engine::Decoder decoder(job.model, job.threads, job.context);
  send(loaded(0, false, decoder.times(), decoder.threads()));
  std::vector<std::vector<int64_t>> prompts;
  for (const auto& sample : keep_all(reader)) {
    if (sample.size() != 1) throw Failure("inputs", "a prompt is one tensor");
    // A prompt that fills the context leaves no room for an answer.
    prompts.push_back(
        token_ids(sample, job.context - 1, decoder, static_cast<uint32_t>(prompts.size())));
  }
  std::vector<std::vector<int64_t>> last(prompts.size());
  for (uint64_t i = 0; i < job.warm_ups; ++i) {
    for (const auto& prompt : prompts) answer(job, decoder, prompt);
  }
  Count count;
  const auto start = Clock::now();
  while (count.rounds < job.runs || ms_since(start) < static_cast<double>(job.milliseconds)) {
    for (uint32_t i = 0; i < prompts.size(); ++i) {
      heartbeat.at_sample(count.samples++);
      auto made = answer(job, decoder, prompts[i]);
      tell(i, count.rounds, prompts[i].size(), made);
      last[i] = std::move(made.ids);
    }
    ++count.rounds;
  }
  send(memory());
  if (!job.outputs.empty()) write_ids(job.outputs, last);
  return count;
}

}  // namespace edgekit
