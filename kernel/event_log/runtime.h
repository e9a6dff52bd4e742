// What the log asks of the process beyond storage and wall clock: threads, waiting, and numbers nobody can guess.
//
// The simulator of tests/event_log/simulation compiles this folder a second time with a twin of this header in front of
// it, whose threads take turns by a seed. So nothing here names std::mutex, std::thread or a random source but this
// file, and the daemon pays nothing for it.
//
// Ownership and thread: aliases and pure functions. No errors: without randomness there is no going on.
#pragma once

#include <sys/random.h>

#include <chrono>
#include <condition_variable>
#include <mutex>
#include <string>
#include <thread>

#include "kernel/base/assert.h"
#include "kernel/base/ids.h"

namespace liongate::event_log::runtime {

using Mutex = std::mutex;
using Condition = std::condition_variable;
using Thread = std::thread;
using SteadyClock = std::chrono::steady_clock;

inline std::uint64_t random_salt() {
  std::uint64_t salt = 0;
  LG_ASSERT(::getrandom(&salt, sizeof salt, 0) == static_cast<ssize_t>(sizeof salt));
  return salt;
}

inline std::string new_node_uuid() {
  return new_uuid();
}

}  // namespace liongate::event_log::runtime
