// What a process uses, read from the kernel: CPU time by its POSIX CPU clock, resident size and its peak from /proc.
//
// Ownership and thread: one a process, used on the kernel thread; both reads are procfs or vDSO-like calls that never
// wait for a disk. Figures are 0 where the host does not let us look (hidepid, the process has gone).
#pragma once

#include <sys/types.h>
#include <time.h>

#include <cstdint>

#include "kernel/base/clock.h"
#include "kernel/base/unique_fd.h"

namespace liongate::supervision {

class ProcessMeter {
 public:
  ProcessMeter() = default;
  explicit ProcessMeter(pid_t pid);

  // CPU time of the process's threads since it began, in microseconds. Children are not in it.
  std::uint64_t cpu_time_us() const;

  // Resident size in bytes, at most kSampleAgeMs old: reading it costs more than a call may.
  std::uint64_t resident_bytes(MonotonicTime now);

  // The largest that it was since its start, as of the last sample.
  std::uint64_t peak_bytes() const { return peak_bytes_; }

 private:
  static constexpr int kSampleAgeMs = 50;

  pid_t pid_ = 0;
  clockid_t cpu_clock_ = 0;
  UniqueFd status_;
  std::uint64_t resident_bytes_ = 0;
  std::uint64_t peak_bytes_ = 0;
  MonotonicTime sampled_{};
};

// Divides the CPU time of one process among the calls that it has: while n calls are open, each is charged an n-th of
// what the process uses. The kernel counts by process and thread, and cannot tell which call a thread works for; so the
// parts add up to what was used, and a call alone is charged exactly its own.
class CpuShares {
 public:
  void begin_call(std::uint64_t cpu_time_us) {
    advance(cpu_time_us);
    ++calls_;
  }
  // Behind a charged_us() that says what the call is charged: reading the clock again would cost more than it tells.
  void end_call() {
    if (calls_ > 0) --calls_;
  }
  // What one call would have been charged that was open all the time, up to `cpu_time_us` of the process.
  std::uint64_t charged_us(std::uint64_t cpu_time_us) {
    advance(cpu_time_us);
    return charged_ns_ / 1000;
  }

 private:
  void advance(std::uint64_t cpu_time_us) {
    if (cpu_time_us <= last_us_) return;
    if (calls_ > 0) charged_ns_ += (cpu_time_us - last_us_) * 1000 / calls_;
    last_us_ = cpu_time_us;
  }

  std::uint64_t last_us_ = 0;
  std::uint64_t charged_ns_ = 0;
  std::uint64_t calls_ = 0;
};

}  // namespace liongate::supervision
