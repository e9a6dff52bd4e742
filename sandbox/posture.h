// What confines one running sandbox, as people read it: one line a mechanism.
//
// Ownership and thread: pure function over plain values.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "sandbox/sandbox_plan.h"

namespace liongate::sandbox {

// `active` are the bits of Gained that the sandbox reported; `no_group_reason` says why it has no control group.
std::vector<Mechanism> posture_of(const SandboxPlan& plan, std::uint32_t active, const std::string& no_group_reason);

}  // namespace liongate::sandbox
