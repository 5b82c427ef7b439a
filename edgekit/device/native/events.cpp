#include "events.h"

#include <cstdio>

namespace edgekit {
namespace {

// A message may quote a file name or a model's own strings: keep it short and plain ASCII.
constexpr size_t kLongestText = 1000;
constexpr size_t kLinesKept = 64 * 1024;
constexpr auto kBetweenFlushes = std::chrono::milliseconds(500);

std::mutex output;

std::string quoted(const std::string& text) {
  std::string line = "\"";
  for (unsigned char c : text.substr(0, kLongestText)) {
    if (c == '"' || c == '\\') {
      line += '\\';
      line += static_cast<char>(c);
    } else {
      line += c < 0x20 || c > 0x7e ? '?' : static_cast<char>(c);
    }
  }
  return line + '"';
}

std::string number(double value) {
  char text[40];
  std::snprintf(text, sizeof text, "%.4f", value);
  return text;
}

template <typename T, typename Text>
std::string list(const std::vector<T>& values, Text text) {
  std::string joined;
  for (const T& value : values) joined += (joined.empty() ? "" : ",") + text(value);
  return '[' + joined + ']';
}

void write(const std::string& lines) {
  std::lock_guard<std::mutex> lock(output);
  std::fwrite(lines.data(), 1, lines.size(), stdout);
  std::fflush(stdout);
}

}  // namespace

Fields& Fields::raw(const char* key, const std::string& json) {
  if (!text_.empty()) text_ += ',';
  text_ += quoted(key) + ':' + json;
  return *this;
}

Fields& Fields::add(const char* key, const std::string& value) { return raw(key, quoted(value)); }

Fields& Fields::add(const char* key, double value) { return raw(key, number(value)); }

Fields& Fields::add(const char* key, bool value) { return raw(key, value ? "true" : "false"); }

Fields& Fields::add(const char* key, uint64_t value) { return raw(key, std::to_string(value)); }

Fields& Fields::add(const char* key, int64_t value) { return raw(key, std::to_string(value)); }

Fields& Fields::add(const char* key, const std::vector<Fields>& objects) {
  return raw(key, list(objects, [](const Fields& object) { return object.object(); }));
}

Fields& Fields::add(const char* key, const std::vector<double>& values) {
  return raw(key, list(values, number));
}

Fields& Fields::add(const char* key, const std::vector<int64_t>& values) {
  return raw(key, list(values, [](int64_t value) { return std::to_string(value); }));
}

Fields event(const char* name) { return Fields().add("event", name); }

void send(const Fields& event) { write(event.object() + '\n'); }

void SampleLog::add(uint32_t index, uint64_t round, double ms) {
  const Fields line =
      event("sample").add("index", static_cast<uint64_t>(index)).add("round", round).add("ms", ms);
  lines_ += line.object() + '\n';
  const auto now = std::chrono::steady_clock::now();
  if (now - last_ < kBetweenFlushes && lines_.size() < kLinesKept) return;
  flush();
  last_ = now;
}

void SampleLog::flush() {
  if (!lines_.empty()) write(lines_);
  lines_.clear();
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
    send(event("heartbeat").add("sample", sample_.load()));
  }
}

}  // namespace edgekit
