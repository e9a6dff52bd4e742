// pid 1 of a sandbox, from its first instruction to the program's exec: the construction, as a list of verbs.
//
// It is a copy of the launcher by fork, so it allocates and uses our types freely: the launcher has one thread.
//
// Ownership and thread: runs in the cloned process and never returns.
#pragma once

#include "sandbox/sandbox_plan.h"

namespace liongate::sandbox {

// `channel` is the sandbox's end of its report socket.
[[noreturn]] void run_sandbox_init(SandboxPlan& plan, int channel);

}  // namespace liongate::sandbox
