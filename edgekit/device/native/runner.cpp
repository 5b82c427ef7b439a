// Runs a job over a model and says what happens as JSON lines on stdout.
//
//   runner --job FILE     in the folder that holds the job's files
//   runner --version      the `hello` event alone
//
// Events: hello, environment (before and after), loaded, sample, answer, memory, done; heartbeat every
// few seconds; error. An error ends the run with a status from sysexits; then there are no outputs.
// job.h describes the job, modes.h what it can ask for, stream.h inputs and outputs, engine.h the two
// runtimes.

#include <sys/stat.h>
#include <unistd.h>

#include <map>

#include "clock.h"
#include "machine.h"
#include "modes.h"

namespace {

using namespace edgekit;

constexpr uint64_t kProtocol = 3;
constexpr auto kHeartbeat = std::chrono::milliseconds(5000);

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

Count carried_out(const Job& job, StreamReader& reader, Heartbeat& heartbeat) {
  const bool decoder = job.context != 0;
  switch (job.mode) {
    case Mode::kGoldens:
      return (decoder ? decoder_goldens : goldens)(job, reader, heartbeat);
    case Mode::kLoad:
      return (decoder ? decoder_load : load)(job, reader, heartbeat);
    case Mode::kGenerate:
      return generate(job, reader, heartbeat);
    case Mode::kLatency:
      break;
  }
  return latency(job, reader, heartbeat);
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
  const Count count = carried_out(job, reader, heartbeat);
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
