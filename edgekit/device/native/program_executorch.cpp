#include "program_executorch.h"

#include "clock.h"

// The wheel has the thread pool's library but not its header: these are the two members used here.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  size_t get_thread_count() const;
  bool _unsafe_reset_threadpool(uint32_t new_thread_count);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

namespace edgekit::engine {

using executorch::extension::Module;
using executorch::runtime::Error;

void require_ok(Error error, const char* doing) {
  if (error == Error::Ok) return;
  throw Failure("executorch", std::string(doing) + ": " + executorch::runtime::to_string(error),
                static_cast<uint32_t>(error));
}

uint64_t pool_threads() {
  return executorch::extension::threadpool::get_threadpool()->get_thread_count();
}

Program::Program(const std::string& path, uint32_t threads) : module(path, Module::LoadMode::Mmap) {
  // The threads must be set before a delegate takes the pool.
  auto* pool = executorch::extension::threadpool::get_threadpool();
  if (threads != 0 && pool->get_thread_count() != threads &&
      !pool->_unsafe_reset_threadpool(threads)) {
    throw Failure("executorch", "the thread pool cannot be resized");
  }
  const auto start = Clock::now();
  require_ok(module.load(executorch::runtime::Program::Verification::InternalConsistency),
             "loading the program");
  times.open_ms = ms_since(start);
  const auto opened = Clock::now();
  require_ok(module.load_forward(), "loading forward()");
  times.prepare_ms = ms_since(opened);
  auto found = module.method_meta("forward");
  require_ok(found.error(), "reading forward()'s signature");
  meta.emplace(*found);
}

}  // namespace edgekit::engine
