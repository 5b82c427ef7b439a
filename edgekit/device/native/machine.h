// What the machine says about itself, and the two things that a job may ask of it. POSIX and Linux
// only, nothing of one C library: the same source is meant for Android's.

#pragma once

#include <string>
#include <vector>

#include "events.h"

namespace edgekit {

// The event with free memory, clocks and temperatures; `when` is before or after.
Fields environment(const char* when);
// The event with this process's memory.
Fields memory();
// Threads of this process.
uint64_t thread_count();
// The processor's architecture, as uname names it.
std::string architecture();

// Lets this process, and the threads that it starts, run on these processors only.
void stay_on(const std::vector<int>& cores);

// Asks the kernel to forget the file's pages, so that the next load reads the storage. Returns the
// part of the file that is in memory all the same, 0 to 1; empty where the kernel does not say.
std::optional<double> drop_from_cache(const std::string& path);

}  // namespace edgekit
