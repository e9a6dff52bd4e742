// What a process uses, read from the kernel: CPU time by its POSIX CPU clock, resident size from /proc.
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

 private:
  static constexpr int kSampleAgeMs = 50;

  pid_t pid_ = 0;
  clockid_t cpu_clock_ = 0;
  UniqueFd statm_;
  std::uint64_t resident_bytes_ = 0;
  MonotonicTime sampled_{};
};

}  // namespace liongate::supervision
