// Goal: the compiled filter says, for every number and telling arguments, what a second reading of the policy says, and
// the kernel the same. Method: the program is evaluated in-process and held against the oracle (syscall_oracle.h), then
// loaded and asked.
#include "sandbox/syscall_policy.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/futex.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>
#include <cerrno>
#include <cstddef>

#include "sandbox/bpf_evaluator.h"
#include "sandbox/path_watch.h"
#include "sandbox/seccomp_filter.h"
#include "syscall_oracle.h"

using namespace liongate::sandbox;
using liongate::sandbox::testing::right_answer;

namespace {

constexpr std::array<std::uint64_t, kSecretsMax> kSecrets{0x7123'4567'89ab'cde8, 0x0000'5555'6666'7778,
                                                          0x0000'1111'f000'0008};
constexpr std::uint64_t kEdges[] = {0,
                                    1,
                                    2,
                                    3,
                                    4,
                                    5,
                                    6,
                                    7,
                                    0x0f,
                                    0x10,
                                    0x40,
                                    0x100,
                                    0x1000,
                                    02000,
                                    04000,
                                    06755,
                                    0x541b,
                                    0x5401,
                                    0x5412,
                                    0x5413,
                                    0x10000,
                                    0x10900,
                                    0x3d0f00,
                                    0x10000000,
                                    0x7e020000,
                                    0x53564d41,
                                    0x80000000,
                                    0xffffffff,
                                    0x100000000,
                                    0x100005412,
                                    0xffffffff00000001,
                                    ~std::uint64_t{0},
                                    kSecrets[0],
                                    kSecrets[1],
                                    kSecrets[2]};

constexpr Permissions kAll[] = {{Grantable::kWithheld, Grantable::kWithheld},
                                {Grantable::kGranted, Grantable::kWithheld},
                                {Grantable::kWithheld, Grantable::kGranted},
                                {Grantable::kGranted, Grantable::kGranted},
                                {Grantable::kWithheld, Grantable::kWithheld, Grantable::kGranted},
                                {Grantable::kGranted, Grantable::kGranted, Grantable::kGranted},
                                {Grantable::kWithheld, Grantable::kWithheld, Grantable::kGranted, Grantable::kGranted}};

FilterProgram filled_filter(Permissions permissions) {
  FilterProgram filter = filter_for(permissions);
  fill_secrets(filter, kSecrets);
  return filter;
}

// Follows the filter for a call number; false as soon as it looks at an argument.
bool allows_by_number_alone(const std::vector<sock_filter>& filter, std::uint32_t number) {
  std::uint32_t loaded = 0;
  for (std::size_t at = 0; at < filter.size(); ++at) {
    const sock_filter& it = filter[at];
    if (it.code == (BPF_LD | BPF_W | BPF_ABS)) {
      if (it.k >= offsetof(seccomp_data, instruction_pointer)) return false;
      loaded = it.k == offsetof(seccomp_data, nr) ? number : AUDIT_ARCH_X86_64;
    } else if (it.code == (BPF_JMP | BPF_JA)) {
      at += it.k;
    } else if (it.code == (BPF_RET | BPF_K)) {
      return it.k == SECCOMP_RET_ALLOW;
    } else {
      const bool taken = it.code == (BPF_JMP | BPF_JEQ | BPF_K)   ? loaded == it.k
                         : it.code == (BPF_JMP | BPF_JGE | BPF_K) ? loaded >= it.k
                                                                  : (loaded & it.k) != 0;
      at += taken ? it.jt : it.jf;
    }
  }
  return false;
}

std::uint32_t ask(Permissions permissions, long number, std::array<std::uint64_t, 6> arguments) {
  seccomp_data call{static_cast<int>(number), AUDIT_ARCH_X86_64, 0, {}};
  std::ranges::copy(arguments, call.args);
  return evaluate_filter(filled_filter(permissions).instructions, call).value();
}

constexpr std::uint32_t error(int number) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(number);
}
// Reported first, then answered with that errno.
constexpr std::uint32_t denied(int number) {
  return SECCOMP_RET_USER_NOTIF | static_cast<std::uint32_t>(number);
}

}  // namespace

namespace {

using Arguments = std::array<std::uint64_t, 6>;

// Counts what the compiled filter and the oracle disagree about; names the first few.
class Comparison {
 public:
  explicit Comparison(Permissions permissions)
      : permissions_(permissions), filter_(filled_filter(permissions).instructions) {}

