// Which system calls a plugin may make, and why: the one table.
//
// Anything the table does not name does not exist (ENOSYS), so that programs fall back to what they did before. What
// it names as refused fails with an errno that says so. Nothing here kills: only a foreign call table does.
//
// Ownership and thread: constants and pure functions.
#pragma once

#include <linux/seccomp.h>

#include <cerrno>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "sandbox/bpf_compiler.h"

namespace liongate::sandbox {

enum class Grantable : std::uint8_t { kWithheld, kGranted };

struct Permissions {
  Grantable process = Grantable::kWithheld;  // fork, exec, wait, kill
  Grantable jit = Grantable::kWithheld;      // writable memory may become executable
};

enum class CallClass : std::uint8_t {
  kAllowed,
  kProcess,  // allowed with `process`, EPERM without
  kJit,      // allowed with `jit`, ENOSYS without
  kChecked,  // decided by its arguments
  kRefused,  // EPERM
  kAbsent,   // ENOSYS
};

struct CallTraits {
  std::uint32_t number;
  std::string_view name;
  CallClass call_class;
  std::string_view reason;
};

inline constexpr std::uint32_t kUnknownCallAnswer = SECCOMP_RET_ERRNO | ENOSYS;

// The table, sorted by number.
std::span<const CallTraits> syscall_table();

// The table as rules for the compiler. Without `process` one execveat is allowed, by its secret pointers: see
// program_start.h.
std::vector<SyscallRule> rules_for(Permissions permissions);

// Which argument of execveat each secret stands for.
inline constexpr int kSecretPath = 0;
inline constexpr int kSecretArguments = 1;
inline constexpr int kSecretEnvironment = 2;

}  // namespace liongate::sandbox
