// The filter of one plugin, ready to load: compiled once for each set of permissions, completed with fresh secrets.
//
// Ownership and thread: the cache belongs to the launcher's only thread; the sandbox's processes use their copy by
// fork.
#pragma once

#include "sandbox/bpf_compiler.h"
#include "sandbox/syscall_policy.h"

namespace liongate::sandbox {

// A copy of the compiled program of `permissions`.
FilterProgram filter_for(Permissions permissions);

// The filter of pid 1: wait, write, exit.
FilterProgram reaper_filter();

// Loads `program` for the calling thread, for good. errno tells a failure.
bool load_filter(const FilterProgram& program);

}  // namespace liongate::sandbox