  void compare(long number, const Arguments& arguments, std::uint32_t architecture = AUDIT_ARCH_X86_64) {
    seccomp_data call{static_cast<int>(number), architecture, 0, {}};
    std::ranges::copy(arguments, call.args);
    const auto answer = evaluate_filter(filter_, call);
    const std::uint32_t right = right_answer(call, permissions_, kSecrets);
    ++compared;
    if (answer == right || ++wrong > 5) return;
    UNSCOPED_INFO("call " << number << " of architecture " << std::hex << architecture << " with " << arguments[0]
                          << ", " << arguments[1] << ", " << arguments[2] << ", " << arguments[3] << ": filter "
                          << answer.value_or(0) << ", right " << right);
  }

  // Every value of one argument from `first` to `last`, the others at their edges.
  void sweep(long number, std::size_t argument, std::uint64_t first, std::uint64_t last) {
    for (std::uint64_t value = first; value <= last; ++value) {
      for (const std::uint64_t other : {std::uint64_t{0}, std::uint64_t{1}, ~std::uint64_t{0}}) {
        for (const std::uint64_t upper : {std::uint64_t{0}, std::uint64_t{1} << 32, std::uint64_t{0xffffffff} << 32}) {
          Arguments arguments{other, other, other, other, other, other};
          arguments[argument] = value | upper;
          compare(number, arguments);
        }
      }
    }
  }

  std::uint64_t compared = 0;
  std::uint64_t wrong = 0;

 private:
  Permissions permissions_;
  std::vector<sock_filter> filter_;
};

// From Linux 6.14 on the kernel lets these pass every filter: its own trampolines make them. Whoever else does gets
// SIGILL.
constexpr long kUretprobe = 335;
constexpr long kUprobe = 336;

constexpr std::uint64_t bit(unsigned index) {
  return std::uint64_t{1} << index;
}

}  // namespace

TEST_CASE("every number from 0 to 1023 with every pair of edge arguments answers as the oracle says") {
  for (const Permissions permissions : kAll) {
    Comparison comparison(permissions);
    for (int number = 0; number < 1024; ++number) {
      for (const std::uint64_t one : kEdges) {
        for (const std::uint64_t other : kEdges) {
          // Neighbours differ, so that a test of the wrong argument shows.
          comparison.compare(number, {one, other, one, other, one, other});
          comparison.compare(number, {one, one, other, other, other, one});
          comparison.compare(number, {0, kSecrets[0], one, other, 0x1000, 0});
        }
      }
    }
    CHECK(comparison.wrong == 0);
    CHECK(comparison.compared > 3'000'000);
    CHECK(filter_for(permissions).instructions.size() < 1024);
  }
}

TEST_CASE("every number with each bit of each argument, alone, missing, and beside the first exec's secrets") {
  constexpr Arguments kBases[] = {{},
                                  {~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL, ~0ULL},
                                  {1, 1, 1, 1, 1, 1},
                                  {5, kSecrets[0], kSecrets[1], kSecrets[2], 0x1000, 0}};
  for (const Permissions permissions : kAll) {
    Comparison comparison(permissions);
    for (int number = 0; number < 1024; ++number) {
      for (Arguments arguments : kBases) {
        for (std::uint64_t& argument : arguments) {
          for (unsigned index = 0; index < 64; ++index) {
            argument ^= bit(index);
            comparison.compare(number, arguments);
            argument ^= bit(index);
          }
        }
      }
    }
    CHECK(comparison.wrong == 0);
  }
}

