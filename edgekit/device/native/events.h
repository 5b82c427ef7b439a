// The runner's voice: one JSON object a line on stdout, and the failures it can report.

#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>

namespace edgekit {

// Something that ends the run. `code` is stable; `status` is ExecuTorch's error number or 0.
class Failure : public std::runtime_error {
 public:
  Failure(std::string code, const std::string& message, uint32_t status = 0)
      : std::runtime_error(message), code(std::move(code)), status(status) {}

  std::string code;
  uint32_t status;
};

// Builds one line: Event("sample").add("index", 3).add("ms", 1.25).send().
class Event {
 public:
  explicit Event(const std::string& name);

  Event& add(const char* key, const std::string& value);
  Event& add(const char* key, double value);
  Event& add(const char* key, uint64_t value);
  // Writes the line whole and flushes it; safe from several threads.
  void send();

 private:
  Event& key(const char* name);

  std::string line_;
};

// Says every few seconds that the process is alive, until destroyed.
class Heartbeat {
 public:
  explicit Heartbeat(std::chrono::milliseconds period);
  ~Heartbeat();
  void at_sample(uint64_t index) { sample_ = index; }

 private:
  void beat(std::chrono::milliseconds period);

  std::atomic<uint64_t> sample_{0};
  std::mutex mutex_;
  std::condition_variable stopped_;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace edgekit
