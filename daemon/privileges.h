// Gives root up: the daemon that talks to clients and plugins needs no privilege once the launcher runs.
//
// Ownership and thread: called once by the main thread before any other exists.
#pragma once

#include <sys/types.h>

#include <string>
#include <vector>

#include "kernel/base/result.h"

namespace liongate::daemon {

inline constexpr const char* kServiceUser = "liongate";

// As root: hands `state_dir` (and what is directly in it and in its log folder) and `socket` to the user `liongate` if
// it exists and becomes that user; otherwise stays uid 0 without any capability. As another user: nothing to do.
Result<void> give_up_privileges(const std::string& state_dir, const std::string& socket);

// From here on no core of this process is written, and nobody but root looks into its memory: inputs, outputs and
// secrets of plugins pass through it. Programs that it starts have no core either, and are looked into as usual.
Result<void> refuse_core_dumps();

// Rootless a plugin keeps the groups of the daemon's user, because the kernel forbids dropping them. Fails
// (kSandboxUnavailable) where one of them is as good as root and `allow_degraded` does not name ordinary_groups.
Result<void> refuse_privileged_groups(const std::vector<std::string>& allow_degraded);

}  // namespace liongate::daemon
