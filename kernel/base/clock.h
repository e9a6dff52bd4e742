// Time as the kernel sees it: an interface, so that tests can jump, and the system's own clocks behind it.
//
// Ownership and thread: implementations are stateless or thread-safe; one is made in main and outlives its users.
#pragma once

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
};

class SystemClock final : public Clock {
 public:
  std::int64_t wall_ns() const override {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(std::chrono::system_clock::now().time_since_epoch())
        .count();
  }
  MonotonicTime now() const override { return std::chrono::steady_clock::now(); }
};

}  // namespace liongate
