#include "clock.h"
#include "machine.h"
#include "modes.h"

namespace edgekit {
namespace {

constexpr uint64_t kMostKeptBytes = 256u << 20;

}  // namespace

Fields loaded(uint64_t index, bool cold, const engine::LoadTimes& times, uint64_t threads) {
  return event("loaded")
      .add("index", index)
      .add("cold", cold)
      .add("ms", times.open_ms + times.prepare_ms.value_or(0))
      .add("open_ms", times.open_ms)
      .add("prepare_ms", times.prepare_ms)
      .add("threads", threads);
}

std::vector<std::vector<Tensor>> keep_all(StreamReader& reader) {
  std::vector<std::vector<Tensor>> samples;
  uint64_t bytes = 0;
  for (uint32_t i = 0; i < reader.samples(); ++i) {
    samples.push_back(reader.next());
    for (const Tensor& tensor : samples.back()) bytes += tensor.data.size();
    if (bytes > kMostKeptBytes) throw Failure("inputs", "more than 256 MiB of samples to repeat");
  }
  if (samples.empty()) throw Failure("inputs", "no samples");
  return samples;
}

Count goldens(const Job& job, StreamReader& reader, Heartbeat& heartbeat) {
  engine::Model model(job.model, job.threads);
  send(loaded(0, false, model.times(), model.threads()));
  StreamWriter writer(job.outputs, reader.samples());
  SampleLog log;
  for (uint32_t i = 0; i < reader.samples(); ++i) {
    heartbeat.at_sample(i);
    auto sample = reader.next();
    model.take(sample);
    const double ms = model.run();
    model.write_answer(writer);
    log.add(i, 0, ms);
  }
  writer.finish();
  log.flush();
  send(memory());
  return {reader.samples(), 1};
}

Count latency(const Job& job, StreamReader& reader, Heartbeat& heartbeat) {
  auto samples = keep_all(reader);
  engine::Model model(job.model, job.threads);
  send(loaded(0, false, model.times(), model.threads()));
  for (uint64_t i = 0; i < job.warm_ups; ++i) {
    for (auto& sample : samples) {
      model.take(sample);
      model.run();
    }
  }
  SampleLog log;
  Count count;
  const auto start = Clock::now();
  while (count.rounds < job.runs || ms_since(start) < static_cast<double>(job.milliseconds)) {
    for (size_t i = 0; i < samples.size(); ++i) {
      heartbeat.at_sample(count.samples++);
      model.take(samples[i]);
      const double ms = model.run();
      log.add(static_cast<uint32_t>(i), count.rounds, ms);
    }
    ++count.rounds;
  }
  log.flush();
  send(memory());
  if (job.outputs.empty()) return count;
  // One more round, untimed: what has just been timed must also be right.
  StreamWriter writer(job.outputs, static_cast<uint32_t>(samples.size()));
  for (auto& sample : samples) {
    model.take(sample);
    model.run();
    model.write_answer(writer);
  }
  writer.finish();
  return count;
}

Count load(const Job& job, StreamReader& reader, Heartbeat& heartbeat) {
  if (reader.samples() == 0) throw Failure("inputs", "no samples");
  auto sample = reader.next();
  for (uint64_t i = 0; i < job.runs; ++i) {
    heartbeat.at_sample(i);
    for (const bool cold : {true, false}) {
      const auto resident = cold ? drop_from_cache(job.model) : std::nullopt;
      engine::Model model(job.model, job.threads);
      const auto start = Clock::now();
      model.take(sample);
      model.run();
      const double first = ms_since(start);
      send(loaded(i, cold, model.times(), model.threads())
               .add("first_ms", first)
               .add("resident", resident));
      if (!cold && i + 1 == job.runs) send(memory());
    }
  }
  return {job.runs, job.runs};
}

}  // namespace edgekit
