// liongate-launcher: the only program of Liongate that creates sandboxes, and the only one that keeps privileges.
#include <fcntl.h>
#include <linux/capability.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <vector>

#include "sandbox/launcher_descriptors.h"
#include "sandbox/launcher_loop.h"
#include "sandbox/launcher_process.h"
#include "sandbox/privileges.h"
#include "sandbox/sealed_program.h"

namespace {

using namespace liongate;
using namespace liongate::sandbox;

constexpr const char* kUsage =
    "usage: liongate-launcher [--service] [--plugin-uids FIRST-LAST] [--allow-degraded NAME,...] [--cgroup-delegated]\n"
    "Started by liongated, with its control socket as descriptor 3 and its files socket as descriptor 4; or with\n"
    "--service by a service manager, with a connection as descriptor 3 by which liongated sends both.\n";

[[noreturn]] void refuse(const char* what) {
  std::fprintf(stderr, "liongate-launcher: %s\n%s", what, kUsage);
  std::exit(static_cast<int>(ExitCode::kUsage));
}

struct Words {
  UidRange uids;
  std::string allow_degraded;
  bool is_service = false;
  bool is_cgroup_delegated = false;
};

Words read_arguments(int count, char** arguments) {
  Words words;
  for (int index = 1; index < count; ++index) {
    const std::string_view argument = arguments[index];
    if (argument == "--help") {
      std::fputs(kUsage, stdout);
      std::exit(static_cast<int>(ExitCode::kDone));
    }
    if (argument == "--service" || argument == "--cgroup-delegated") {
      (argument == "--service" ? words.is_service : words.is_cgroup_delegated) = true;
      continue;
    }
    if ((argument != "--plugin-uids" && argument != "--allow-degraded") || index + 1 == count) {
      refuse("unknown argument");
    }
    const char* const value = arguments[++index];
    if (argument == "--allow-degraded") {
      words.allow_degraded = value;
      continue;
    }
    const auto range = parse_uid_range(value);
    if (!range) refuse("--plugin-uids wants FIRST-LAST");
    words.uids = *range;
  }
  return words;
}

bool is_socket(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && S_ISSOCK(info.st_mode);
}

// A service manager's connection becomes what the daemon's child is born with. Returns what the daemon allows to be
// degraded, as --allow-degraded has it.
std::string receive_sockets() {
  if (!is_socket(kLauncherControlFd)) refuse("descriptor 3 is not a socket");
  auto greeting = accept_daemon(kLauncherControlFd);
  if (!greeting) refuse(greeting.error().message.c_str());
  // Moved out of the way first: a received one may sit where another goes.
  const UniqueFd control(::fcntl(greeting->control_socket.get(), F_DUPFD_CLOEXEC, kLauncherFilesFd + 1));
  const UniqueFd files(::fcntl(greeting->files_socket.get(), F_DUPFD_CLOEXEC, kLauncherFilesFd + 1));
  greeting->control_socket.reset();
  greeting->files_socket.reset();
  if (!control || !files || ::dup2(control.get(), kLauncherControlFd) < 0 ||
      ::dup2(files.get(), kLauncherFilesFd) < 0) {
    refuse("the daemon's sockets cannot be taken");
  }
  return std::move(greeting->allow_degraded);
}

// Not to outlive the daemon, whatever becomes of it; the daemon's end closes the control socket as well.
void die_with_daemon() {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
}

// A terminal's Ctrl-C and a service manager's SIGTERM are for the daemon, which stops its plugins in order and then us.
void leave_signals_to_daemon() {
  ::setsid();
  for (const int signal : {SIGINT, SIGTERM, SIGHUP, SIGQUIT, SIGPIPE, SIGTSTP}) ::signal(signal, SIG_IGN);
}

void close_other_descriptors() {
  ::syscall(SYS_close_range, kLauncherFilesFd + 1, ~0U, 0);
}

void raise_descriptor_limit() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = limit.rlim_max;
  ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Mounts and namespaces, the plugins' ids, files that only root may read, ends of other users' processes.
bool keep_needed_privileges() {
  return keep_only({CAP_SYS_ADMIN, CAP_SETUID, CAP_SETGID, CAP_SETFCAP, CAP_DAC_READ_SEARCH, CAP_KILL}) &&
         set_no_new_privileges();
}

}  // namespace

int main(int count, char** arguments) {
  move_to_sealed_memory(arguments);
  ::prctl(PR_SET_NAME, "liongate-launch");  // executed by descriptor it would be called by its number
  Words words = read_arguments(count, arguments);
  if (words.is_service) words.allow_degraded = receive_sockets();
  if (!is_socket(kLauncherControlFd) || !is_socket(kLauncherFilesFd)) refuse("descriptors 3 and 4 are not sockets");
  die_with_daemon();
  leave_signals_to_daemon();
  close_other_descriptors();
  raise_descriptor_limit();
  const HostFacts host = find_host_facts(words.allow_degraded);
  if (!keep_needed_privileges()) refuse("cannot reduce privileges");
  // A service manager's daemon has a unit, and so a group, of its own.
  const std::vector<pid_t> members = words.is_service ? std::vector{::getpid()} : std::vector{::getppid(), ::getpid()};
  CgroupPlaces places;
  places.is_vouched_for = words.is_cgroup_delegated;
  LauncherLoop loop(kLauncherControlFd, kLauncherFilesFd, host, words.uids, CgroupTree::adopt(places, members));
  // The daemon may go while something is being told to it: that is its end as much as an end of file.
  if (const auto ended = loop.run(); !ended && ended.error().sys_errno != EPIPE) {
    std::fprintf(stderr, "liongate-launcher: %s\n", ended.error().message.c_str());
    return static_cast<int>(ExitCode::kFailure);
  }
  return static_cast<int>(ExitCode::kDone);
}