TEST_CASE("every value that an argument of a checked call is known by, and every pair of its flags") {
  for (const Permissions permissions : kAll) {
    Comparison comparison(permissions);
    comparison.sweep(SYS_ioctl, 1, 0, 0xffff);
    comparison.sweep(SYS_prctl, 0, 0, 1023);
    comparison.sweep(SYS_prctl, 1, 0, 15);
    comparison.sweep(SYS_arch_prctl, 0, 0x1000, 0x5010);
    comparison.sweep(SYS_fcntl, 1, 0, 4096);
    comparison.sweep(SYS_socket, 0, 0, 64);
    comparison.sweep(SYS_socket, 1, 0, 15);
    comparison.sweep(SYS_setsockopt, 1, 0, 300);
    comparison.sweep(SYS_fallocate, 1, 0, 255);
    comparison.sweep(SYS_renameat2, 4, 0, 255);
    for (std::uint64_t option = 0; option < 256; ++option) {
      comparison.compare(SYS_setsockopt, {0, SOL_SOCKET, option, 0, 0, 0});
    }
    comparison.sweep(SYS_personality, 0, 0, 0xffff);
    comparison.sweep(SYS_sched_setscheduler, 1, 0, 31);
    comparison.sweep(SYS_setpriority, 0, 0, 7);
    comparison.sweep(SYS_setrlimit, 0, 0, 31);
    comparison.sweep(SYS_mmap, 2, 0, 255);
    comparison.sweep(SYS_mprotect, 2, 0, 255);
    comparison.sweep(SYS_futex, 1, 0, 1023);
    for (std::uint64_t type = 0; type < 16; ++type) {
      for (std::uint64_t family = 0; family < 64; ++family) {
        comparison.compare(SYS_socketpair, {family, type, 0, 0, 0, 0});
        comparison.compare(SYS_socketpair, {family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, 0, 0, 0});
      }
    }
    for (const long number : {SYS_clone, SYS_mmap, SYS_mprotect, SYS_open, SYS_openat, SYS_personality, SYS_prlimit64,
                              SYS_sendto, SYS_sendmsg, SYS_sendmmsg, SYS_pipe2}) {
      for (unsigned one = 0; one < 64; ++one) {
        for (unsigned other = 0; other < 64; ++other) {
          const std::uint64_t flags = bit(one) | bit(other);
          for (const std::uint64_t rest : {std::uint64_t{0}, std::uint64_t{04755}, std::uint64_t{CLONE_VM}}) {
            comparison.compare(number, {flags, rest, rest, rest, 0, 0});
            comparison.compare(number, {flags | CLONE_VM | CLONE_SIGHAND | CLONE_THREAD, rest, 0, 0, 0, 0});
            comparison.compare(number, {0, flags, rest, 0, 0, 0});
            comparison.compare(number, {0, rest, flags, rest, 0, 0});
            comparison.compare(number, {0, rest, rest, flags, 0, 0});
          }
        }
      }
    }
    CHECK(comparison.wrong == 0);
  }
}

TEST_CASE("no number of another call table, and no other architecture, is anything but killed") {
  for (const Permissions permissions : kAll) {
    Comparison comparison(permissions);
    for (int number = 0; number < 1024; ++number) {
      comparison.compare(number | 0x40000000, {});
      comparison.compare(number | 0x60000000, {1, 1, 1, 1, 1, 1});
      for (const std::uint32_t architecture : {std::uint32_t{AUDIT_ARCH_I386}, std::uint32_t{AUDIT_ARCH_AARCH64},
                                               std::uint32_t{AUDIT_ARCH_X86_64} ^ 1, 0U}) {
        comparison.compare(number, {}, architecture);
      }
    }
    for (const std::int64_t number : {std::int64_t{-1}, std::int64_t{0x7fffffff}, std::int64_t{1024},
                                      std::int64_t{0x3fffffff}, std::int64_t{-0x7fffffff}}) {
      comparison.compare(static_cast<long>(number), {});
    }
    CHECK(comparison.wrong == 0);
  }
}

// The kernel itself: a child under the real filter makes every call that the evaluator says is refused. What is refused
// does nothing, so it may be tried with any arguments; only of what is allowed there is a harmless choice alone.
TEST_CASE("the kernel refuses what the evaluator says, with that errno") {
  for (const Permissions permissions : kAll) {
    const FilterProgram filter = without_notification(filled_filter(permissions));
    int report[2];
    REQUIRE(::pipe(report) == 0);
    const pid_t pid = ::fork();
    REQUIRE(pid >= 0);
    if (pid == 0) {
      if (::geteuid() == 0 && (::setresgid(65534, 65534, 65534) != 0 || ::setresuid(65534, 65534, 65534) != 0))
        ::_exit(3);
      if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !load_filter(filter)) ::_exit(2);
      std::uint32_t tried = 0;
      std::uint32_t wrong = 0;
      const auto live = [&](long number, const Arguments& arguments) {
        seccomp_data call{static_cast<int>(number), AUDIT_ARCH_X86_64, 0, {}};
        std::ranges::copy(arguments, call.args);
        const std::uint32_t answer = evaluate_filter(filter.instructions, call).value();
        if ((answer & SECCOMP_RET_ACTION_FULL) != SECCOMP_RET_ERRNO) return;
        ++tried;
        errno = 0;
        const long result =
            ::syscall(number, arguments[0], arguments[1], arguments[2], arguments[3], arguments[4], arguments[5]);
        if (result != -1 || errno != static_cast<int>(answer & SECCOMP_RET_DATA)) ++wrong;
      };
      for (long number = 0; number < 1024; ++number) {
        if (number == kUretprobe || number == kUprobe) continue;
        for (const std::uint64_t one : kEdges) {
          live(number, {one, one, one, one, one, one});
          live(number, {0, one, 6, one, 0, 0});
          live(number, {one, 0, one, 04755, 0, 0});
        }
      }
      wrong += ::syscall(SYS_getpid) > 0 && ::syscall(SYS_read, -1, nullptr, 0) == -1 && errno == EBADF ? 0U : 1U;
      const std::uint32_t said[] = {tried, wrong};
      ::_exit(::write(report[1], said, sizeof said) == sizeof said ? 0 : 4);
    }
    ::close(report[1]);
    std::uint32_t said[2]{};
    CHECK(::read(report[0], said, sizeof said) == sizeof said);
    ::close(report[0]);
    int status = 0;
    CHECK(::waitpid(pid, &status, 0) == pid);
    CHECK(status == 0);
    CHECK(said[0] > 40'000);
    CHECK(said[1] == 0);
  }
}

