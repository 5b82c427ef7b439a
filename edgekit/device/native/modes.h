// What a job can ask for. Each mode runs to its end, telling of it as events.

#pragma once

#include "engine.h"
#include "job.h"
#include "stream.h"

namespace edgekit {

struct Count {
  uint64_t samples = 0;
  uint64_t rounds = 0;
};

// The event about a model that has been loaded.
Fields loaded(uint64_t index, bool cold, const engine::LoadTimes& times, uint64_t threads);

// All samples at once, for rounds over them.
std::vector<std::vector<Tensor>> keep_all(StreamReader& reader);

// Of models that answer a sample in one call (one_pass.cpp).
Count goldens(const Job& job, StreamReader& reader, Heartbeat& heartbeat);
Count latency(const Job& job, StreamReader& reader, Heartbeat& heartbeat);
Count load(const Job& job, StreamReader& reader, Heartbeat& heartbeat);

// Of decoders (decoding.cpp). A sample is token ids, int64 [n] or [1, n].
//
// Goldens read the ids, and answer the logits [passes, vocabulary] of each pass: a second tensor,
// int64 [1], says how many ids the first pass reads, and then each is a pass of its own; all are one
// pass without it.
Count decoder_goldens(const Job& job, StreamReader& reader, Heartbeat& heartbeat);
Count decoder_load(const Job& job, StreamReader& reader, Heartbeat& heartbeat);
// Answers each prompt greedily, round after round, with an event `answer` for each.
Count generate(const Job& job, StreamReader& reader, Heartbeat& heartbeat);

}  // namespace edgekit
