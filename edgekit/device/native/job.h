// The job file: what to run, on what, how often. edgekit/device/job.py writes it and says more.
//
//   edgekit-job 3
//   mode latency
//   runtime executorch
//   model model.pte
//   ...
//
// Version 2 has no `generate`, and none of context, tokens and eos; both are read.
//
// Small, ASCII, one `key value` a line, whole numbers, files by plain name: nothing in it can reach
// out of the working folder, and every number is held against a bound.

#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace edgekit {

enum class Mode { kGoldens, kLatency, kLoad, kGenerate };

struct Job {
  Mode mode = Mode::kGoldens;
  std::string runtime, model, inputs;
  std::string outputs;      // empty: none are written
  uint32_t threads = 0;     // 0: the runtime's own choice
  std::vector<int> cores;   // empty: all
  uint64_t warm_ups = 0;
  uint64_t runs = 1;
  uint64_t milliseconds = 0;
  uint64_t context = 0;      // 0: no decoder; else the most tokens in all
  uint64_t tokens = 0;       // of an answer, at most
  std::vector<int64_t> eos;  // ids that end an answer
};

// Reads the file; `runtime` is the one that this program has.
Job read_job(const std::string& path, const std::string& runtime);

}  // namespace edgekit
