// What the arguments of a checked system call must be; the calls themselves are listed in syscall_policy.cpp.
//
// Ownership and thread: pure functions over plain values.
#pragma once

#include <cstdint>
#include <vector>

#include "sandbox/syscall_policy.h"

namespace liongate::sandbox {

struct Checked {
  std::uint32_t otherwise;                // SECCOMP_RET_*
  std::vector<Alternative> alternatives;  // allowed when one of them holds
};

// The check of call `number`, whose class in the table is kChecked.
Checked checked_call(std::uint32_t number, Permissions permissions);

// Which arguments of call `number` decide, in ascending order: flags and the like, never pointers. None for a call that
// is never checked.
std::vector<std::uint8_t> deciding_arguments(std::uint32_t number);

}  // namespace liongate::sandbox
