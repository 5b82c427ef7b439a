#include "job.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <map>
#include <memory>

#include "events.h"

namespace edgekit {
namespace {

constexpr size_t kMostBytes = 4096;
constexpr size_t kLongestName = 100;
constexpr uint64_t kMostThreads = 256;
constexpr size_t kMostCores = 64;
constexpr uint64_t kMostCore = 1023;
constexpr uint64_t kMostWarmUps = 10'000;
constexpr uint64_t kMostRuns = 10'000'000;
constexpr uint64_t kMostMilliseconds = 86'400'000;
constexpr uint64_t kMostContext = 1u << 20;
constexpr uint64_t kMostTokens = 2048;  // so that an event about all of them stays a short line
constexpr size_t kMostEos = 16;
constexpr uint64_t kMostId = (1u << 30) - 1;

[[noreturn]] void refuse(const std::string& why) { throw Failure("job", "job file: " + why); }

std::string content_of(const std::string& path) {
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"), std::fclose);
  if (!file) throw Failure("missing", "cannot open " + path + ": " + std::strerror(errno));
  struct stat info{};
  if (fstat(fileno(file.get()), &info) != 0 || !S_ISREG(info.st_mode)) {
    throw Failure("missing", path + " is not a regular file");
  }
  std::string content(kMostBytes + 1, '\0');
  content.resize(std::fread(content.data(), 1, content.size(), file.get()));
  if (content.size() > kMostBytes) refuse("more than 4096 bytes");
  return content;
}

// The lines; each must end, and hold printable ASCII only.
std::vector<std::string> lines_of(const std::string& content) {
  std::vector<std::string> lines(1);
  for (unsigned char c : content) {
    if (c == '\n') {
      lines.emplace_back();
    } else if (c < 0x20 || c > 0x7e) {
      refuse("a byte that is not printable ASCII");
    } else {
      lines.back() += static_cast<char>(c);
    }
  }
  if (!lines.back().empty()) refuse("the last line does not end");
  lines.pop_back();
  return lines;
}

uint64_t number(const std::string& text, uint64_t least, uint64_t most, const std::string& what) {
  uint64_t value = 0;
  const auto end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, value);
  if (parsed.ec != std::errc() || parsed.ptr != end || value < least || value > most) {
    refuse(what + " takes a number from " + std::to_string(least) + " to " + std::to_string(most) +
           ", not " + text);
  }
  return value;
}

std::string name(const std::string& text, const std::string& what) {
  const std::string plain =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-";
  if (text.empty() || text.size() > kLongestName || text[0] == '.' || text[0] == '-' ||
      text.find_first_not_of(plain) != std::string::npos) {
    refuse(what + " takes a plain file name, not " + text);
  }
  return text;
}

// Numbers with a space between.
template <typename T>
std::vector<T> numbers(const std::string& text, uint64_t most, size_t count, const char* what) {
  std::vector<T> found;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find(' ', begin), text.size());
    found.push_back(static_cast<T>(number(text.substr(begin, end - begin), 0, most, what)));
    if (found.size() > count) refuse("more than " + std::to_string(count) + ' ' + what);
    begin = end + 1;
  }
  return found;
}

Mode mode(const std::string& text) {
  if (text == "goldens") return Mode::kGoldens;
  if (text == "latency") return Mode::kLatency;
  if (text == "load") return Mode::kLoad;
  if (text == "generate") return Mode::kGenerate;
  refuse("unknown mode " + text);
}

void set(Job& job, const std::string& key, const std::string& value) {
  if (key == "mode") {
    job.mode = mode(value);
  } else if (key == "runtime") {
    job.runtime = value;
  } else if (key == "model") {
    job.model = name(value, key);
  } else if (key == "inputs") {
    job.inputs = name(value, key);
  } else if (key == "outputs") {
    job.outputs = name(value, key);
  } else if (key == "threads") {
    job.threads = static_cast<uint32_t>(number(value, 1, kMostThreads, key));
  } else if (key == "cores") {
    job.cores = numbers<int>(value, kMostCore, kMostCores, "cores");
  } else if (key == "warm_ups") {
    job.warm_ups = number(value, 0, kMostWarmUps, key);
  } else if (key == "runs") {
    job.runs = number(value, 1, kMostRuns, key);
  } else if (key == "milliseconds") {
    job.milliseconds = number(value, 0, kMostMilliseconds, key);
  } else if (key == "context") {
    job.context = number(value, 1, kMostContext, key);
  } else if (key == "tokens") {
    job.tokens = number(value, 1, kMostTokens, key);
  } else if (key == "eos") {
    job.eos = numbers<int64_t>(value, kMostId, kMostEos, "eos");
  } else {
    refuse("unknown key " + key);
  }
}

void refuse_contradictions(const Job& job, bool version_2) {
  const bool generates = job.mode == Mode::kGenerate;
  if (version_2 && (generates || job.context != 0 || job.tokens != 0 || !job.eos.empty())) {
    refuse("decoders need edgekit-job 3");
  }
  if (job.model == job.inputs || job.model == job.outputs || job.inputs == job.outputs) {
    refuse("two files of one name");
  }
  if (job.mode == Mode::kGoldens && job.outputs.empty()) refuse("goldens without outputs");
  if (job.mode == Mode::kLoad && !job.outputs.empty()) refuse("loading writes no outputs");
  if (job.mode == Mode::kLatency && job.context != 0) refuse("a decoder is timed by generate");
  if (generates && (job.context == 0 || job.tokens == 0)) {
    refuse("generate needs context and tokens");
  }
  if (!generates && (job.tokens != 0 || !job.eos.empty())) {
    refuse("tokens and eos are of generate");
  }
}

}  // namespace

Job read_job(const std::string& path, const std::string& runtime) {
  const auto lines = lines_of(content_of(path));
  const std::string header = lines.empty() ? "" : lines[0];
  if (header != "edgekit-job 2" && header != "edgekit-job 3") {
    refuse("the first line is not edgekit-job 2 or 3");
  }
  Job job;
  std::map<std::string, bool> seen;
  for (size_t i = 1; i < lines.size(); ++i) {
    const size_t space = lines[i].find(' ');
    if (space == std::string::npos) refuse("a line without a value: " + lines[i]);
    const std::string key = lines[i].substr(0, space);
    if (seen[key]) refuse("two lines for " + key);
    seen[key] = true;
    set(job, key, lines[i].substr(space + 1));
  }
  for (const char* key : {"mode", "runtime", "model", "inputs"}) {
    if (!seen[key]) refuse(std::string("no line for ") + key);
  }
  if (job.runtime != runtime) refuse("it is for " + job.runtime + ", this runner has " + runtime);
  refuse_contradictions(job, header == "edgekit-job 2");
  return job;
}

}  // namespace edgekit
