#include "sandbox/seccomp_filter.h"

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <map>

namespace liongate::sandbox {
namespace {

constexpr unsigned kNewListener = 1U << 3;  // SECCOMP_FILTER_FLAG_NEW_LISTENER, Linux 5.0
// SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV, Linux 5.19: a call that is being answered is not begun again by each signal,
// of which the Go runtime sends itself a hundred a second.
constexpr unsigned kWaitKillable = 1U << 5;

long load(const FilterProgram& program, unsigned flags) {
  const sock_fprog loaded{static_cast<unsigned short>(program.instructions.size()),
                          const_cast<sock_filter*>(program.instructions.data())};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &loaded);
}

}  // namespace

Permissions permissions_of(const LaunchRequest& request) {
  Permissions permissions;
  if (request.allow_processes) permissions.process = Grantable::kGranted;
  if (request.allow_jit) permissions.jit = Grantable::kGranted;
  if (request.allow_network) permissions.network = Grantable::kGranted;
  if (request.allow_any_port) permissions.any_port = Grantable::kGranted;
  if (request.watch_paths) permissions.paths = Paths::kShown;
  return permissions;
}

FilterProgram filter_for(Permissions permissions) {
  static std::map<Permissions, FilterProgram> cache;
  auto [entry, missing] = cache.try_emplace(permissions);
  if (missing) entry->second = compile_filter(rules_for(permissions), kUnknownCallAnswer);
  return entry->second;
}

FilterProgram reaper_filter() {
  std::vector<SyscallRule> rules;
  for (const auto number : {SYS_write, SYS_rt_sigreturn, SYS_exit, SYS_wait4, SYS_restart_syscall, SYS_exit_group}) {
    rules.push_back({static_cast<std::uint32_t>(number), 0, {{}}});
  }
  return compile_filter(rules, SECCOMP_RET_ERRNO | EPERM);
}

bool load_filter(const FilterProgram& program) {
  return load(program, 0) == 0;
}

FilterProgram without_notification(FilterProgram program) {
  for (sock_filter& instruction : program.instructions) {
    const bool notifies =
        instruction.code == (BPF_RET | BPF_K) && (instruction.k & SECCOMP_RET_ACTION_FULL) == SECCOMP_RET_USER_NOTIF;
    if (!notifies) continue;
    const std::uint32_t answer = instruction.k;
    instruction.k = SECCOMP_RET_ERRNO | (answer & SECCOMP_RET_DATA);
    if (answer == kRingsDoorbell) instruction.k = SECCOMP_RET_ALLOW;
    // Whether it may go on was for the supervisor to say.
    if (answer == kShowsPath) instruction.k = SECCOMP_RET_ERRNO | EPERM;
  }
  return program;
}

bool load_filter_with_listener(FilterProgram program, UniqueFd& listener) {
  // EINVAL: the kernel does not know a flag; EBUSY: a filter above us has a listener already.
  for (const unsigned flags : {kNewListener | kWaitKillable, kNewListener}) {
    listener.reset(static_cast<int>(load(program, flags)));
    if (listener.valid()) return true;
    if (errno != EINVAL && errno != EBUSY) return false;
  }
  return load_filter(without_notification(std::move(program)));
}

}  // namespace liongate::sandbox
