#include "sandbox/rlimits.h"

#include <sys/resource.h>

#include <algorithm>

namespace liongate::sandbox {
namespace {

bool set_limit(__rlimit_resource resource, std::uint64_t value) {
  rlimit current{};
  if (::getrlimit(resource, &current) != 0) return false;
  const rlim_t lowered = std::min<rlim_t>(value, current.rlim_max);
  const rlimit wanted{lowered, lowered};
  return ::setrlimit(resource, &wanted) == 0;
}

// SIGXCPU at the limit, so that the end tells its reason; SIGKILL a second later to whoever ignores it.
bool set_cpu_limit(std::uint64_t seconds) {
  rlimit current{};
  if (::getrlimit(RLIMIT_CPU, &current) != 0) return false;
  const rlimit wanted{std::min<rlim_t>(seconds, current.rlim_max), std::min<rlim_t>(seconds + 1, current.rlim_max)};
  return ::setrlimit(RLIMIT_CPU, &wanted) == 0;
}

constexpr int kBackgroundNiceness = 15;

template <typename T>
T or_default(T value, T otherwise) {
  return value != 0 ? value : otherwise;
}

// A program that makes code reserves far more address space than it uses: only what it can write is counted then.
bool set_memory_limits(const LaunchRequest& request, LimitKeeper keeper) {
  const std::uint64_t asked = request.limits.memory_bytes_max;
  if (keeper == LimitKeeper::kControlGroup) return set_limit(RLIMIT_DATA, std::max(asked, kDataBytesMaxDefault));
  if (!set_limit(RLIMIT_DATA, or_default(asked, kDataBytesMaxDefault))) return false;
  return asked == 0 || request.allow_jit || set_limit(RLIMIT_AS, asked);
}

}  // namespace

CgroupLimits cgroup_limits_of(const ResourceLimits& limits, std::vector<dev_t> devices) {
  CgroupLimits group;
  group.memory_bytes_max = or_default(limits.memory_bytes_max, kDataBytesMaxDefault);
  group.processes_max = or_default(limits.processes_max, kProcessesMaxDefault) + std::uint64_t{1};
  group.cpu_percent_max = limits.cpu_percent_max;
  group.io_bytes_per_second_max = limits.io_bytes_per_second_max;
  group.devices = std::move(devices);
  group.is_background = limits.is_background;
  return group;
}

bool set_resource_limits(const LaunchRequest& request, LimitKeeper keeper) {
  const ResourceLimits& limits = request.limits;
  if (limits.cpu_time_s_max != 0 && !set_cpu_limit(limits.cpu_time_s_max)) return false;
  // pid 1 counts as one of the user's processes, and is ours.
  std::uint64_t processes_max = or_default(limits.processes_max, kProcessesMaxDefault) + std::uint64_t{1};
  if (keeper == LimitKeeper::kControlGroup) processes_max += kProcessesMargin;
  return set_memory_limits(request, keeper) && set_limit(RLIMIT_NPROC, processes_max) &&
         set_limit(RLIMIT_FSIZE, or_default(limits.file_size_bytes_max, kFileSizeBytesMaxDefault)) &&
         set_limit(RLIMIT_STACK, kStackBytesMax) && set_limit(RLIMIT_MEMLOCK, kLockedBytesMax) &&
         set_limit(RLIMIT_SIGPENDING, kPendingSignalsMax) && set_limit(RLIMIT_CORE, kCoreBytesMax) &&
         set_limit(RLIMIT_MSGQUEUE, 0) && set_limit(RLIMIT_RTPRIO, 0) && set_limit(RLIMIT_NICE, 0) &&
         // It cannot take it back: that would need RLIMIT_NICE.
         (!limits.is_background || ::setpriority(PRIO_PROCESS, 0, kBackgroundNiceness) == 0);
}

bool set_open_files_limit(const LaunchRequest& request) {
  return set_limit(RLIMIT_NOFILE, or_default(request.limits.open_files_max, kOpenFilesMaxDefault));
}

}  // namespace liongate::sandbox
