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
#include "sandbox/packet_socket.h"
#include "sandbox/privileges.h"
#include "sandbox/sandbox_process.h"
#include "sandbox/seccomp_filter.h"

namespace liongate::sandbox {
namespace {

constexpr std::uint64_t kUserAndMounts = static_cast<std::uint64_t>(CLONE_NEWUSER) | CLONE_NEWNS;
constexpr unsigned long kHiddenFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
// The id a trial child is given as root: the first of the range, which no sandbox of a just started launcher has yet.
constexpr uid_t kTrialUid = 2'147'000'000;
constexpr int kLandlockCreateRuleset = 444;
constexpr unsigned kLandlockVersionFlag = 1;

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
  if (!set_no_new_privileges() || !load_filter(filter_for({}))) return errno;
  // It must not only load but hold: a family that no plugin gets is refused by it, not by the kernel.
  return ::socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == EAFNOSUPPORT ? 0 : EPROTO;
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
  add("own host user", mode == HostMode::kRootful ? 0 : EPERM, "a host uid for each plugin", "start liongated as root");
  add("idmapped mounts", mode == HostMode::kRootful ? translate_a_mount() : EPERM, "on the file system of /usr",
      "start liongated as root, on a kernel and file system that have them (5.12, ext4, xfs, btrfs)");
  const auto deny = [] { return errno_unless(::prctl(65 /* PR_SET_MDWE */, 1, 0, 0, 0) == 0); };
  add("deny write-execute", try_in_child(deny), "prctl; the filter does most of it anyway", "Linux 6.3");
  const long abi = ::syscall(kLandlockCreateRuleset, nullptr, 0, kLandlockVersionFlag);
  add("landlock", abi > 0 ? 0 : errno, abi > 0 ? "ABI " + std::to_string(abi) + "; not used yet" : "not used yet",
      "a kernel with CONFIG_SECURITY_LANDLOCK and landlock in the lsm= list");
}

}  // namespace

HostReport check_host(HostMode mode) {
  HostReport report;
  report.rootless = mode == HostMode::kRootless;
  check_mandatory(report, mode);
  check_degradable(report, mode);
  return report;
}

void answer_host_check(int socket, HostMode mode) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (const auto packet = encode(Report(check_host(mode)))) {
    [[maybe_unused]] const auto sent = send_packet(socket, *packet, {});
  }
  ::_exit(0);
}

}  // namespace liongate::sandbox
