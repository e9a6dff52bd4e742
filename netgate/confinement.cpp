#include "netgate/confinement.h"

#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "sandbox/bpf_compiler.h"
#include "sandbox/privileges.h"
#include "sandbox/seccomp_filter.h"

namespace liongate::netgate {
namespace {

using sandbox::Condition;
using sandbox::SyscallRule;
using sandbox::Width;

Condition equals(std::uint8_t argument, std::uint32_t value, std::uint32_t mask = 0xffffffff) {
  return {argument, Width::kLow32, mask, value};
}

// What Asio, c-ares, protobuf and malloc call once everything is open. Nothing that takes a path.
// clang-format off
constexpr std::array kAllowed{
    SYS_read, SYS_write, SYS_close, SYS_fstat, SYS_poll, SYS_lseek, SYS_munmap, SYS_brk, SYS_rt_sigaction,
    SYS_rt_sigprocmask, SYS_rt_sigreturn, SYS_readv, SYS_writev, SYS_madvise, SYS_getpid, SYS_connect, SYS_accept,
    SYS_sendto, SYS_recvfrom, SYS_sendmsg, SYS_recvmsg, SYS_shutdown, SYS_bind, SYS_getsockname, SYS_getpeername,
    SYS_setsockopt, SYS_getsockopt, SYS_exit, SYS_gettid, SYS_time, SYS_futex, SYS_epoll_wait, SYS_epoll_ctl,
    SYS_tgkill, SYS_epoll_pwait, SYS_accept4, SYS_timerfd_settime, SYS_clock_gettime, SYS_clock_nanosleep,
    SYS_gettimeofday, SYS_getrandom, SYS_exit_group, SYS_restart_syscall, SYS_mremap, SYS_sched_yield, SYS_getrusage,
};
// clang-format on

std::vector<SyscallRule> rules() {
  std::vector<SyscallRule> rules;
  for (const auto number : kAllowed) {
    rules.push_back({static_cast<std::uint32_t>(number), 0, {{}}});
  }
  const auto checked = [&rules](long number, std::vector<sandbox::Alternative> alternatives) {
    rules.push_back({static_cast<std::uint32_t>(number), SECCOMP_RET_ERRNO | EPERM, std::move(alternatives)});
  };
  constexpr std::uint32_t kTypeMask = 0xf;
  std::vector<sandbox::Alternative> sockets;
  for (const std::uint32_t family : {AF_INET, AF_INET6}) {
    for (const std::uint32_t type : {SOCK_STREAM, SOCK_DGRAM}) {
      sockets.push_back({equals(0, family), equals(1, type, kTypeMask)});
    }
  }
  checked(SYS_socket, std::move(sockets));
  checked(SYS_mmap, {{equals(2, 0, PROT_EXEC)}});
  checked(SYS_mprotect, {{equals(2, 0, PROT_EXEC)}});
  constexpr std::uint32_t kFionbio = 0x5421;
  constexpr std::uint32_t kFionread = 0x541b;
  checked(SYS_ioctl, {{equals(1, kFionbio)}, {equals(1, kFionread)}});
  constexpr std::uint32_t kGetFlags = 3;
  constexpr std::uint32_t kSetFlags = 4;
  constexpr std::uint32_t kSetDescriptorFlags = 2;
  checked(SYS_fcntl, {{equals(1, kGetFlags)}, {equals(1, kSetFlags)}, {equals(1, kSetDescriptorFlags)}});
  std::ranges::sort(rules, {}, &SyscallRule::number);
  return rules;
}

// Who has none cannot give any up, and need not.
bool has_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  std::array<__user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return true;
  return (data[0].permitted | data[1].permitted) != 0;
}

bool set_limit(__rlimit_resource resource, rlim_t value) {
  const rlimit limit{value, value};
  return ::setrlimit(resource, &limit) == 0;
}

}  // namespace

Result<void> confine() {
  const auto failed = [](const char* step) {
    return make_errno_error(Reason::kSandboxUnavailable, std::string("liongate-netgate: ") + step, errno);
  };
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) == 0) {
    files.rlim_cur = files.rlim_max;  // two for each connection of each plugin
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
  if (!set_limit(RLIMIT_CORE, 0) || !set_limit(RLIMIT_NPROC, 0)) return failed("limits");
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return failed("dumpable");
  if (has_capabilities() && !sandbox::drop_all_capabilities()) return failed("capabilities");
  if (!sandbox::set_no_new_privileges()) return failed("no new privileges");
  if (!sandbox::load_filter(sandbox::compile_filter(rules(), SECCOMP_RET_ERRNO | ENOSYS))) return failed("filter");
  return {};
}

}  // namespace liongate::netgate
