// The filter of one plugin, ready to load: compiled once for each set of permissions, completed with fresh secrets.
//
// Ownership and thread: the cache belongs to the launcher's only thread; the sandbox's processes use their copy by
// fork.
#pragma once

#include "kernel/base/unique_fd.h"
#include "sandbox/bpf_compiler.h"
#include "sandbox/launch_protocol.h"
#include "sandbox/syscall_policy.h"

namespace liongate::sandbox {

// What of the permissions of a launch the filter knows.
Permissions permissions_of(const LaunchRequest& request);

// A copy of the compiled program of `permissions`.
FilterProgram filter_for(Permissions permissions);

// The filter of pid 1: wait, write, exit.
FilterProgram reaper_filter();

// Loads `program` for the calling thread, for good. errno tells a failure.
bool load_filter(const FilterProgram& program);

// The same answers, given by the kernel alone: what would be reported first is refused silently.
FilterProgram without_notification(FilterProgram program);

// Loads `program` with a listener for what it denies (close-on-exec). `listener` stays empty where the kernel or the
// filter we live under ourselves knows none; what is denied is then refused silently. errno tells a failure.
bool load_filter_with_listener(FilterProgram program, UniqueFd& listener);

}  // namespace liongate::sandbox
