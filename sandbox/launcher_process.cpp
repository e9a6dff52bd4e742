#include "sandbox/launcher_process.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>

#include "kernel/base/sys.h"
#include "sandbox/launcher_descriptors.h"
#include "sandbox/packet_socket.h"

namespace liongate::sandbox {
namespace {

// Above every descriptor the launcher is given, so that moving one to its place never overwrites another.
constexpr int kParkingFd = 16;

// Runs in the forked child, between fork and exec: system calls only. Returns the errno of what failed.
int exec_launcher(const char* path, char* const* arguments, int control_socket, int files_socket, pid_t parent) {
  if (::prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) return errno;
  if (::getppid() != parent) return ESRCH;
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const int parked_control = ::fcntl(control_socket, F_DUPFD_CLOEXEC, kParkingFd);
  const int parked_files = ::fcntl(files_socket, F_DUPFD_CLOEXEC, kParkingFd);
  if (parked_control < 0 || parked_files < 0) return errno;
  if (::dup2(parked_control, kLauncherControlFd) < 0 || ::dup2(parked_files, kLauncherFilesFd) < 0) return errno;
  // Everything else closes at exec, what the parent forgot to mark included; the report pipe is marked already.
  ::syscall(SYS_close_range, kLauncherFilesFd + 1, ~0U, CLOSE_RANGE_CLOEXEC);
  char* const environment[] = {nullptr};
  ::execve(path, arguments, environment);
  return errno;
}

std::vector<std::string> arguments_of(const LauncherOptions& options) {
  std::vector<std::string> arguments{"liongate-launcher"};
  if (!options.plugin_uids.empty()) arguments.insert(arguments.end(), {"--plugin-uids", options.plugin_uids});
  std::string names;
  for (const std::string& name : options.allow_degraded) names += (names.empty() ? "" : ",") + name;
  if (!names.empty()) arguments.insert(arguments.end(), {"--allow-degraded", names});
  return arguments;
}

}  // namespace

Result<LauncherProcess> start_launcher(const std::string& path, const LauncherOptions& options) {
  std::vector<std::string> arguments = arguments_of(options);
  std::vector<char*> pointers;
  for (std::string& argument : arguments) pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  LG_ASSIGN(auto control, packet_socket_pair());
  LG_ASSIGN(auto files, packet_socket_pair());
  LG_ASSIGN(auto failure, sys::pipe());
  const pid_t parent = ::getpid();
  const pid_t pid = ::fork();
  if (pid < 0) return make_errno_error(Reason::kSandboxUnavailable, "fork", errno);
  if (pid == 0) {
    // The pipe's write end may sit where a socket goes: it is moved out of the way first.
    const int report = ::fcntl(failure.second.get(), F_DUPFD_CLOEXEC, kParkingFd);
    const int sys_errno =
        exec_launcher(path.c_str(), pointers.data(), control.second.get(), files.second.get(), parent);
    [[maybe_unused]] const ssize_t written = ::write(report, &sys_errno, sizeof sys_errno);
    ::_exit(127);
  }
  failure.second.reset();
  LauncherProcess launcher;
  launcher.pid = pid;
  launcher.pidfd.reset(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
  const int pidfd_errno = errno;
  int exec_errno = 0;
  ssize_t got = 0;
  do {
    got = ::read(failure.first.get(), &exec_errno, sizeof exec_errno);
  } while (got < 0 && errno == EINTR);
  if (got == 0 && launcher.pidfd.valid()) {
    launcher.control_socket = std::move(control.first);
    launcher.files_socket = std::move(files.first);
    return launcher;
  }
  ::kill(pid, SIGKILL);
  ::waitpid(pid, nullptr, 0);
  return make_errno_error(Reason::kSandboxUnavailable, "start " + path, got > 0 ? exec_errno : pidfd_errno)
      .with_hint("liongate-launcher is installed beside liongated; see docs/sandbox.md");
}

Result<void> send_request(int socket, const Request& request, const std::vector<int>& descriptors) {
  LG_ASSIGN(const std::vector<std::byte> packet, encode(request));
  if (auto sent = send_packet(socket, packet, descriptors); !sent) {
    Error error = std::move(sent).error();
    if (error.sys_errno == EPIPE || error.sys_errno == ECONNRESET) error.reason = Reason::kSandboxUnavailable;
    return std::move(error).in("send to liongate-launcher");
  }
  return {};
}

Result<ReceivedReport> receive_report(int socket) {
  auto packet = receive_packet(socket);
  if (!packet) {
    Error error = std::move(packet).error();
    if (error.sys_errno == EPIPE) error.reason = Reason::kSandboxUnavailable;
    return std::move(error).in("receive from liongate-launcher");
  }
  LG_ASSIGN(Report report, decode_report(packet->bytes));
  return ReceivedReport{std::move(report), std::move(packet->descriptors)};
}

}  // namespace liongate::sandbox
