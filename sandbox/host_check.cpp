#include "sandbox/host_check.h"

#include <fcntl.h>
#include <linux/keyctl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <functional>

#include "sandbox/grant_trees.h"
#include "sandbox/landlock.h"
#include "sandbox/packet_socket.h"
#include "sandbox/privileged_groups.h"
#include "sandbox/privileges.h"
#include "sandbox/sandbox_process.h"
#include "sandbox/sealed_program.h"
#include "sandbox/seccomp_filter.h"

namespace liongate::sandbox {
namespace {

constexpr std::uint64_t kUserAndMounts = static_cast<std::uint64_t>(CLONE_NEWUSER) | CLONE_NEWNS;
constexpr unsigned long kHiddenFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
// The id a trial child is given as root: the first of the range, which no sandbox of a just started launcher has yet.
constexpr uid_t kTrialUid = 2'147'000'000;

constexpr const char* kUserNamespaceRemedy =
    "allow user namespaces: sysctl user.max_user_namespaces=10000; on Ubuntu sysctl "
    "kernel.apparmor_restrict_unprivileged_userns=0 or an AppArmor profile; on old Debian "
    "kernel.unprivileged_userns_clone=1; in a container, run it with them";
constexpr const char* kKernelRemedy = "a newer kernel (5.15 or later is recommended)";
constexpr const char* kContainerRemedy =
    "in a container, start it with an unmasked /proc and without its seccomp profile";

// A trial that must succeed returns 0, or the errno of what failed.
using Trial = std::function<int()>;

int errno_unless(bool done) {
  return done ? 0 : errno;
}

int wait_for(pid_t pid) {
  int status = 0;
  while (::waitpid(pid, &status, 0) < 0) {
    if (errno != EINTR) return errno;
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : EINTR;
}

// Runs `trial` in a child with new namespaces whose ids are mapped as a sandbox's are.
int try_inside(std::uint64_t flags, HostMode mode, const Trial& trial) {
  auto ends = packet_socket_pair();
  if (!ends) return ends.error().sys_errno;
  auto& [ours, theirs] = *ends;
  UniqueFd pidfd;
  const pid_t pid = clone_process(flags, pidfd);
  if (pid < 0) return errno;
  if (pid == 0) {
    char byte = 0;
    ours.reset();
    if (::recv(theirs.get(), &byte, sizeof byte, 0) != sizeof byte) ::_exit(EPIPE);
    if (mode == HostMode::kRootful && (::setresgid(kInsideUid, kInsideUid, kInsideUid) != 0 ||
                                       ::setresuid(kInsideUid, kInsideUid, kInsideUid) != 0)) {
      ::_exit(errno);
    }
    ::_exit(trial());
  }
  const HostIds ids = mode == HostMode::kRootful ? HostIds{kTrialUid, kTrialUid} : HostIds{::geteuid(), ::getegid()};
  const auto mapped = write_id_maps(pid, mode, ids);
  const char byte = 1;
  if (mapped) ::send(ours.get(), &byte, sizeof byte, MSG_NOSIGNAL);
  ours.reset();
  theirs.reset();
  const int ended = wait_for(pid);
  return mapped ? ended : mapped.error().sys_errno;
}

// Runs `trial` in a plain child, for what cannot be undone.
int try_in_child(const Trial& trial) {
  const pid_t pid = ::fork();
  if (pid < 0) return errno;
  if (pid == 0) ::_exit(trial());
  return wait_for(pid);
}

int mount_private_root() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno;
  if (::mount("tmpfs", "/proc", "tmpfs", kHiddenFlags, "size=64k") != 0 || ::chdir("/proc") != 0) return errno;
  return errno_unless(::syscall(SYS_pivot_root, ".", ".") == 0 && ::umount2(".", MNT_DETACH) == 0);
}

int mount_proc_with(const char* options) {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return errno;
  return errno_unless(::mount("proc", "/proc", "proc", kHiddenFlags, options) == 0);
}

int clone_and_seal_mount() {
  const UniqueFd folder(open_pinned("/"));
  if (!folder.valid()) return errno;
  const UniqueFd tree(clone_tree(folder.get()));
  return errno_unless(tree.valid() && seal_tree(tree.get(), MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID));
}

int load_trial_filter() {
  if (!set_no_new_privileges() || !load_filter(without_notification(filter_for({})))) return errno;
  // It must not only load but hold: a family that no plugin gets is refused by it, not by the kernel.
  return ::socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT ? 0 : EPROTO;
}

int load_trial_listener() {
  UniqueFd listener;
  if (!set_no_new_privileges() || !load_filter_with_listener(filter_for({}), listener)) return errno;
  return listener.valid() ? 0 : ENOTSUP;
}

int translate_a_mount() {
  const UniqueFd folder(open_pinned("/usr"));
  const UniqueFd tree(folder.valid() ? clone_tree(folder.get()) : -1);
  const auto translation = make_translation({0, 0}, {kTrialUid, kTrialUid});
  if (!tree.valid()) return errno;
  if (!translation) return translation.error().sys_errno;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<std::uint64_t>(translation->get());
  return errno_unless(::mount_setattr(tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0);
}

HostMechanism judged(std::string name, bool mandatory, int sys_errno, std::string what, std::string remedy) {
  HostMechanism mechanism{std::move(name), sys_errno == 0, mandatory, {}, {}};
  mechanism.reason = sys_errno == 0 ? std::move(what) : what + ": " + std::strerror(sys_errno);
  if (sys_errno != 0) mechanism.remedy = std::move(remedy);
  return mechanism;
}

void check_mandatory(HostReport& report, HostMode mode) {
  const auto add = [&report](std::string name, int sys_errno, std::string what, std::string remedy) {
    report.mechanisms.push_back(judged(std::move(name), true, sys_errno, std::move(what), std::move(remedy)));
  };
  const auto nothing = [] { return 0; };
  const auto with_user = [&](std::uint64_t flag) { return try_inside(kUserAndMounts | flag, mode, nothing); };
  add("user namespace", try_inside(CLONE_NEWUSER, mode, nothing), "clone with mapped ids", kUserNamespaceRemedy);
  add("pid namespace", with_user(CLONE_NEWPID), "clone", kUserNamespaceRemedy);
  add("network namespace", with_user(CLONE_NEWNET), "clone", kUserNamespaceRemedy);
  add("ipc namespace", with_user(CLONE_NEWIPC), "clone", kUserNamespaceRemedy);
  add("uts namespace", with_user(CLONE_NEWUTS), "clone", kUserNamespaceRemedy);
  add("cgroup namespace", with_user(CLONE_NEWCGROUP), "clone", kUserNamespaceRemedy);
  add("mount namespace", try_inside(kUserAndMounts, mode, mount_private_root), "tmpfs and pivot_root",
      kContainerRemedy);
  add("detached mounts", try_inside(kUserAndMounts, mode, clone_and_seal_mount), "openat2, open_tree, mount_setattr",
      kKernelRemedy);
  const auto plain_proc = [] { return mount_proc_with(nullptr); };
  add("private /proc", try_inside(kUserAndMounts | CLONE_NEWPID, mode, plain_proc), "mount proc", kContainerRemedy);
  const auto drop = [] { return errno_unless(drop_all_capabilities()); };
  add("capability drop", try_inside(CLONE_NEWUSER, mode, drop), "bounding, ambient and permitted sets", kKernelRemedy);
  add("no new privileges", try_in_child([] { return errno_unless(set_no_new_privileges()); }), "prctl", kKernelRemedy);
  add("system call filter", try_in_child(load_trial_filter), "seccomp filter of a plugin", kKernelRemedy);
}

// It must not only load but hold: with no rule at all, opening a file is refused.
int restrict_and_open() {
  LandlockRules rules(landlock_abi());
  if (!rules.create() || !set_no_new_privileges() || !restrict_by_landlock(rules.descriptor())) return errno;
  return ::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC) < 0 && errno == EACCES ? 0 : EPROTO;
}

void add_landlock(HostReport& report) {
  const int abi = landlock_abi();
  const std::string missing = missing_at_landlock_abi(abi);
  const std::string what = "ABI " + std::to_string(abi) + (missing.empty() ? "" : "; not " + missing);
  report.mechanisms.push_back(judged("landlock", false, abi > 0 ? try_in_child(restrict_and_open) : EOPNOTSUPP,
                                     abi > 0 ? what : "landlock_create_ruleset",
                                     "a kernel with CONFIG_SECURITY_LANDLOCK and landlock in its lsm= list"));
}

// Rootless a plugin keeps the groups of the daemon's user, because the kernel forbids dropping them.
void check_groups(HostReport& report, const HostFacts& host) {
  std::string names;
  for (const std::string& name : host.privileged_groups) names += (names.empty() ? "" : ", ") + name;
  HostMechanism mechanism{"ordinary groups", names.empty(), true, {}, {}};
  mechanism.reason =
      host.mode == HostMode::kRootful ? "as root all groups are dropped" : "no group that is as good as root";
  if (!names.empty()) {
    mechanism.reason = "a plugin would keep the groups of this user: " + names;
    mechanism.remedy = privileged_groups_remedy();
  }
  report.mechanisms.push_back(std::move(mechanism));
}

// The bound of a pid namespace's own numbers, taken by a trial namespace only.
int lower_pid_max() {
  if (const int failed = mount_proc_with(nullptr); failed != 0) return failed;
  const UniqueFd setting(::open("/proc/sys/kernel/pid_max", O_WRONLY | O_CLOEXEC));
  return errno_unless(setting.valid() && ::write(setting.get(), "400", 3) == 3);
}

int restrict_speculation() {
  const SpeculationControl control = disable_store_bypass();
  return control == SpeculationControl::kMissing ? ENXIO : 0;
}

void check_degradable(HostReport& report, HostMode mode) {
  const auto add = [&report](std::string name, int sys_errno, std::string what, std::string remedy) {
    report.mechanisms.push_back(judged(std::move(name), false, sys_errno, std::move(what), std::move(remedy)));
  };
  const auto pids_only = [] { return mount_proc_with("subset=pid,hidepid=ptraceable"); };
  add("hidden processes", try_inside(kUserAndMounts | CLONE_NEWPID, mode, pids_only), "/proc subset=pid, hidepid",
      kKernelRemedy);
  const auto keyring = [] { return errno_unless(::syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0); };
  add("session keyring", try_in_child(keyring), "keyctl",
      "a kernel with CONFIG_KEYS, not hidden by a container's filter");
  add("denial reports", try_in_child(load_trial_listener), "refused calls are events: seccomp user notification",
      "Linux 5.0 or later, and not below another filter that notifies");
  add("own host user", mode == HostMode::kRootful ? 0 : EPERM, "a host uid for each plugin", "start liongated as root");
  add("idmapped grants", mode == HostMode::kRootful ? translate_a_mount() : EPERM, "on the file system of /usr",
      "start liongated as root, on a kernel and file system that have them (5.12, ext4, xfs, btrfs)");
  const auto deny = [] { return errno_unless(::prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0) == 0); };
  add("deny write-execute", try_in_child(deny), "prctl; the filter does most of it anyway", "Linux 6.3");
  add_landlock(report);
  // On a kernel where the number is the host's, its root user alone may change it: then this must not be tried.
  const bool as_root_user = mode == HostMode::kRootless && ::geteuid() == 0;
  add("process number limit", as_root_user ? EPERM : try_inside(kUserAndMounts | CLONE_NEWPID, mode, lower_pid_max),
      "kernel.pid_max of a pid namespace", "Linux 6.14; until then RLIMIT_NPROC bounds processes alone");
  add("speculation control", try_in_child(restrict_speculation), "speculative store bypass, by prctl",
      "a processor and kernel that can switch it off for one process");
  add("sealed launcher", runs_from_sealed_memory() ? 0 : EACCES, "it runs from a sealed copy in memory",
      "sysctl vm.memfd_noexec=0 or 1, and /proc mounted");
}

}  // namespace

HostReport check_host(const HostFacts& host) {
  HostReport report;
  report.rootless = host.mode == HostMode::kRootless;
  check_mandatory(report, host.mode);
  check_groups(report, host);
  check_degradable(report, host.mode);
  return report;
}

void mark_accepted(HostReport& report, const HostFacts& host) {
  for (HostMechanism& mechanism : report.mechanisms) {
    if (mechanism.available || !host.is_allowed_degraded(mechanism.name)) continue;
    mechanism.mandatory = false;
    mechanism.reason += "; accepted by allow_degraded";
  }
}

void answer_host_check(int socket, const HostFacts& host) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (const auto packet = encode(Report(check_host(host)))) {
    [[maybe_unused]] const auto sent = send_packet(socket, *packet, {});
  }
  ::_exit(0);
}

}  // namespace liongate::sandbox
