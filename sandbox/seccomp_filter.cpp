#include "sandbox/seccomp_filter.h"

#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <map>

namespace liongate::sandbox {

FilterProgram filter_for(Permissions permissions) {
  static std::map<std::pair<bool, bool>, FilterProgram> cache;
  const bool process = permissions.process == Grantable::kGranted;
  const bool jit = permissions.jit == Grantable::kGranted;
  auto [entry, missing] = cache.try_emplace({process, jit});
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
  const sock_fprog loaded{static_cast<unsigned short>(program.instructions.size()),
                          const_cast<sock_filter*>(program.instructions.data())};
  return ::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &loaded) == 0;
}

}  // namespace liongate::sandbox
