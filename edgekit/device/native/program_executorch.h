// A loaded .pte: what the engine and the decoder share.

#pragma once

#include <executorch/extension/module/module.h>

#include "engine.h"

namespace edgekit::engine {

struct Program {
  // Loads forward(). `threads` 0 leaves the number to the runtime.
  Program(const std::string& path, uint32_t threads);

  executorch::extension::Module module;
  LoadTimes times;
  std::optional<executorch::runtime::MethodMeta> meta;
};

void require_ok(executorch::runtime::Error error, const char* doing);
uint64_t pool_threads();

}  // namespace edgekit::engine
