// The resource limits every plugin lives under, whether or not the host has cgroups.
//
// Ownership and thread: constants; set_resource_limits acts on the calling process, errno tells a failure.
#pragma once

#include <cstdint>
#include <vector>

#include "sandbox/cgroup.h"
#include "sandbox/launch_protocol.h"

namespace liongate::sandbox {

inline constexpr std::uint64_t kDataBytesMaxDefault = 4ULL * 1024 * 1024 * 1024;
inline constexpr std::uint64_t kFileSizeBytesMaxDefault = 1024ULL * 1024 * 1024;
inline constexpr std::uint32_t kProcessesMaxDefault = 256;  // threads count too
inline constexpr std::uint32_t kProcessesMargin = 16;       // of the rlimit beside a control group
inline constexpr std::uint32_t kOpenFilesMaxDefault = 1024;
inline constexpr std::uint64_t kStackBytesMax = 8ULL * 1024 * 1024;
inline constexpr std::uint64_t kLockedBytesMax = 64ULL * 1024;
inline constexpr std::uint64_t kPendingSignalsMax = 1024;
// One byte, not none: with 0 the kernel would still start a core_pattern handler that is a pipe, on the host.
inline constexpr std::uint64_t kCoreBytesMax = 1;

// Who keeps memory and the number of processes. A control group tells when it was met, so the rlimits beside it are
// only wider: one that is met first would make the program fail in its own ways, and nobody would know why.
enum class LimitKeeper : std::uint8_t { kControlGroup, kResourceLimits };

// Sets soft and hard limits, all but that of open files; a hard limit that is lower already stays.
bool set_resource_limits(const LaunchRequest& request, LimitKeeper keeper);

// What the control group of such a launch allows; `devices` are those of its granted paths.
CgroupLimits cgroup_limits_of(const ResourceLimits& limits, std::vector<dev_t> devices);

// Apart, because it comes last: the filter's listener is one more descriptor for a moment. The filter knows the call.
bool set_open_files_limit(const LaunchRequest& request);

}  // namespace liongate::sandbox
