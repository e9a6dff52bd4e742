// What the launcher finds out about its host once, at its start, and every sandbox is built after.
//
// Ownership and thread: a plain value, made by the launcher's only thread before its first launch.
#pragma once

#include "sandbox/id_maps.h"

namespace liongate::sandbox {

struct HostFacts {
  HostMode mode = HostMode::kRootless;
  int landlock_abi = 0;  // 0: none
};

// Looks at the present process and kernel.
HostFacts find_host_facts();

}  // namespace liongate::sandbox
