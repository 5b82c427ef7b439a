// A runtime as the runner sees it. Each program links one engine_*.cpp; there is no choice at run
// time, so nothing stands between the clock and the runtime's own call.

#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "events.h"
#include "stream.h"

namespace edgekit::engine {

// "executorch" or "onnx": what a job's `runtime` must say.
const char* name();
std::string version();
// What the library has registered: kernels, delegates, providers.
void describe(Fields& hello);
// Once in a process, before the first model.
void start();

// How long the steps of loading took. A runtime that does them as one gives only the first.
struct LoadTimes {
  double open_ms = 0;
  std::optional<double> prepare_ms;
};

class Model {
 public:
  // Reads the artifact and makes it ready. `threads` 0 leaves the number to the runtime.
  Model(const std::string& path, uint32_t threads);
  ~Model();
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  LoadTimes times() const;
  // Threads that one answer uses.
  uint64_t threads() const;
  // Takes a sample as the next one to run; refuses it when it does not fit the model. The sample
  // must live until another is taken.
  void take(std::vector<Tensor>& sample);
  // Runs the sample: nothing but the runtime's call, timed. Milliseconds.
  double run();
  // Writes what the last run answered.
  void write_answer(StreamWriter& writer) const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace edgekit::engine
