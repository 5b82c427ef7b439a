#include "events.h"

#include <cstdio>

namespace edgekit {
namespace {

// A message may quote a file name or a model's own strings: keep it short and plain ASCII.
constexpr size_t kLongestText = 1000;

std::mutex output;

void append_quoted(std::string& line, const std::string& text) {
  line += '"';
  for (unsigned char c : text.substr(0, kLongestText)) {
    if (c == '"' || c == '\\') {
      line += '\\';
      line += static_cast<char>(c);
    } else {
      line += c < 0x20 || c > 0x7e ? '?' : static_cast<char>(c);
    }
  }
  line += '"';
}

}  // namespace

Event::Event(const std::string& name) : line_("{") { add("event", name); }

Event& Event::key(const char* name) {
  if (line_.size() > 1) line_ += ',';
  append_quoted(line_, name);
  line_ += ':';
  return *this;
}

Event& Event::add(const char* name, const std::string& value) {
  key(name);
  append_quoted(line_, value);
  return *this;
}

Event& Event::add(const char* name, double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.3f", value);
  key(name).line_ += text;
  return *this;
}

Event& Event::add(const char* name, uint64_t value) {
  key(name).line_ += std::to_string(value);
  return *this;
}

void Event::send() {
  line_ += "}\n";
  std::lock_guard<std::mutex> lock(output);
  std::fwrite(line_.data(), 1, line_.size(), stdout);
  std::fflush(stdout);
}

Heartbeat::Heartbeat(std::chrono::milliseconds period)
    : thread_([this, period] { beat(period); }) {}

Heartbeat::~Heartbeat() {
  {
    std::lock_guard<std::mutex> lock(mutex_);
    stop_ = true;
  }
  stopped_.notify_all();
  thread_.join();
}

void Heartbeat::beat(std::chrono::milliseconds period) {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!stopped_.wait_for(lock, period, [this] { return stop_; })) {
    Event("heartbeat").add("sample", sample_.load()).send();
  }
}

}  // namespace edgekit
