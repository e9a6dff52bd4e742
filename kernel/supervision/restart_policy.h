// When a plugin that crashed is started again: a doubling backoff with jitter, and an end to trying.
//
// 100 ms, doubled to at most 60 s, +-20 %; back to the beginning after 10 minutes of health. More than
// limits::kRestartsPerMinuteMax crashes within 60 s: give up. Ownership and thread: one a plugin; kernel thread.
#pragma once

#include <chrono>
#include <deque>
#include <optional>

#include "kernel/base/clock.h"
#include "kernel/base/limits.h"

namespace liongate::supervision {

class RestartPolicy {
 public:
  // Notes a crash of an instance that became Ready at `started` (or never did: nothing). Returns how long to wait, or
  // nothing to give up. `jitter` is uniform in [0, 1).
  std::optional<std::chrono::milliseconds> on_crash(MonotonicTime now, std::optional<MonotonicTime> started,
                                                    double jitter);

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
