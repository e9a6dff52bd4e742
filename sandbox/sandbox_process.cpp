#include "sandbox/sandbox_process.h"

#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "sandbox/packet_socket.h"
#include "sandbox/sandbox_init.h"
#include "sandbox/setup_channel.h"

namespace liongate::sandbox {
namespace {

constexpr std::uint64_t kNamespaces = static_cast<std::uint64_t>(CLONE_NEWUSER) | CLONE_NEWNS | CLONE_NEWPID |
                                      CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP;

// The kernel's answer where a limit on namespaces is reached or where they are switched off.
std::string explain_clone(int sys_errno) {
  switch (sys_errno) {
    case EPERM:
      return "(user namespaces are not permitted to this user)";
    case ENOSPC:
      return "(user.max_user_namespaces is reached or 0)";
    case EINVAL:
    case ENOSYS:
      return "(the kernel lacks clone3 or a namespace)";
    default:
      return "(clone3)";
  }
}

// Whether somebody else killed the process before it was told to go on: its files in /proc then refuse a writer in ways
// that say nothing of the host. Without the word to go on a healthy one ends by itself, with an exit code. Consumes no
// status; waits kUnwantedEndMsMax at most, and only where a start has failed.
bool was_killed(const SandboxProcess& process, const UniqueFd& channel) {
  constexpr int kUnwantedEndMsMax = 1000;
  ::shutdown(channel.get(), SHUT_RDWR);
  pollfd ended{process.pidfd.get(), POLLIN, 0};
  siginfo_t info{};
  return ::poll(&ended, 1, kUnwantedEndMsMax) == 1 &&
         ::waitid(P_PIDFD, static_cast<id_t>(process.pidfd.get()), &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_code == CLD_KILLED;
}

}  // namespace

pid_t clone_process(std::uint64_t flags, UniqueFd& pidfd, int cgroup_fd) {
  int fd = -1;
  clone_args arguments{};
  arguments.flags = flags | CLONE_PIDFD;
  if (cgroup_fd >= 0) {
    arguments.flags |= CLONE_INTO_CGROUP;
    arguments.cgroup = static_cast<std::uint64_t>(cgroup_fd);
  }
  arguments.pidfd = reinterpret_cast<std::uintptr_t>(&fd);
  arguments.exit_signal = SIGCHLD;
  const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &arguments, sizeof arguments));
  if (pid > 0) pidfd.reset(fd);
  return pid;
}

Result<SandboxProcess> start_sandbox(SandboxPlan& plan, NetworkSpare& networks) {
  auto channel = packet_socket_pair();
  if (!channel) return setup_error(Step::kCreateNamespaces, channel.error().sys_errno, "socketpair");
  auto& [ours, theirs] = *channel;
  if (!stamp_senders(ours.get())) return setup_error(Step::kCreateNamespaces, errno, "SO_PASSCRED");
  SandboxProcess process;
  UniqueFd group;
  std::uint64_t namespaces = kNamespaces;
  if (plan.cgroup) {
    auto opened = plan.cgroup->open();
    if (!opened) return setup_error(Step::kControlGroup, opened.error().sys_errno, plan.cgroup->folder());
    group = std::move(*opened);
    // The namespace would begin at the launcher's group; made from inside (sandbox_init.cpp) it begins at the leaf.
    namespaces &= ~static_cast<std::uint64_t>(CLONE_NEWCGROUP);
  }
  // What leads to the gate is set up from inside, with rights over a network that is the sandbox's own.
  plan.has_spare_network = !plan.request.allow_network && networks.enter();
  if (plan.has_spare_network) namespaces &= ~static_cast<std::uint64_t>(CLONE_NEWNET);
  process.pid = clone_process(namespaces, process.pidfd, group.valid() ? group.get() : -1);
  const int sys_errno = errno;
  // A launcher that stayed in it would clone the next sandbox into it as well: better none at all.
  if (process.pid != 0 && plan.has_spare_network) LG_ASSERT(networks.leave());
  if (process.pid < 0) {
    return setup_error(Step::kCreateNamespaces, sys_errno, explain_clone(sys_errno));
  }
  if (process.pid == 0) run_sandbox_init(plan, theirs.get());
  if (auto mapped = write_id_maps(process.pid, plan.host.mode, plan.ids); !mapped && !was_killed(process, ours)) {
    ::kill(process.pid, SIGKILL);
    ::waitpid(process.pid, nullptr, 0);
    return setup_error(Step::kMapIds, mapped.error().sys_errno, mapped.error().message);
  }
  const char byte = 1;
  // When the child is gone already, its pidfd tells; there is nothing to do here.
  [[maybe_unused]] const ssize_t sent = ::send(ours.get(), &byte, sizeof byte, MSG_NOSIGNAL);
  process.channel = std::move(ours);
  return process;
}

}  // namespace liongate::sandbox
