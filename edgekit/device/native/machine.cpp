#include "machine.h"

#include <dirent.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>

namespace edgekit {
namespace {

constexpr int kMostCpus = 64;
constexpr int kMostZones = 100;
constexpr size_t kLongestName = 64;
constexpr size_t kMostBytes = 8192;

// At most 8 KiB of a file of /proc or /sys; empty when it cannot be read.
std::string read(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return "";
  std::string content(kMostBytes, '\0');
  size_t size = 0;
  while (size < content.size()) {
    const ssize_t count = ::read(file, content.data() + size, content.size() - size);
    if (count <= 0) break;
    size += static_cast<size_t>(count);
  }
  close(file);
  content.resize(size);
  return content;
}

std::optional<int64_t> leading_number(const std::string& text, size_t from = 0) {
  from = text.find_first_not_of(" \t", from);
  if (from == std::string::npos) return {};
  int64_t value = 0;
  const auto parsed = std::from_chars(text.data() + from, text.data() + text.size(), value);
  return parsed.ec == std::errc() ? std::optional(value) : std::nullopt;
}

// The number behind `key` ("VmRSS:"), at the start of some line.
std::optional<int64_t> field(const std::string& text, const std::string& key) {
  size_t at = 0;
  while ((at = text.find(key, at)) != std::string::npos) {
    if (at == 0 || text[at - 1] == '\n') return leading_number(text, at + key.size());
    at += key.size();
  }
  return {};
}

std::optional<int64_t> number_in(const std::string& path) { return leading_number(read(path)); }

// The first line of a file, bounded; empty optional when there is none.
std::optional<std::string> word_in(const std::string& path) {
  const std::string text = read(path);
  const std::string line = text.substr(0, std::min(text.find('\n'), kLongestName));
  return line.empty() ? std::nullopt : std::optional(line);
}

std::vector<Fields> cpus() {
  std::vector<Fields> found;
  for (int cpu = 0; cpu < kMostCpus; ++cpu) {
    const std::string folder = "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
    if (access(folder.c_str(), F_OK) != 0) continue;
    found.push_back(Fields()
                        .add("cpu", static_cast<int64_t>(cpu))
                        .add("khz", number_in(folder + "/cpufreq/scaling_cur_freq"))
                        // What it may run at now: a hot phone lowers this limit.
                        .add("max_khz", number_in(folder + "/cpufreq/scaling_max_freq"))
                        .add("governor", word_in(folder + "/cpufreq/scaling_governor")));
  }
  return found;
}

std::vector<Fields> thermal_zones() {
  std::vector<Fields> found;
  for (int zone = 0; zone < kMostZones; ++zone) {
    const std::string folder = "/sys/class/thermal/thermal_zone" + std::to_string(zone);
    const auto heat = number_in(folder + "/temp");
    if (!heat) continue;
    found.push_back(
        Fields().add("zone", word_in(folder + "/type")).add("milli_celsius", heat));
  }
  return found;
}

}  // namespace

Fields environment(const char* when) {
  return event("environment")
      .add("when", when)
      .add("mem_available_kb", field(read("/proc/meminfo"), "MemAvailable:"))
      .add("cpus", cpus())
      .add("thermal", thermal_zones());
}

Fields memory() {
  const std::string status = read("/proc/self/status");
  return event("memory")
      .add("vm_hwm_kb", field(status, "VmHWM:"))
      .add("rss_kb", field(status, "VmRSS:"))
      .add("pss_kb", field(read("/proc/self/smaps_rollup"), "Pss:"));
}

uint64_t thread_count() {
  DIR* folder = opendir("/proc/self/task");
  if (folder == nullptr) return 0;
  uint64_t count = 0;
  while (const dirent* entry = readdir(folder)) count += entry->d_name[0] != '.';
  closedir(folder);
  return count;
}

std::string architecture() {
  struct utsname name{};
  return uname(&name) == 0 ? name.machine : "unknown";
}

void stay_on(const std::vector<int>& cores) {
  if (cores.empty()) return;
  cpu_set_t wanted;
  cpu_set_t got;
  CPU_ZERO(&wanted);
  for (const int core : cores) CPU_SET(core, &wanted);
  // The kernel leaves out in silence what is not there, so the answer is read back.
  if (sched_setaffinity(0, sizeof wanted, &wanted) != 0 ||
      sched_getaffinity(0, sizeof got, &got) != 0) {
    throw Failure("cores", std::string("the cores cannot be chosen: ") + std::strerror(errno));
  }
  for (const int core : cores) {
    if (!CPU_ISSET(core, &got)) {
      throw Failure("cores", "core " + std::to_string(core) + " is not there or may not be used");
    }
  }
}

std::optional<double> drop_from_cache(const std::string& path) {
  const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (file < 0) return {};
  struct stat info{};
  std::optional<double> kept;
  fsync(file);  // pages that wait to be written cannot be dropped
  if (fstat(file, &info) == 0 && info.st_size > 0 &&
      posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED) == 0) {
    const auto size = static_cast<size_t>(info.st_size);
    void* mapped = mmap(nullptr, size, PROT_NONE, MAP_SHARED, file, 0);
    if (mapped != MAP_FAILED) {
      const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
      std::vector<unsigned char> pages((size + page - 1) / page);
      if (mincore(mapped, size, pages.data()) == 0) {
        const auto in = std::count_if(pages.begin(), pages.end(), [](auto p) { return p & 1; });
        kept = static_cast<double>(in) / static_cast<double>(pages.size());
      }
      munmap(mapped, size);
    }
  }
  close(file);
  return kept;
}

}  // namespace edgekit
