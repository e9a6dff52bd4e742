#include "sandbox/launcher_process.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>
#include <string_view>

#include "kernel/base/sys.h"
#include "sandbox/launcher_descriptors.h"
#include "sandbox/packet_socket.h"

namespace liongate::sandbox {
namespace {

// Above every descriptor the launcher is given, so that moving one to its place never overwrites another.
constexpr int kParkingFd = 16;

// What a daemon says to a launcher that is a service; behind it the names that may be degraded.
constexpr std::string_view kGreeting = "allow-degraded=";

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

std::string comma_separated(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ",") + name;
  return text;
}

std::vector<std::string> arguments_of(const LauncherOptions& options) {
  std::vector<std::string> arguments{"liongate-launcher"};
  if (!options.plugin_uids.empty()) arguments.insert(arguments.end(), {"--plugin-uids", options.plugin_uids});
  const std::string names = comma_separated(options.allow_degraded);
  if (options.is_cgroup_delegated) arguments.emplace_back("--cgroup-delegated");
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

Result<LauncherProcess> connect_launcher(const std::string& socket_path,
                                         const std::vector<std::string>& allow_degraded) {
  const auto refused = [&socket_path](int sys_errno) {
    return make_errno_error(Reason::kSandboxUnavailable, "connect to the launcher at " + socket_path, sys_errno)
        .with_hint("systemctl start liongate-launcher.socket; it admits user liongate and root");
  };
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (socket_path.size() >= sizeof address.sun_path) return refused(ENAMETOOLONG);
  std::memcpy(address.sun_path, socket_path.c_str(), socket_path.size() + 1);
  const UniqueFd connection(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!connection) return refused(errno);
  if (::connect(connection.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return refused(errno);
  }
  LG_ASSIGN(auto control, packet_socket_pair());
  LG_ASSIGN(auto files, packet_socket_pair());
  const std::array<int, 2> theirs{control.second.get(), files.second.get()};
  const std::string greeting = std::string(kGreeting) + comma_separated(allow_degraded);
  if (auto sent = send_packet(connection.get(), std::as_bytes(std::span(greeting)), theirs); !sent) {
    return refused(sent.error().sys_errno);
  }
  LauncherProcess launcher;
  launcher.control_socket = std::move(control.first);
  launcher.files_socket = std::move(files.first);
  return launcher;
}

Result<Greeting> accept_daemon(int connection) {
  pollfd readable{connection, POLLIN, 0};
  const int ready = ::poll(&readable, 1, kServiceHandshakeMs);
  if (ready < 0) return make_errno_error(Reason::kInternal, "poll", errno);
  if (ready == 0) return make_error(Reason::kInternal, "the daemon sent no sockets");
  LG_ASSIGN(Packet packet, receive_packet(connection));
  const std::string_view text(reinterpret_cast<const char*>(packet.bytes.data()), packet.bytes.size());
  if (packet.descriptors.size() != 2 || !text.starts_with(kGreeting)) {
    return make_error(Reason::kInternal, "what the daemon sent is no greeting with two sockets");
  }
  return Greeting{std::move(packet.descriptors[0]), std::move(packet.descriptors[1]),
                  std::string(text.substr(kGreeting.size()))};
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
