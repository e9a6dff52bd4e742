// The resource limits every plugin lives under, whether or not the host has cgroups.
//
// Ownership and thread: constants; set_resource_limits acts on the calling process, errno tells a failure.
#pragma once

#include <cstdint>

#include "sandbox/launch_protocol.h"

namespace liongate::sandbox {

inline constexpr std::uint64_t kDataBytesMaxDefault = 4ULL * 1024 * 1024 * 1024;
inline constexpr std::uint64_t kFileSizeBytesMaxDefault = 1024ULL * 1024 * 1024;
inline constexpr std::uint32_t kProcessesMaxDefault = 256;  // threads count too
inline constexpr std::uint32_t kOpenFilesMaxDefault = 1024;
inline constexpr std::uint64_t kStackBytesMax = 8ULL * 1024 * 1024;
inline constexpr std::uint64_t kLockedBytesMax = 64ULL * 1024;
inline constexpr std::uint64_t kPendingSignalsMax = 1024;
// One byte, not none: with 0 the kernel would still start a core_pattern handler that is a pipe, on the host.
inline constexpr std::uint64_t kCoreBytesMax = 1;

// Sets soft and hard limits; a hard limit that is lower already stays.
bool set_resource_limits(const LaunchRequest& request);

}  // namespace liongate::sandbox
