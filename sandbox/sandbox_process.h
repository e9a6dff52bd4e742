// Creates the process that becomes a sandbox: one clone3 with all namespaces, its id maps, and the word to go on.
//
// Ownership and thread: called by the launcher's only thread; the descriptors are owned by the caller.
#pragma once

#include <sys/types.h>

#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"
#include "sandbox/network_spare.h"
#include "sandbox/sandbox_plan.h"

namespace liongate::sandbox {

struct SandboxProcess {
  pid_t pid = -1;    // pid 1 of the sandbox, as the launcher sees it
  UniqueFd pidfd;    // readable when it has ended
  UniqueFd channel;  // SetupRecords
};

// Errors are setup errors. On success the sandbox builds itself; nothing here waits for it.
// Uses up the spare network, where there is one.
Result<SandboxProcess> start_sandbox(SandboxPlan& plan, NetworkSpare& networks);

// A child process in new namespaces `flags` (CLONE_NEW*), as fork returns it; with a `cgroup_fd` it is born in that
// group. -1 and errno on failure.
pid_t clone_process(std::uint64_t flags, UniqueFd& pidfd, int cgroup_fd = -1);

}  // namespace liongate::sandbox
