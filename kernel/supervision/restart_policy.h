// When a plugin that crashed is started again: a doubling backoff with jitter, and an end to trying.
//
// 100 ms, doubled to at most 60 s, +-20 %; back to the beginning after 10 minutes of health. More than
// limits::kRestartsPerMinuteMax crashes within 60 s: give up. An instance that got on with its work before it crashed
// (an observer that acknowledged events) is no loop: that crash does not count, and the wait is at most
// kRestartBackoffOfProgressMsMax. Ownership and thread: one a plugin; kernel thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <deque>
#include <optional>

#include "kernel/base/clock.h"
#include "kernel/base/limits.h"

namespace liongate::supervision {

inline constexpr int kRestartBackoffOfProgressMsMax = 5'000;

enum class Progress : std::uint8_t { kNone, kMade };

class RestartPolicy {
 public:
  // Notes a crash of an instance that became Ready at `started` (or never did: nothing). Returns how long to wait, or
  // nothing to give up. `jitter` is uniform in [0, 1).
  std::optional<std::chrono::milliseconds> on_crash(MonotonicTime now, std::optional<MonotonicTime> started,
                                                    double jitter, Progress progress = Progress::kNone);

  // A start by request: the past is forgotten.
  void reset() {
    crashes_.clear();
    backoff_ms_ = limits::kRestartBackoffMsMin;
  }

 private:
  std::deque<MonotonicTime> crashes_;
  int backoff_ms_ = limits::kRestartBackoffMsMin;
};

}  // namespace liongate::supervision