TEST_CASE("leaves of plain calls are constant answers, which the kernel caches") {
  // The kernel asks the filter with zeroes for arguments and remembers the numbers that are allowed without a look at
  // one: for those no instruction on the way may load an argument.
  for (const Permissions permissions : kAll) {
    const auto filter = filter_for(permissions).instructions;
    for (const CallTraits& call : syscall_table()) {
      if (call.call_class != CallClass::kAllowed) continue;
      CHECK(allows_by_number_alone(filter, call.number));
    }
  }
}

TEST_CASE("foreign call tables kill") {
  const FilterProgram filter = filled_filter({});
  for (const std::uint32_t architecture : {std::uint32_t{AUDIT_ARCH_I386}, std::uint32_t{AUDIT_ARCH_AARCH64}, 0U}) {
    const seccomp_data call{SYS_read, architecture, 0, {}};
    CHECK(evaluate_filter(filter.instructions, call) == SECCOMP_RET_KILL_PROCESS);
  }
  for (const int number : {0x40000000, 0x40000000 | SYS_getpid, -1}) {
    CHECK(ask({}, number, {}) == SECCOMP_RET_KILL_PROCESS);
  }
}

TEST_CASE("the decisions that matter most, spelled out") {
  const Permissions none;
  const Permissions process{Grantable::kGranted, Grantable::kWithheld};
  const Permissions jit{Grantable::kWithheld, Grantable::kGranted};
  CHECK(ask(none, SYS_read, {}) == SECCOMP_RET_ALLOW);
  CHECK(ask(none, SYS_fork, {}) == denied(EPERM));
  CHECK(ask(process, SYS_fork, {}) == SECCOMP_RET_ALLOW);
  CHECK(ask(none, SYS_clone, {CLONE_VM | CLONE_SIGHAND | CLONE_THREAD}) == SECCOMP_RET_ALLOW);
  CHECK(ask(none, SYS_clone, {CLONE_VM | CLONE_VFORK}) == denied(EPERM));
  CHECK(ask(process, SYS_clone, {CLONE_NEWUSER}) == denied(EPERM));
  CHECK(ask(none, SYS_clone3, {}) == error(ENOSYS));
  CHECK(ask(none, SYS_socket, {AF_UNIX, SOCK_STREAM}) == denied(EAFNOSUPPORT));
  CHECK(ask(none, SYS_socketpair, {AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC}) == SECCOMP_RET_ALLOW);
  CHECK(ask(none, SYS_socketpair, {AF_UNIX, SOCK_DGRAM}) == denied(EAFNOSUPPORT));
  CHECK(ask(none, SYS_ioctl, {0, 0x100005412}) == denied(ENOTTY));
  CHECK(ask(none, SYS_mmap, {0, 0, PROT_WRITE | PROT_EXEC}) == denied(EACCES));
  CHECK(ask(none, SYS_mmap, {0, 0, PROT_READ | PROT_EXEC}) == SECCOMP_RET_ALLOW);
  CHECK(ask(none, SYS_mprotect, {0, 0, PROT_READ | PROT_EXEC}) == denied(EACCES));
  CHECK(ask(jit, SYS_mprotect, {0, 0, PROT_READ | PROT_EXEC}) == SECCOMP_RET_ALLOW);
  CHECK(ask(jit, SYS_mmap, {0, 0, PROT_READ, MAP_PRIVATE | MAP_HUGETLB}) == denied(EACCES));
  CHECK(ask(none, SYS_setsockopt, {0, SOL_SOCKET, SO_ATTACH_FILTER}) == denied(EPERM));
  CHECK(ask(none, SYS_setsockopt, {0, SOL_SOCKET, SO_SNDBUF}) == denied(EPERM));
  CHECK(ask(none, SYS_sendto, {0, 0, 1, MSG_OOB | MSG_DONTWAIT}) == denied(EPERM));
  CHECK(ask(none, SYS_renameat2, {0, 0, 0, 0, RENAME_WHITEOUT}) == denied(EPERM));
  CHECK(ask(none, SYS_fallocate, {0, FALLOC_FL_KEEP_SIZE}) == denied(EOPNOTSUPP));
  CHECK(ask(none, SYS_pipe2, {0, O_EXCL}) == denied(EPERM));
  CHECK(ask(none, SYS_futex, {0, FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG | FUTEX_CLOCK_REALTIME}) == SECCOMP_RET_ALLOW);
  CHECK(ask(none, SYS_futex, {0, FUTEX_LOCK_PI | FUTEX_PRIVATE_FLAG}) == denied(ENOSYS));
  CHECK(ask(none, SYS_chmod, {0, 04755}) == denied(EPERM));
  CHECK(ask(none, SYS_openat, {0, 0, O_RDONLY, 04755}) == SECCOMP_RET_ALLOW);
  CHECK(ask(none, SYS_openat, {0, 0, O_CREAT, 04755}) == denied(EPERM));
  CHECK(ask(none, SYS_openat, {0, 0, O_TMPFILE, 04755}) == denied(EPERM));
  CHECK(ask(none, SYS_openat, {0, 0, O_DIRECTORY, 04755}) == SECCOMP_RET_ALLOW);
}

