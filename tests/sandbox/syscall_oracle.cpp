#include "syscall_oracle.h"

#include <asm/prctl.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <initializer_list>

namespace liongate::sandbox::testing {
namespace {

constexpr std::uint32_t kSetIds = 06000;

bool among(std::uint32_t value, std::initializer_list<std::uint32_t> values) {
  return std::ranges::find(values, value) != values.end();
}

// The kernel reads these arguments as 32-bit integers, whatever the upper half of the register holds.
struct Call {
  const decltype(seccomp_data::args)& args;
  std::uint32_t low(std::size_t index) const { return static_cast<std::uint32_t>(args[index]); }
  std::uint64_t full(std::size_t index) const { return args[index]; }
};

std::uint32_t unless(bool allowed, int sys_errno) {
  return allowed ? SECCOMP_RET_ALLOW : denied_with(sys_errno);
}

bool opens_safely(std::uint32_t flags, std::uint32_t mode) {
  const bool makes_a_file = (flags & O_CREAT) != 0 || (flags & 020000000U /* __O_TMPFILE */) != 0;
  return !makes_a_file || (mode & kSetIds) == 0;
}

bool clones_safely(std::uint32_t flags, bool process) {
  if ((flags & 0x7e020000U) != 0) return false;  // any CLONE_NEW* that the kernel takes here
  return process || ((flags & CLONE_VM) != 0 && (flags & CLONE_SIGHAND) != 0 && (flags & CLONE_THREAD) != 0);
}

bool executes_first(const Call& call, const Secrets& secrets) {
  return call.low(4) == AT_EMPTY_PATH && call.full(1) == secrets[0] && call.full(2) == secrets[1] &&
         call.full(3) == secrets[2];
}

bool prctl_is_harmless(const Call& call) {
  const std::uint32_t option = call.low(0);
  if (option == PR_CAP_AMBIENT) return call.low(1) == PR_CAP_AMBIENT_IS_SET;
  return among(option, {PR_SET_NAME,
                        PR_GET_NAME,
                        0x53564d41 /* PR_SET_VMA */,
                        PR_SET_PDEATHSIG,
                        PR_GET_PDEATHSIG,
                        PR_SET_TIMERSLACK,
                        PR_GET_TIMERSLACK,
                        PR_SET_THP_DISABLE,
                        PR_GET_THP_DISABLE,
                        PR_SET_NO_NEW_PRIVS,
                        PR_GET_NO_NEW_PRIVS,
                        PR_GET_DUMPABLE,
                        PR_GET_KEEPCAPS,
                        PR_GET_SECCOMP,
                        PR_GET_SECUREBITS,
                        PR_CAPBSET_READ,
                        PR_GET_TSC,
                        PR_GET_TID_ADDRESS,
                        PR_MCE_KILL_GET,
                        PR_GET_CHILD_SUBREAPER,
                        PR_GET_SPECULATION_CTRL});
}

bool fcntl_is_harmless(std::uint32_t command) {
  return command < 1024 ||
         among(command, {F_GETLEASE, F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS});
}

std::uint32_t answer_checked(int number, const Call& call, Permissions permissions, const Secrets& secrets) {
  const bool process = permissions.process == Grantable::kGranted;
  const bool jit = permissions.jit == Grantable::kGranted;
  const bool network = permissions.network == Grantable::kGranted;
  const bool executable = (call.low(2) & PROT_EXEC) != 0;
  const bool writable = (call.low(2) & PROT_WRITE) != 0;
  const std::uint32_t type = call.low(1) & 0xf;
  const std::uint32_t policy = call.low(1) & ~0x40000000U;
  switch (number) {
    case SYS_open:
      return unless(opens_safely(call.low(1), call.low(2)), EPERM);
    case SYS_openat:
      return unless(opens_safely(call.low(2), call.low(3)), EPERM);
    case SYS_creat:
    case SYS_mkdir:
    case SYS_chmod:
    case SYS_fchmod:
      return unless((call.low(1) & kSetIds) == 0, EPERM);
    case SYS_fchmodat:
    case SYS_mkdirat:
      return unless((call.low(2) & kSetIds) == 0, EPERM);
    case SYS_mmap:
      return unless((call.low(3) & MAP_HUGETLB) == 0 && (jit || !(executable && writable)), EACCES);
    case SYS_mprotect:
      return unless(jit || !executable, EACCES);
    case SYS_clone:
      return unless(clones_safely(call.low(0), process), EPERM);
    case SYS_execveat:
      return unless(process || executes_first(call, secrets), EPERM);
    case SYS_socket:  // TCP and UDP of the internet, by their default or by name
      return unless(network && among(call.low(0), {2 /* INET */, 10 /* INET6 */}) &&
                        ((type == SOCK_STREAM && among(call.low(2), {0, 6})) ||
                         (type == SOCK_DGRAM && among(call.low(2), {0, 17}))),
                    EAFNOSUPPORT);
    case SYS_socketpair:
      return unless(call.low(0) == AF_UNIX && (type == SOCK_STREAM || type == SOCK_SEQPACKET), EAFNOSUPPORT);
    case SYS_setsockopt:
      return unless((call.low(1) == SOL_SOCKET && among(call.low(2), {2, 6, 9, 13, 15, 16, 18, 20, 21, 66, 67})) ||
                        (network && call.low(1) == 6 /* TCP */ && among(call.low(2), {1, 3, 4, 5, 6, 12, 18})) ||
                        (network && call.low(1) == 0 /* IP */ && among(call.low(2), {1, 2, 10, 11})) ||
                        (network && call.low(1) == 41 /* IPV6 */ && among(call.low(2), {16, 23, 25, 26, 67})),
                    EPERM);
    case SYS_sendto:
      if (network && permissions.any_port == Grantable::kGranted) {
        const bool is_plain = (call.low(3) & MSG_OOB) == 0 && call.full(4) == 0;
        return is_plain ? SECCOMP_RET_ALLOW : kRingsDoorbell;
      }
      return unless((call.low(3) & MSG_OOB) == 0, EPERM);
    case SYS_sendmmsg:
      return unless((call.low(3) & MSG_OOB) == 0, EPERM);
    case SYS_sendmsg:
      return unless((call.low(2) & MSG_OOB) == 0, EPERM);
    case SYS_fallocate:
      return unless((call.low(1) & 1U /* KEEP_SIZE */) == 0 || call.low(1) == 3U /* with PUNCH_HOLE */, EOPNOTSUPP);
    case SYS_pipe2:
      return unless((call.low(1) & ~(02000000U | 04000U | 040000U)) == 0, EPERM);
    case SYS_futex:  // without the private flag and the clock: waits, wakes, requeues, none with priority inheritance
      return unless(among(call.low(1) & ~(128U | 256U), {0, 1, 3, 4, 5, 9, 10}), ENOSYS);
    case SYS_renameat2:
      return unless((call.low(4) & ~3U) == 0, EPERM);
    case SYS_ioctl:
      return unless(among(call.low(1), {FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, TCGETS, TIOCGWINSZ}), ENOTTY);
    case SYS_fcntl:
      return unless(fcntl_is_harmless(call.low(1)), EPERM);
    case SYS_prctl:
      return unless(prctl_is_harmless(call), EPERM);
    case SYS_arch_prctl:
      return among(call.low(0), {ARCH_SET_GS, ARCH_SET_FS, ARCH_GET_FS, ARCH_GET_GS, ARCH_GET_CPUID})
                 ? SECCOMP_RET_ALLOW
                 : SECCOMP_RET_ERRNO | EINVAL;
    case SYS_personality:
      return unless(call.low(0) == 0 || call.low(0) == 0xffffffff, EPERM);
    case SYS_sched_setscheduler:
      return unless(among(policy, {SCHED_OTHER, SCHED_BATCH, SCHED_IDLE}), EPERM);
    case SYS_setpriority:
      return unless(call.low(0) == PRIO_PROCESS, EPERM);
    case SYS_prlimit64:  // of itself, and never the core size
      return unless(call.low(0) == 0 && (call.full(2) == 0 || (call.low(1) < 16 && call.low(1) != RLIMIT_CORE)), EPERM);
    case SYS_setrlimit:
      return unless(call.low(0) < 16 && call.low(0) != RLIMIT_CORE, EPERM);
    default:
      return 0xdeadbeef;  // a checked call that nobody thought of here
  }
}

}  // namespace

std::uint32_t right_answer(const seccomp_data& data, Permissions permissions, const Secrets& secrets) {
  const auto number = static_cast<std::uint32_t>(data.nr);
  if (data.arch != AUDIT_ARCH_X86_64 || (number & 0x40000000U) != 0) return SECCOMP_RET_KILL_PROCESS;
  const auto table = syscall_table();
  const auto found =
      std::ranges::find_if(table, [number](const CallTraits& traits) { return traits.number == number; });
  if (found == table.end()) return SECCOMP_RET_ERRNO | ENOSYS;
  switch (found->call_class) {
    case CallClass::kAllowed:
      return SECCOMP_RET_ALLOW;
    case CallClass::kProcess:
      return unless(permissions.process == Grantable::kGranted, EPERM);
    case CallClass::kJit:
      return unless(permissions.jit == Grantable::kGranted, ENOSYS);
    case CallClass::kNetwork:
      if (number == SYS_connect && permissions.network == Grantable::kGranted) return kRingsDoorbell;
      return unless(permissions.network == Grantable::kGranted, EPERM);
    case CallClass::kRefused:
      return denied_with(EPERM);
    case CallClass::kAbsent:
      return SECCOMP_RET_ERRNO | ENOSYS;
    case CallClass::kChecked:
      return answer_checked(data.nr, Call{data.args}, permissions, secrets);
  }
  return 0xdeadbeef;
}

}  // namespace liongate::sandbox::testing
