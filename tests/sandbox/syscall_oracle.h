// A second opinion on every system call: what the filter has to answer, written down from security.md section 3 and the
// classes of the table, in plain conditions. It shares neither rules nor compiler with what it judges; only the class
// of a call comes from the table.
//
// Ownership and thread: pure functions.
#pragma once

#include <array>
#include <cstdint>

#include "sandbox/syscall_policy.h"

namespace liongate::sandbox::testing {

// The three secrets of the first exec, as the filter under test was filled with them.
using Secrets = std::array<std::uint64_t, kSecretsMax>;

// SECCOMP_RET_* with data. `nr` and `arch` as the kernel gives them.
std::uint32_t right_answer(const seccomp_data& call, Permissions permissions, const Secrets& secrets);

}  // namespace liongate::sandbox::testing
