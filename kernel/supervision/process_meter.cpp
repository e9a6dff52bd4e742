#include "kernel/supervision/process_meter.h"

#include <fcntl.h>
#include <time.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <string>

#include "kernel/base/sys.h"

namespace liongate::supervision {

namespace {

// "VmRSS:     1234 kB"; 0 where there is no such line: a process that is ending has no memory.
std::uint64_t kibibytes_behind(const char* text, const char* key) {
  const char* const line = std::strstr(text, key);
  return line == nullptr ? 0 : std::strtoull(line + std::strlen(key), nullptr, 10);
}

}  // namespace

ProcessMeter::ProcessMeter(pid_t pid) : pid_(pid) {
  if (::clock_getcpuclockid(pid, &cpu_clock_) != 0) pid_ = 0;
  if (auto fd = sys::open("/proc/" + std::to_string(pid) + "/status", O_RDONLY)) status_ = std::move(*fd);
}

std::uint64_t ProcessMeter::cpu_time_us() const {
  struct timespec time {};
  if (pid_ <= 0 || ::clock_gettime(cpu_clock_, &time) != 0) return 0;
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(time.tv_nsec) / 1000;
}

std::uint64_t ProcessMeter::resident_bytes(MonotonicTime now) {
  if (!status_ || (sampled_ != MonotonicTime{} && now - sampled_ < std::chrono::milliseconds(kSampleAgeMs))) {
    return resident_bytes_;
  }
  sampled_ = now;
  char text[4096];
  const ssize_t got = ::pread(status_.get(), text, sizeof text - 1, 0);
  if (got <= 0) return resident_bytes_;
  text[got] = '\0';
  resident_bytes_ = kibibytes_behind(text, "\nVmRSS:") * 1024;
  peak_bytes_ = std::max(peak_bytes_, std::max(kibibytes_behind(text, "\nVmHWM:") * 1024, resident_bytes_));
  return resident_bytes_;
}

}  // namespace liongate::supervision
