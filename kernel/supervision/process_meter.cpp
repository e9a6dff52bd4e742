#include "kernel/supervision/process_meter.h"

#include <fcntl.h>
#include <time.h>

#include <cstdio>
#include <string>

#include "kernel/base/sys.h"

namespace liongate::supervision {

ProcessMeter::ProcessMeter(pid_t pid) : pid_(pid) {
  if (::clock_getcpuclockid(pid, &cpu_clock_) != 0) pid_ = 0;
  if (auto fd = sys::open("/proc/" + std::to_string(pid) + "/statm", O_RDONLY)) statm_ = std::move(*fd);
}

std::uint64_t ProcessMeter::cpu_time_us() const {
  struct timespec time {};
  if (pid_ <= 0 || ::clock_gettime(cpu_clock_, &time) != 0) return 0;
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(time.tv_nsec) / 1000;
}

std::uint64_t ProcessMeter::resident_bytes(MonotonicTime now) {
  if (!statm_ || (sampled_ != MonotonicTime{} && now - sampled_ < std::chrono::milliseconds(kSampleAgeMs))) {
    return resident_bytes_;
  }
  sampled_ = now;
  char text[128];
  const ssize_t got = ::pread(statm_.get(), text, sizeof text - 1, 0);
  if (got <= 0) return resident_bytes_;
  text[got] = '\0';
  unsigned long long size_pages = 0;
  unsigned long long resident_pages = 0;
  if (std::sscanf(text, "%llu %llu", &size_pages, &resident_pages) == 2) {
    resident_bytes_ = resident_pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  }
  return resident_bytes_;
}

}  // namespace liongate::supervision
