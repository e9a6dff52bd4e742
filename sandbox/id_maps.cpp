#include "sandbox/id_maps.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "kernel/base/sys.h"
#include "sandbox/privileges.h"

namespace liongate::sandbox {
namespace {

std::string proc_path(pid_t pid, const char* file) {
  return "/proc/" + std::to_string(pid) + "/" + file;
}

Result<void> write_proc(pid_t pid, const char* file, const std::string& text) {
  LG_ASSIGN(const UniqueFd fd, sys::open(proc_path(pid, file), O_WRONLY));
  return sys::write_all(fd.get(), text);
}

// One line of a map: inside, outside, one id.
std::string map_line(uid_t inside, uid_t outside) {
  return std::to_string(inside) + " " + std::to_string(outside) + " 1\n";
}

// A child that only keeps a user namespace alive until it is killed.
pid_t clone_idle_child() {
  const pid_t launcher = ::getpid();
  const auto pid =
      static_cast<pid_t>(::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  if (pid != 0) return pid;
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  while (::getppid() == launcher) ::pause();
  ::_exit(0);
}

}  // namespace

HostMode detect_host_mode() {
  const bool capable = has_capability(CAP_SYS_ADMIN) && has_capability(CAP_SETUID) && has_capability(CAP_SETGID);
  return ::geteuid() == 0 && capable ? HostMode::kRootful : HostMode::kRootless;
}

Result<void> write_id_maps(pid_t pid, HostMode mode, HostIds ids) {
  if (mode == HostMode::kRootless) LG_TRY(write_proc(pid, "setgroups", "deny"));
  // When memory runs out the host ends a plugin before anything of its own.
  LG_TRY(write_proc(pid, "oom_score_adj", "500"));
  LG_TRY(write_proc(pid, "uid_map", map_line(kInsideUid, ids.uid)));
  return write_proc(pid, "gid_map", map_line(kInsideUid, ids.gid));
}

Result<UniqueFd> make_translation(HostIds on_disk, HostIds seen) {
  const pid_t pid = clone_idle_child();
  if (pid < 0) return make_errno_error(Reason::kInternal, "clone", errno);
  const auto translate = [&]() -> Result<UniqueFd> {
    LG_TRY(write_proc(pid, "uid_map", map_line(on_disk.uid, seen.uid)));
    LG_TRY(write_proc(pid, "gid_map", map_line(on_disk.gid, seen.gid)));
    return sys::open(proc_path(pid, "ns/user"), O_RDONLY);
  };
  auto translation = translate();
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  return translation;
}

}  // namespace liongate::sandbox
