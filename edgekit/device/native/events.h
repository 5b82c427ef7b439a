// The runner's voice: one JSON object a line on stdout, and the failures it can report.

#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace edgekit {

// Something that ends the run. `code` is stable; `status` is the runtime's error number or 0.
class Failure : public std::runtime_error {
 public:
  Failure(std::string code, const std::string& message, uint32_t status = 0)
      : std::runtime_error(message), code(std::move(code)), status(status) {}

  std::string code;
  uint32_t status;
};

// The members of one JSON object. An empty optional is null.
class Fields {
 public:
  Fields& add(const char* key, const std::string& value);
  Fields& add(const char* key, double value);
  Fields& add(const char* key, bool value);
  Fields& add(const char* key, uint64_t value);
  Fields& add(const char* key, int64_t value);
  Fields& add(const char* key, const std::vector<Fields>& objects);
  Fields& add(const char* key, const std::vector<double>& values);
  Fields& add(const char* key, const std::vector<int64_t>& values);
  template <typename T>
  Fields& add(const char* key, const std::optional<T>& value) {
    return value ? add(key, *value) : raw(key, "null");
  }
  Fields& add(const char* key, const char* value) { return add(key, std::string(value)); }

  std::string object() const { return '{' + text_ + '}'; }

 private:
  Fields& raw(const char* key, const std::string& json);

  std::string text_;
};

// Starts the members of an event: send(event("sample").add("index", 3).add("ms", 1.25)).
Fields event(const char* name);
// Writes the line whole and flushes it; safe from several threads.
void send(const Fields& event);

// Times of samples, written together now and then, so that no timed call waits for a reader.
class SampleLog {
 public:
  ~SampleLog() { flush(); }
  // Between two timed calls only.
  void add(uint32_t index, uint64_t round, double ms);
  void flush();

 private:
  std::string lines_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
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
