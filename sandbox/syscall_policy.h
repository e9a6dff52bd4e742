// Which system calls a plugin may make, and why: the one table.
//
// Anything the table does not name does not exist (ENOSYS), so that programs fall back to what they did before. What
// it names as refused is a denial: it fails with an errno that says so, and whoever supervises the sandbox hears of it
// first (denial_listener.h). Nothing here kills: only a foreign call table does.
//
// Ownership and thread: constants and pure functions.
#pragma once

#include <linux/seccomp.h>

#include <cerrno>
#include <compare>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "sandbox/bpf_compiler.h"

namespace liongate::sandbox {

enum class Grantable : std::uint8_t { kWithheld, kGranted };

enum class Paths : std::uint8_t { kUnseen, kShown };

struct Permissions {
  Grantable process = Grantable::kWithheld;   // fork, exec, wait, kill
  Grantable jit = Grantable::kWithheld;       // writable memory may become executable
  Grantable network = Grantable::kWithheld;   // sockets of the internet, in a network that leads to the gate alone
  Grantable any_port = Grantable::kWithheld;  // with `network`: datagrams, too, ring the doorbell, not connects alone
  Paths paths = Paths::kUnseen;               // learn mode: calls that name a path are shown first

  auto operator<=>(const Permissions&) const = default;
};

enum class CallClass : std::uint8_t {
  kAllowed,
  kProcess,  // allowed with `process`, denied with EPERM without
  kJit,      // allowed with `jit`, denied with ENOSYS without
  kNetwork,  // allowed with `network`, denied with EPERM without
  kChecked,  // decided by its arguments
  kRefused,  // denied with EPERM, whatever is granted
  kAbsent,   // ENOSYS, and nobody hears of it
};

struct CallTraits {
  std::uint32_t number;
  std::string_view name;
  CallClass call_class;
  std::string_view reason;
};

inline constexpr std::uint32_t kUnknownCallAnswer = SECCOMP_RET_ERRNO | ENOSYS;

// A denial. The kernel reads no data of this answer, so it carries the errno that the supervisor has to give; a filter
// without supervisor answers it itself (without_notification).
constexpr std::uint32_t denied_with(int sys_errno) {
  return SECCOMP_RET_USER_NOTIF | (static_cast<std::uint32_t>(sys_errno) & SECCOMP_RET_DATA);
}

// Not a denial: the call goes on once the doorbell has heard of it (doorbell.h). Without a supervisor it just goes on.
inline constexpr std::uint32_t kRingsDoorbell = denied_with(0);

// Not a denial either, or not yet: learn mode looks at the path, then the call has the answer that it has without learn
// mode (path_watch.h). Without a supervisor it is refused.
inline constexpr std::uint32_t kShowsPath = SECCOMP_RET_USER_NOTIF | SECCOMP_RET_DATA;

// The table, sorted by number.
std::span<const CallTraits> syscall_table();
const CallTraits* find_call(std::uint32_t number);

// The table as rules for the compiler. Without `process` one execveat is allowed, by its secret pointers: see
// program_start.h.
std::vector<SyscallRule> rules_for(Permissions permissions);

// Which argument of execveat each secret stands for.
inline constexpr int kSecretPath = 0;
inline constexpr int kSecretArguments = 1;
inline constexpr int kSecretEnvironment = 2;

}  // namespace liongate::sandbox
