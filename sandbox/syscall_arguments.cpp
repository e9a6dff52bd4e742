#include "sandbox/syscall_arguments.h"

#include <fcntl.h>
#include <linux/futex.h>
#include <linux/sched.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cstdio>
#include <set>

#include "kernel/base/assert.h"

namespace liongate::sandbox {
namespace {

Condition equals(std::uint8_t argument, std::uint32_t value) {
  return {argument, Width::kLow32, 0xffffffff, value};
}
Condition masked(std::uint8_t argument, std::uint32_t mask, std::uint32_t value) {
  return {argument, Width::kLow32, mask, value};
}
Condition secret(std::uint8_t argument, int index) {
  return {argument, Width::kFull64, 0xffffffff, 0, index};
}

// One alternative for each value the argument may have.
std::vector<Alternative> one_of(std::uint8_t argument, std::initializer_list<std::uint32_t> values) {
  std::vector<Alternative> alternatives;
  for (const std::uint32_t value : values) alternatives.push_back({equals(argument, value)});
  return alternatives;
}

constexpr std::uint32_t kSetIdBits = S_ISUID | S_ISGID;
// O_TMPFILE is several bits, O_DIRECTORY among them; only its own bit says that a file is made.
constexpr std::uint32_t kMakesFile =
    O_CREAT | (static_cast<std::uint32_t>(O_TMPFILE) & ~static_cast<std::uint32_t>(O_DIRECTORY));
constexpr std::uint32_t kNewNamespace = static_cast<std::uint32_t>(CLONE_NEWNS) | CLONE_NEWCGROUP | CLONE_NEWUTS |
                                        CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET;
constexpr std::uint32_t kThread = CLONE_VM | CLONE_SIGHAND | CLONE_THREAD;

// A mode without set-id bits, or an open that makes no file and whose mode nobody reads.
Checked check_open(std::uint8_t flags, std::uint8_t mode) {
  return {denied_with(EPERM), {{masked(flags, kMakesFile, 0)}, {masked(mode, kSetIdBits, 0)}}};
}
Checked check_mode(std::uint8_t mode) {
  return {denied_with(EPERM), {{masked(mode, kSetIdBits, 0)}}};
}

// The dynamic loader maps code from files, executable from the start; nothing it does makes mapped memory executable.
constexpr std::uint8_t kProtection = 2;
Checked check_protection(Permissions permissions) {
  if (permissions.jit == Grantable::kGranted) return {denied_with(EACCES), {{}}};
  return {denied_with(EACCES), {{masked(kProtection, PROT_EXEC, 0)}}};
}

// Huge pages are a reserve of the host that no limit of a sandbox counts.
Checked check_mapping(Permissions permissions) {
  const Condition ordinary_pages = masked(3, MAP_HUGETLB, 0);
  if (permissions.jit == Grantable::kGranted) return {denied_with(EACCES), {{ordinary_pages}}};
  return {denied_with(EACCES),
          {{ordinary_pages, masked(kProtection, PROT_EXEC, 0)}, {ordinary_pages, masked(kProtection, PROT_WRITE, 0)}}};
}

// TCP and UDP over IPv4 and IPv6. Nothing raw, and none of the families that are rarely used and often broken.
Checked check_socket(Permissions permissions) {
  constexpr std::uint32_t kTypeMask = 0xf;
  Checked checked{denied_with(EAFNOSUPPORT), {}};
  if (permissions.network != Grantable::kGranted) return checked;
  constexpr std::pair<std::uint32_t, std::uint32_t> kKinds[] = {
      {SOCK_STREAM, 0}, {SOCK_STREAM, IPPROTO_TCP}, {SOCK_DGRAM, 0}, {SOCK_DGRAM, IPPROTO_UDP}};
  for (const std::uint32_t family : {AF_INET, AF_INET6}) {
    for (const auto& [type, protocol] : kKinds) {
      checked.alternatives.push_back({equals(0, family), masked(1, kTypeMask, type), equals(2, protocol)});
    }
  }
  return checked;
}

// What clients set on sockets of the internet. Not TCP_ULP and TCP_REPAIR, which bring other code of the kernel in.
constexpr std::pair<std::uint32_t, std::uint32_t> kNetworkOptions[] = {
    {IPPROTO_TCP, TCP_NODELAY},       {IPPROTO_TCP, TCP_CORK},      {IPPROTO_TCP, TCP_KEEPIDLE},
    {IPPROTO_TCP, TCP_KEEPINTVL},     {IPPROTO_TCP, TCP_KEEPCNT},   {IPPROTO_TCP, TCP_QUICKACK},
    {IPPROTO_TCP, TCP_USER_TIMEOUT},  {IPPROTO_IP, IP_TOS},         {IPPROTO_IP, IP_TTL},
    {IPPROTO_IP, IP_MTU_DISCOVER},    {IPPROTO_IP, IP_RECVERR},     {IPPROTO_IPV6, IPV6_V6ONLY},
    {IPPROTO_IPV6, IPV6_TCLASS},      {IPPROTO_IPV6, IPV6_RECVERR}, {IPPROTO_IPV6, IPV6_MTU_DISCOVER},
    {IPPROTO_IPV6, IPV6_UNICAST_HOPS}};

// Options that time and name a socket. Not those that bring programs into the kernel (SO_ATTACH_FILTER and its kin),
// nor those that make buffers larger: they are memory of the kernel, which without control groups nothing counts.
Checked check_socket_option(Permissions permissions) {
  Checked checked{denied_with(EPERM), {}};
  for (const std::uint32_t option : {SO_REUSEADDR, SO_BROADCAST, SO_KEEPALIVE, SO_LINGER, SO_REUSEPORT, SO_PASSCRED,
                                     SO_RCVLOWAT, SO_RCVTIMEO, SO_SNDTIMEO, SO_RCVTIMEO_NEW, SO_SNDTIMEO_NEW}) {
    checked.alternatives.push_back({equals(1, SOL_SOCKET), equals(2, option)});
  }
  if (permissions.network == Grantable::kGranted) {
    for (const auto& [level, option] : kNetworkOptions) {
      checked.alternatives.push_back({equals(1, level), equals(2, option)});
    }
  }
  return checked;
}

// The out-of-band byte of UNIX sockets: nobody uses it, and it has been a way from a sandbox into the kernel
// (CVE-2025-38236).
Checked check_send(std::uint8_t flags) {
  return {denied_with(EPERM), {{masked(flags, MSG_OOB, 0)}}};
}

// With an address it may come to a port that has no door yet; out of band it rings too, and is refused by who hears it.
Checked check_sendto(Permissions permissions) {
  constexpr std::uint8_t kFlags = 3;
  constexpr std::uint8_t kAddress = 4;
  const bool rings = permissions.network == Grantable::kGranted && permissions.any_port == Grantable::kGranted;
  if (!rings) return check_send(kFlags);
  return {kRingsDoorbell, {{masked(kFlags, MSG_OOB, 0), {kAddress, Width::kFull64, 0xffffffff, 0}}}};
}

// Blocks beyond a file's end count against no limit of its size. Punching a hole gives blocks back.
Checked check_fallocate() {
  constexpr std::uint8_t kMode = 1;
  return {denied_with(EOPNOTSUPP),
          {{masked(kMode, FALLOC_FL_KEEP_SIZE, 0)}, {equals(kMode, FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE)}}};
}

// No notification pipes, which the kernel writes to.
Checked check_pipe() {
  return {denied_with(EPERM), {{masked(1, ~static_cast<std::uint32_t>(O_CLOEXEC | O_NONBLOCK | O_DIRECT), 0)}}};
}

// Not the operations that hand a lock's priority on: no runtime needs them, they lead deep into the scheduler, and have
// been a way out of it (CVE-2014-3153). The C library asks for one of them, and takes ENOSYS for an old kernel.
Checked check_futex() {
  constexpr std::uint32_t kOperation = ~static_cast<std::uint32_t>(FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME);
  Checked checked{denied_with(ENOSYS), {}};
  for (const std::uint32_t operation : {FUTEX_WAIT, FUTEX_WAKE, FUTEX_REQUEUE, FUTEX_CMP_REQUEUE, FUTEX_WAKE_OP,
                                        FUTEX_WAIT_BITSET, FUTEX_WAKE_BITSET}) {
    checked.alternatives.push_back({masked(1, kOperation, operation)});
  }
  return checked;
}

// Not RENAME_WHITEOUT, which leaves a device file behind.
Checked check_rename() {
  return {denied_with(EPERM), {{masked(4, ~static_cast<std::uint32_t>(RENAME_NOREPLACE | RENAME_EXCHANGE), 0)}}};
}

Checked check_clone(Permissions permissions) {
  if (permissions.process == Grantable::kGranted) return {denied_with(EPERM), {{masked(0, kNewNamespace, 0)}}};
  return {denied_with(EPERM), {{masked(0, kNewNamespace | kThread, kThread)}}};
}

Checked check_execveat(Permissions permissions) {
  if (permissions.process == Grantable::kGranted) return {denied_with(EPERM), {{}}};
  return {
      denied_with(EPERM),
      {{equals(4, AT_EMPTY_PATH), secret(1, kSecretPath), secret(2, kSecretArguments), secret(3, kSecretEnvironment)}}};
}

Checked check_socketpair() {
  // A pair of datagram sockets could send to any socket that has a name; streams and packets are bound to each other.
  constexpr std::uint32_t kTypeMask = 0xf;
  return {denied_with(EAFNOSUPPORT),
          {{equals(0, AF_UNIX), masked(1, kTypeMask, SOCK_STREAM)},
           {equals(0, AF_UNIX), masked(1, kTypeMask, SOCK_SEQPACKET)}}};
}

Checked check_prctl() {
  constexpr std::uint32_t kSetVirtualMemoryName = 0x53564d41;
  auto allowed = one_of(0, {PR_SET_NAME,
                            PR_GET_NAME,
                            kSetVirtualMemoryName,
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
  allowed.push_back({equals(0, PR_CAP_AMBIENT), equals(1, PR_CAP_AMBIENT_IS_SET)});
  return {denied_with(EPERM), std::move(allowed)};
}

// The POSIX commands are numbered below 1024, Linux's own from there.
Checked check_fcntl() {
  auto allowed = one_of(1, {F_GETLEASE, F_DUPFD_CLOEXEC, F_SETPIPE_SZ, F_GETPIPE_SZ, F_ADD_SEALS, F_GET_SEALS});
  allowed.push_back({masked(1, ~0x3ffU, 0)});
  return {denied_with(EPERM), std::move(allowed)};
}

// The core size must stay what it is: with 0 the kernel would call a core_pattern handler on the host again.
Checked check_prlimit() {
  Checked checked{denied_with(EPERM), {{equals(0, 0), {2, Width::kFull64, 0xffffffff, 0}}}};
  for (std::uint32_t resource = 0; resource < RLIM_NLIMITS; ++resource) {
    if (resource != RLIMIT_CORE) checked.alternatives.push_back({equals(0, 0), equals(1, resource)});
  }
  return checked;
}
Checked check_setrlimit() {
  Checked checked{denied_with(EPERM), {}};
  for (std::uint32_t resource = 0; resource < RLIM_NLIMITS; ++resource) {
    if (resource != RLIMIT_CORE) checked.alternatives.push_back({equals(0, resource)});
  }
  return checked;
}

Checked check_arch_prctl() {
  constexpr std::uint32_t kSetFs = 0x1002, kGetFs = 0x1003, kGetGs = 0x1004, kSetGs = 0x1001, kGetCpuid = 0x1011;
  // Not reported: every C library asks at its start for what this kernel may not have.
  return {SECCOMP_RET_ERRNO | EINVAL, one_of(0, {kSetFs, kGetFs, kGetGs, kSetGs, kGetCpuid})};
}

}  // namespace

Checked checked_call(std::uint32_t number, Permissions permissions) {
  constexpr std::uint32_t kPolicyMask = ~static_cast<std::uint32_t>(SCHED_RESET_ON_FORK);
  switch (number) {
    case SYS_open:
      return check_open(1, 2);
    case SYS_openat:
      return check_open(2, 3);
    case SYS_creat:
    case SYS_chmod:
    case SYS_fchmod:
    case SYS_mkdir:
      return check_mode(1);
    case SYS_fchmodat:
    case SYS_mkdirat:
      return check_mode(2);
    case SYS_mmap:
      return check_mapping(permissions);
    case SYS_mprotect:
      return check_protection(permissions);
    case SYS_clone:
      return check_clone(permissions);
    case SYS_execveat:
      return check_execveat(permissions);
    case SYS_socket:
      return check_socket(permissions);
    case SYS_socketpair:
      return check_socketpair();
    case SYS_setsockopt:
      return check_socket_option(permissions);
    case SYS_sendmsg:
      return check_send(2);
    case SYS_sendto:
      return check_sendto(permissions);
    case SYS_sendmmsg:
      return check_send(3);
    case SYS_fallocate:
      return check_fallocate();
    case SYS_pipe2:
      return check_pipe();
    case SYS_renameat2:
      return check_rename();
    case SYS_futex:
      return check_futex();
    case SYS_ioctl:
      return {denied_with(ENOTTY), one_of(1, {FIONREAD, FIONBIO, FIOCLEX, FIONCLEX, TCGETS, TIOCGWINSZ})};
    case SYS_fcntl:
      return check_fcntl();
    case SYS_prctl:
      return check_prctl();
    case SYS_arch_prctl:
      return check_arch_prctl();
    case SYS_personality:
      return {denied_with(EPERM), one_of(0, {0, 0xffffffff})};
    case SYS_sched_setscheduler:
      return {denied_with(EPERM),
              {{masked(1, kPolicyMask, SCHED_OTHER)},
               {masked(1, kPolicyMask, SCHED_BATCH)},
               {masked(1, kPolicyMask, SCHED_IDLE)}}};
    case SYS_setpriority:
      return {denied_with(EPERM), one_of(0, {PRIO_PROCESS})};
    case SYS_prlimit64:
      return check_prlimit();
    case SYS_setrlimit:
      return check_setrlimit();
    default:
      LG_ASSERT(false && "a checked call without a check");
      return {denied_with(EPERM), {}};
  }
}

std::vector<std::uint8_t> deciding_arguments(std::uint32_t number) {
  const CallTraits* const call = find_call(number);
  if (call == nullptr || call->call_class != CallClass::kChecked) return {};
  if (number == SYS_socket) return {0, 1};  // without `network` no family is allowed, so no rule names them
  std::set<std::uint8_t> arguments;
  for (const Alternative& alternative : checked_call(number, {}).alternatives) {
    for (const Condition& condition : alternative) {
      if (condition.width == Width::kLow32) arguments.insert(condition.argument);
    }
  }
  return {arguments.begin(), arguments.end()};
}

}  // namespace liongate::sandbox
