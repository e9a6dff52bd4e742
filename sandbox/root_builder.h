// The file system a plugin sees: a small read-only root with its grants, private temporary folders, /dev and /proc.
//
// Ownership and thread: runs in the sandbox's pid 1, inside its own mount namespace, with all capabilities of its own
// user namespace and none of the host's. A failure ends the process through the reporter.
#pragma once

#include "sandbox/landlock.h"
#include "sandbox/sandbox_plan.h"
#include "sandbox/setup_channel.h"

namespace liongate::sandbox {

inline constexpr std::uint64_t kRootBytesMax = 1024 * 1024;  // mount points, links and synthetic files
inline constexpr std::uint64_t kRootInodesMax = 4096;
inline constexpr std::uint64_t kTmpBytesMaxDefault = 64ULL * 1024 * 1024;  // /tmp and /dev/shm, each
inline constexpr std::uint64_t kTmpFilesMaxDefault = 16 * 1024;

// Builds the root and makes it the only file system there is. `rules`, already created, learn what was put into it.
// What comes back is to be kept open, closed on exec, until pid 2 has executed its program, and closed then: the kernel
// takes a mount apart with it.
UniqueFd build_root(SandboxPlan& plan, LandlockRules& rules, SetupReporter& reporter);

}  // namespace liongate::sandbox
