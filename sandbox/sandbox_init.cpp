#include "sandbox/sandbox_init.h"

#include <grp.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <vector>

#include "kernel/base/limits.h"
#include "sandbox/gate_sockets.h"
#include "sandbox/program_start.h"
#include "sandbox/reaper.h"
#include "sandbox/root_builder.h"
#include "sandbox/setup_channel.h"

namespace liongate::sandbox {
namespace {

void die_with_launcher(SetupReporter& reporter) {
  reporter.require(::prctl(PR_SET_PDEATHSIG, SIGKILL) == 0, "parent death signal");
}

// The launcher's own descriptors, those of other sandboxes among them, are no business of this one.
void close_what_is_not_ours(const SandboxPlan& plan, SetupReporter& reporter) {
  std::vector<int> kept{reporter.socket()};
  for (const UniqueFd& fd : plan.descriptors) kept.push_back(fd.get());
  for (const UniqueFd& fd : plan.secrets) kept.push_back(fd.get());
  for (const Grant& grant : plan.pinned.grants) kept.push_back(grant.tree.get());
  std::ranges::sort(kept);
  int first = 0;
  for (const int fd : kept) {
    if (fd > first) ::syscall(SYS_close_range, first, fd - 1, 0);
    first = fd + 1;
  }
  ::syscall(SYS_close_range, first, ~0U, 0);
}

// The launcher writes the id maps, then one byte. End of file means that it died before it could be armed against.
void await_id_maps(SetupReporter& reporter) {
  reporter.begin(Step::kAwaitLauncher);
  char byte = 0;
  ssize_t got = 0;
  do {
    got = ::recv(reporter.socket(), &byte, sizeof byte, 0);
  } while (got < 0 && errno == EINTR);
  if (got != sizeof byte) ::_exit(1);
}

void become_user(const SandboxPlan& plan, SetupReporter& reporter) {
  reporter.begin(Step::kBecomeUser);
  if (plan.host.mode == HostMode::kRootful) {
    reporter.require(::setgroups(0, nullptr) == 0, "groups");
    reporter.require(::setresgid(kInsideUid, kInsideUid, kInsideUid) == 0, "group id");
    reporter.require(::setresuid(kInsideUid, kInsideUid, kInsideUid) == 0, "user id");
  }
  if (::getuid() != kInsideUid || ::getgid() != kInsideUid) reporter.fail(EPERM, "user id");
  // Changing who one is clears it.
  die_with_launcher(reporter);
}

// Born in a control group of its own, it must not see where that group lies.
void hide_group(const SandboxPlan& plan, SetupReporter& reporter) {
  if (!plan.cgroup) return;
  reporter.begin(Step::kControlGroup);
  reporter.require(::unshare(CLONE_NEWCGROUP) == 0, "namespace");
}

void start_session(SetupReporter& reporter) {
  reporter.begin(Step::kSession);
  reporter.require(::setsid() >= 0);
  if (::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0) reporter.gained(Gained::kSessionKeyring);
}

void set_host_name(const std::string& name, SetupReporter& reporter) {
  reporter.begin(Step::kHostName);
  constexpr std::size_t kHostNameBytesMax = 64;
  reporter.require(::sethostname(name.data(), std::min(name.size(), kHostNameBytesMax)) == 0, name);
  constexpr std::string_view kDomain = "(none)";
  reporter.require(::setdomainname(kDomain.data(), kDomain.size()) == 0, "domain name");
}

void make_mounts_private(SetupReporter& reporter) {
  reporter.begin(Step::kPrivateMounts);
  reporter.require(::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0, "/");
}

void enter_working_folder(const std::string& path, SetupReporter& reporter) {
  reporter.begin(Step::kWorkingFolder);
  reporter.require(::chdir(path.c_str()) == 0, path);
}

struct ProgramProcess {
  const SandboxPlan& plan;
  const Program& program;
  const LandlockRules& rules;
  const SetupReporter& reporter;
};

// pid 2 until its exec, in the memory of pid 1, which waits: what it changes, pid 1 would find changed, so it works on
// copies of all that has a state.
int run_program_process(void* parts) {
  const auto& process = *static_cast<ProgramProcess*>(parts);
  SetupReporter reporter = process.reporter;
  start_program(process.plan, process.program, process.rules.descriptor(), reporter);
}

// Returns once pid 2 has executed its program or ended. Sharing the memory spares copying the page tables of pid 1 and
// a fault for each page that either writes to: about 0.15 ms of a start.
pid_t spawn_program(const SandboxPlan& plan, const Program& program, const LandlockRules& rules,
                    SetupReporter& reporter) {
  reporter.begin(Step::kForkProgram);
  // Nothing inside may look into pid 1, which is a copy of the launcher; exec makes pid 2 ordinary again.
  reporter.require(::prctl(PR_SET_DUMPABLE, 0) == 0, "dumpable");
  constexpr std::size_t kStackBytes = 256 * 1024;
  void* const stack =
      ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
  reporter.require(stack != MAP_FAILED, "stack");
  ProgramProcess process{plan, program, rules, reporter};
  const pid_t pid = ::clone(run_program_process, static_cast<std::byte*>(stack) + kStackBytes,
                            CLONE_VM | CLONE_VFORK | SIGCHLD, &process);
  reporter.require(pid >= 0);
  return pid;
}

}  // namespace

void run_sandbox_init(SandboxPlan& plan, int channel) {
  SetupReporter reporter(channel);
  die_with_launcher(reporter);
  close_what_is_not_ours(plan, reporter);
  await_id_maps(reporter);
  if (plan.request.allow_network) {
    open_gate(plan.request.gate_ports, plan.request.allow_any_port ? limits::kGateSparesMax : kSparesForRefusals,
              reporter);
  }
  become_user(plan, reporter);
  hide_group(plan, reporter);
  start_session(reporter);
  set_host_name(plan.request.name, reporter);
  make_mounts_private(reporter);
  LandlockRules rules(plan.host.landlock_abi);
  reporter.begin(Step::kLandlockRules);
  const auto tcp = plan.request.allow_network ? LandlockTcp::kLeftAlone : LandlockTcp::kRefused;
  reporter.require(rules.create(tcp));
  const UniqueFd closed_later = build_root(plan, rules, reporter);
  enter_working_folder(plan.request.working_directory, reporter);
  const Program program = open_program(plan.request, reporter);
  reap_until_end_of(spawn_program(plan, program, rules, reporter), reporter);
}

}  // namespace liongate::sandbox
