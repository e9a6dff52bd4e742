// What the launcher finds out about its host once, at its start, and every sandbox is built after.
//
// Ownership and thread: a plain value, made by the launcher's only thread before its first launch.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "sandbox/id_maps.h"

namespace liongate::sandbox {

struct HostFacts {
  HostMode mode = HostMode::kRootless;
  int landlock_abi = 0;  // 0: none
  bool runs_from_sealed_memory = false;
  std::vector<std::string> privileged_groups;  // rootless: of the daemon's user
  std::vector<std::string> allow_degraded;     // mechanisms that the operator does without, as he names them

  // `row` as posture and host check call it: "session keyring" is allowed as session_keyring.
  bool is_allowed_degraded(std::string_view row) const;
};

// Looks at the present process and kernel. `allow_degraded` is a list with commas.
HostFacts find_host_facts(std::string_view allow_degraded);

}  // namespace liongate::sandbox
