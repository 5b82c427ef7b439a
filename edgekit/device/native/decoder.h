// A decoder as the runner sees it, whatever keeps its cache: the program itself in a .pte, the runner
// for an .onnx. One implementation is linked, as with engine.h.

#pragma once

#include "engine.h"

namespace edgekit::engine {

class Decoder {
 public:
  // Reads the artifact; `context` is the most tokens in all, and refused when the model has fewer.
  Decoder(const std::string& path, uint32_t threads, uint64_t context);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  LoadTimes times() const;
  uint64_t threads() const;
  // Number of token ids.
  uint64_t vocabulary() const;

  // Reads tokens from `position` on: 0, which forgets all that was read, or where the last feed ended.
  // The caller sees to it that all fits the context and that ids are below the vocabulary.
  void feed(const int64_t* ids, size_t count, uint64_t position);
  // What may follow the last token read, `vocabulary` floats, until the next feed.
  const float* logits() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace edgekit::engine
