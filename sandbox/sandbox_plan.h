// Everything one sandbox needs, decided and opened by the launcher before the sandbox exists.
//
// Ownership and thread: owned by the launcher until the sandbox's pid 1 is cloned, which works on its own copy; the
// launcher then closes its side by destroying the plan.
#pragma once

#include <optional>
#include <vector>

#include "kernel/base/unique_fd.h"
#include "sandbox/cgroup.h"
#include "sandbox/grant_trees.h"
#include "sandbox/host_facts.h"
#include "sandbox/launch_protocol.h"

namespace liongate::sandbox {

struct SandboxPlan {
  LaunchRequest request;
  HostFacts host;
  HostIds ids{};
  PinnedGrants pinned;
  std::vector<UniqueFd> descriptors;  // become 0..n-1 of the program
  std::vector<UniqueFd> secrets;      // the values of request.secrets, in that order
  std::optional<Cgroup> cgroup;       // nothing: this host gives none, rlimits alone hold
  bool has_spare_network = false;     // made ahead by the launcher, set up already
};

}  // namespace liongate::sandbox