TEST_CASE("the first exec needs all three secrets, to the last bit, and the flag") {
  const std::array<std::uint64_t, 6> right{5, kSecrets[0], kSecrets[1], kSecrets[2], AT_EMPTY_PATH, 0};
  CHECK(ask({}, SYS_execveat, right) == SECCOMP_RET_ALLOW);
  CHECK(ask({}, SYS_execve, right) == denied(EPERM));
  for (std::size_t argument = 1; argument <= 4; ++argument) {
    for (int bit = 0; bit < (argument == 4 ? 32 : 64); ++bit) {
      auto wrong = right;
      wrong[argument] ^= std::uint64_t{1} << bit;
      CHECK(ask({}, SYS_execveat, wrong) == denied(EPERM));
    }
  }
  const seccomp_data unfilled{SYS_execveat, AUDIT_ARCH_X86_64, 0, {5, 1, 2, 3, AT_EMPTY_PATH, 0}};
  CHECK(evaluate_filter(filter_for({}).instructions, unfilled) == denied(EPERM));
}

TEST_CASE("every row of the table has a reason") {
  for (const CallTraits& call : syscall_table()) CHECK(call.reason.size() > 4);
}

TEST_CASE("learn mode shows the calls that name a path, and answers all others as without it") {
  for (Permissions permissions : kAll) {
    Permissions shown = permissions;
    shown.paths = Paths::kShown;
    int paths = 0;
    for (int number = 0; number < 1024; ++number) {
      const bool is_path = names_path(static_cast<std::uint32_t>(number));
      paths += is_path ? 1 : 0;
      for (const std::uint64_t value : kEdges) {
        const std::array<std::uint64_t, 6> arguments{value, value, value, value, value, value};
        const std::uint32_t without = ask(permissions, number, arguments);
        CHECK(ask(shown, number, arguments) == (is_path ? kShowsPath : without));
      }
    }
    CHECK(paths > 30);
  }
}

TEST_CASE("without a supervisor nobody could look at a path: in learn mode it is refused") {
  Permissions shown;
  shown.paths = Paths::kShown;
  const FilterProgram alone = without_notification(filter_for(shown));
  seccomp_data call{SYS_openat, AUDIT_ARCH_X86_64, 0, {}};
  CHECK(evaluate_filter(alone.instructions, call) == (SECCOMP_RET_ERRNO | EPERM));
}
