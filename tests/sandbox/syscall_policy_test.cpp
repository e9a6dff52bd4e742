// Goal: the compiled filter says, for every number and telling arguments, what the table and a second reading of the
// rules say. Method: evaluate the program in-process; the reference below walks rules, knows no jumps and no tree.
#include "sandbox/syscall_policy.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>

#include <algorithm>
#include <array>
#include <catch2/catch.hpp>

#include "sandbox/bpf_evaluator.h"
#include "sandbox/seccomp_filter.h"

using namespace liongate::sandbox;

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
                                {Grantable::kGranted, Grantable::kGranted}};

bool holds(const Condition& condition, const seccomp_data& call) {
  const std::uint64_t argument = call.args[condition.argument];
  if (condition.width == Width::kFull64) {
    return argument == (condition.secret < 0 ? condition.value : kSecrets[static_cast<std::size_t>(condition.secret)]);
  }
  return (static_cast<std::uint32_t>(argument) & condition.mask) == static_cast<std::uint32_t>(condition.value);
}

const SyscallRule* rule_of(const std::vector<SyscallRule>& rules, int number) {
  for (const SyscallRule& rule : rules) {
    if (rule.number == static_cast<std::uint32_t>(number)) return &rule;
  }
  return nullptr;
}

std::uint32_t expected(const SyscallRule* rule, const seccomp_data& call) {
  if (rule == nullptr) return kUnknownCallAnswer;
  for (const Alternative& alternative : rule->alternatives) {
    if (std::ranges::all_of(alternative, [&](const Condition& it) { return holds(it, call); }))
      return SECCOMP_RET_ALLOW;
  }
  return rule->otherwise;
}

FilterProgram filled_filter(Permissions permissions) {
  FilterProgram filter = filter_for(permissions);
  fill_secrets(filter, kSecrets);
  return filter;
}

std::uint32_t ask(Permissions permissions, long number, std::array<std::uint64_t, 6> arguments) {
  seccomp_data call{static_cast<int>(number), AUDIT_ARCH_X86_64, 0, {}};
  std::ranges::copy(arguments, call.args);
  return evaluate_filter(filled_filter(permissions).instructions, call).value();
}

constexpr std::uint32_t error(int number) {
  return SECCOMP_RET_ERRNO | static_cast<std::uint32_t>(number);
}

}  // namespace

TEST_CASE("every number from 0 to 1023 with every pair of edge arguments answers as the table says") {
  for (const Permissions permissions : kAll) {
    const FilterProgram filter = filled_filter(permissions);
    const std::vector<SyscallRule> rules = rules_for(permissions);
    std::size_t wrong = 0;
    for (int number = 0; number < 1024; ++number) {
      const SyscallRule* const rule = rule_of(rules, number);
      for (const std::uint64_t one : kEdges) {
        for (const std::uint64_t other : kEdges) {
          // Neighbours differ, so that a test of the wrong argument shows.
          for (const auto& arguments : {std::array<std::uint64_t, 6>{one, other, one, other, one, other},
                                        {one, one, other, other, other, one},
                                        {0, kSecrets[0], one, other, 0x1000, 0}}) {
            seccomp_data call{number, AUDIT_ARCH_X86_64, 0, {}};
            std::ranges::copy(arguments, call.args);
            wrong += evaluate_filter(filter.instructions, call) != expected(rule, call) ? 1 : 0;
          }
        }
      }
    }
    CHECK(wrong == 0);
    CHECK(filter.instructions.size() < 1024);
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
  CHECK(ask(none, SYS_fork, {}) == error(EPERM));
  CHECK(ask(process, SYS_fork, {}) == SECCOMP_RET_ALLOW);
  CHECK(ask(none, SYS_clone, {CLONE_VM | CLONE_SIGHAND | CLONE_THREAD}) == SECCOMP_RET_ALLOW);
  CHECK(ask(none, SYS_clone, {CLONE_VM | CLONE_VFORK}) == error(EPERM));
  CHECK(ask(process, SYS_clone, {CLONE_NEWUSER}) == error(EPERM));
  CHECK(ask(none, SYS_clone3, {}) == error(ENOSYS));
  CHECK(ask(none, SYS_socket, {AF_UNIX, SOCK_STREAM}) == error(EAFNOSUPPORT));
  CHECK(ask(none, SYS_socketpair, {AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC}) == SECCOMP_RET_ALLOW);
  CHECK(ask(none, SYS_socketpair, {AF_UNIX, SOCK_DGRAM}) == error(EAFNOSUPPORT));
  CHECK(ask(none, SYS_ioctl, {0, 0x100005412}) == error(ENOTTY));
  CHECK(ask(none, SYS_mmap, {0, 0, PROT_WRITE | PROT_EXEC}) == error(EACCES));
  CHECK(ask(none, SYS_mmap, {0, 0, PROT_READ | PROT_EXEC}) == SECCOMP_RET_ALLOW);
  CHECK(ask(none, SYS_mprotect, {0, 0, PROT_READ | PROT_EXEC}) == error(EACCES));
  CHECK(ask(jit, SYS_mprotect, {0, 0, PROT_READ | PROT_EXEC}) == SECCOMP_RET_ALLOW);
  CHECK(ask(none, SYS_chmod, {0, 04755}) == error(EPERM));
  CHECK(ask(none, SYS_openat, {0, 0, O_RDONLY, 04755}) == SECCOMP_RET_ALLOW);
  CHECK(ask(none, SYS_openat, {0, 0, O_CREAT, 04755}) == error(EPERM));
  CHECK(ask(none, SYS_openat, {0, 0, O_TMPFILE, 04755}) == error(EPERM));
  CHECK(ask(none, SYS_openat, {0, 0, O_DIRECTORY, 04755}) == SECCOMP_RET_ALLOW);
}

TEST_CASE("the first exec needs all three secrets, to the last bit, and the flag") {
  const std::array<std::uint64_t, 6> right{5, kSecrets[0], kSecrets[1], kSecrets[2], AT_EMPTY_PATH, 0};
  CHECK(ask({}, SYS_execveat, right) == SECCOMP_RET_ALLOW);
  CHECK(ask({}, SYS_execve, right) == error(EPERM));
  for (std::size_t argument = 1; argument <= 4; ++argument) {
    for (int bit = 0; bit < (argument == 4 ? 32 : 64); ++bit) {
      auto wrong = right;
      wrong[argument] ^= std::uint64_t{1} << bit;
      CHECK(ask({}, SYS_execveat, wrong) == error(EPERM));
    }
  }
  const seccomp_data unfilled{SYS_execveat, AUDIT_ARCH_X86_64, 0, {5, 1, 2, 3, AT_EMPTY_PATH, 0}};
  CHECK(evaluate_filter(filter_for({}).instructions, unfilled) == error(EPERM));
}

TEST_CASE("every row of the table has a reason") {
  for (const CallTraits& call : syscall_table()) CHECK(call.reason.size() > 4);
}
