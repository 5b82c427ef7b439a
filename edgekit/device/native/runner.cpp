// Runs a job over a model and says what happens as JSON lines on stdout.
//
//   runner --job FILE     in the folder that holds the job's files
//   runner --version      the `hello` event alone
//
// Events: hello, environment (before and after), loaded, sample, memory, done; heartbeat every few
// seconds; error. An error ends the run with a status from sysexits; then there are no outputs.
// job.h describes the job, stream.h inputs and outputs, engine.h the two runtimes.

#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "engine.h"
#include "job.h"
#include "machine.h"

namespace {

using namespace edgekit;
using Clock = std::chrono::steady_clock;

constexpr uint64_t kProtocol = 2;
constexpr auto kHeartbeat = std::chrono::milliseconds(5000);
constexpr uint64_t kMostKeptBytes = 256u << 20;

double ms_since(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start).count();
}

void hello() {
  Fields fields = event("hello");
  fields.add("protocol", kProtocol)
      .add("runtime", engine::name())
      .add("version", engine::version())
      .add("machine", architecture())
      .add("pid", static_cast<int64_t>(getpid()));
  engine::describe(fields);
  send(fields);
}

Fields loaded(uint64_t index, bool cold, const engine::Model& model) {
  const auto times = model.times();
  return event("loaded")
      .add("index", index)
      .add("cold", cold)
      .add("ms", times.open_ms + times.prepare_ms.value_or(0))
      .add("open_ms", times.open_ms)
      .add("prepare_ms", times.prepare_ms)
      .add("threads", model.threads());
}

// All samples at once, for rounds over them.
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

struct Count {
  uint64_t samples = 0;
  uint64_t rounds = 0;
};

Count goldens(const Job& job, StreamReader& reader, Heartbeat& heartbeat) {
  engine::Model model(job.model, job.threads);
  send(loaded(0, false, model));
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
  send(loaded(0, false, model));
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
      send(loaded(i, cold, model).add("first_ms", first).add("resident", resident));
      if (!cold && i + 1 == job.runs) send(memory());
    }
  }
  return {job.runs, job.runs};
}

void run(const std::string& path) {
  const auto start = Clock::now();
  hello();
  const Job job = read_job(path, engine::name());
  // Before any thread starts: threads inherit it.
  stay_on(job.cores);
  struct stat info{};
  if (stat(job.model.c_str(), &info) != 0 || !S_ISREG(info.st_mode)) {
    throw Failure("missing", "no model file " + job.model);
  }
  StreamReader reader(job.inputs);
  Heartbeat heartbeat(kHeartbeat);
  send(environment("before"));
  engine::start();
  const Count count = job.mode == Mode::kGoldens ? goldens(job, reader, heartbeat)
                      : job.mode == Mode::kLatency ? latency(job, reader, heartbeat)
                                                   : load(job, reader, heartbeat);
  send(environment("after"));
  send(event("done")
           .add("samples", count.samples)
           .add("rounds", count.rounds)
           .add("ms", ms_since(start)));
}

int exit_status(const std::string& code) {
  static const std::map<std::string, int> statuses = {
      {"usage", 64},   {"job", 64},     {"cores", 64},        {"inputs", 65},
      {"stream", 65},  {"model", 65},   {"missing", 66},      {"outputs", 70},
      {"output", 73},  {"storage-full", 74}};
  const auto found = statuses.find(code);
  return found == statuses.end() ? 70 : found->second;
}

int fail(const std::string& code, const std::string& message, uint32_t status) {
  send(event("error")
           .add("code", code)
           .add("message", message)
           .add("status", static_cast<uint64_t>(status)));
  return exit_status(code);
}

}  // namespace

int main(int argc, char** argv) {
  const std::vector<std::string> words(argv + 1, argv + argc);
  try {
    if (words.size() == 1 && words[0] == "--version") {
      engine::start();
      hello();
    } else if (words.size() == 2 && words[0] == "--job") {
      run(words[1]);
    } else {
      throw Failure("usage", "start it with --job FILE, or with --version");
    }
    return 0;
  } catch (const Failure& failure) {
    return fail(failure.code, failure.what(), failure.status);
  } catch (const std::exception& error) {
    return fail("internal", error.what(), 0);
  }
}
