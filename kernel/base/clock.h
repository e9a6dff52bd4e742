// Time as the kernel sees it: an interface, so that tests can jump, and the system's own clocks behind it.
//
// Ownership and thread: implementations are stateless or thread-safe; one is made in main and outlives its users.
#pragma once

#include <time.h>

#include <chrono>
#include <cstdint>

namespace liongate {

using MonotonicTime = std::chrono::steady_clock::time_point;

class Clock {
 public:
  virtual ~Clock() = default;
  // Wall-clock time in nanoseconds since 1970 (UTC). May jump; never used for deadlines or order.
  virtual std::int64_t wall_ns() const = 0;
  // Monotonic time: for deadlines and durations.
  virtual MonotonicTime now() const = 0;
  // Monotonic, and goes on while the machine sleeps: what the wall clock is held against. Only differences mean
  // anything.
  virtual std::int64_t awake_or_asleep_ns() const {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(now().time_since_epoch()).count();
  }
};

class SystemClock final : public Clock {
 public:
  std::int64_t wall_ns() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  MonotonicTime now() const override { return std::chrono::steady_clock::now(); }
  std::int64_t awake_or_asleep_ns() const override {
    timespec time{};
    if (::clock_gettime(CLOCK_BOOTTIME, &time) != 0) return Clock::awake_or_asleep_ns();
    return static_cast<std::int64_t>(time.tv_sec) * 1'000'000'000 + time.tv_nsec;
  }
};

}  // namespace liongate
