#include "cli/private_daemon.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

// glibc 2.36 forgot to say so itself.
extern "C" {
#include <sys/pidfd.h>
}

#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>

#include "cli/interrupt.h"
#include "cli/sibling_program.h"
#include "kernel/base/limits.h"
#include "kernel/base/sys.h"

namespace liongate::cli {
namespace {

constexpr int kStartTimeoutMs = 15'000;
constexpr int kStopTimeoutMs = limits::kStopGraceMs + limits::kShutdownDrainMs + 5'000;
constexpr std::size_t kLogBytesMax = 1024 * 1024;
constexpr std::size_t kSocketNameBytes = sizeof "/control.sock";

// Rounds what is left up, so that poll does not spin through the last millisecond.
int left_ms(std::chrono::steady_clock::time_point deadline) {
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
  return left.count() < 0 ? 0 : static_cast<int>(left.count());
}

Error failed(std::string_view what) {
  return make_errno_error(Reason::kInternal, what, errno);
}

}  // namespace

Result<std::unique_ptr<PrivateDaemon>> PrivateDaemon::start(Mode mode) {
  LG_ASSIGN(const std::string program, find_sibling("liongated"));
  interrupt_fd();
  std::unique_ptr<PrivateDaemon> daemon(new PrivateDaemon);
  LG_TRY(daemon->make_folder());
  LG_TRY(daemon->open_notify_socket());
  LG_TRY(daemon->spawn(program, mode));
  LG_TRY(daemon->wait_until_ready());
  return daemon;
}

PrivateDaemon::~PrivateDaemon() {
  stop();
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

Result<void> PrivateDaemon::make_folder() {
  const char* named = std::getenv("TMPDIR");
  std::string pattern = std::string(named != nullptr && *named == '/' ? named : "/tmp") + "/liongate-run-XXXXXX";
  // A deep TMPDIR does not fit a socket's address.
  if (pattern.size() + kSocketNameBytes > limits::kSocketPathBytesMax) pattern = "/tmp/liongate-run-XXXXXX";
  if (::mkdtemp(pattern.data()) == nullptr) return failed("making a temporary folder " + pattern);
  folder_ = pattern;
  // Started as root, the daemon becomes another user and still has to reach its state below.
  if (::geteuid() == 0 && ::chmod(folder_.c_str(), 0711) != 0) return failed("chmod " + folder_);
  // A file of its own, so that the system's configuration has no say in a private run.
  LG_ASSIGN(const UniqueFd config, sys::open(config_path(), O_WRONLY | O_CREAT | O_EXCL, 0644));
  return sys::write_all(config.get(), "environment: development\nlog_level: warning\n");
}

Result<void> PrivateDaemon::open_notify_socket() {
  notify_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!notify_.valid()) return failed("socket");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const std::string path = notify_path();
  std::memcpy(address.sun_path, path.c_str(), path.size());
  if (::bind(notify_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    return failed("bind " + path);
  }
  return ::chmod(path.c_str(), 0666) == 0 ? Result<void>() : failed("chmod " + path);
}

Result<void> PrivateDaemon::spawn(const std::string& program, Mode mode) {
  const pid_t parent = ::getpid();
  const pid_t child = ::fork();
  if (child < 0) return failed("fork");
  if (child == 0) become_daemon(program, mode, parent);
  process_.reset(::pidfd_open(child, 0));
  if (process_.valid()) return {};
  const Error error = failed("pidfd_open");
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  return error;
}

// In the child. A group of its own keeps the terminal's Ctrl-C away from it: we stop it when we are done.
void PrivateDaemon::become_daemon(const std::string& program, Mode mode, pid_t parent) const {
  ::setpgid(0, 0);
  ::prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (::getppid() != parent) ::_exit(1);
  unblock_interrupts();
  const int log = ::open(log_path().c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
  const int nothing = ::open("/dev/null", O_RDONLY);
  if (log < 0 || nothing < 0) ::_exit(1);
  ::dup2(nothing, STDIN_FILENO);
  ::dup2(log, STDOUT_FILENO);
  ::dup2(log, STDERR_FILENO);
  if (log > STDERR_FILENO) ::close(log);
  if (nothing > STDERR_FILENO) ::close(nothing);
  ::setenv("NOTIFY_SOCKET", notify_path().c_str(), 1);
  ::unsetenv("LISTEN_FDS");
  ::unsetenv("WATCHDOG_USEC");
  const std::string state = folder_ + "/state";
  const std::string control = socket();
  const std::string config = config_path();
  ::execl(program.c_str(), program.c_str(), "--config", config.c_str(), "--state-dir", state.c_str(), "--socket",
          control.c_str(), "--environment", "development", mode == Mode::kLearn ? "--learn" : nullptr,
          static_cast<char*>(nullptr));
  ::dprintf(STDERR_FILENO, "%s: %s\n", program.c_str(), std::strerror(errno));
  ::_exit(1);
}

bool PrivateDaemon::read_ready() {
  char message[4096];
  for (;;) {
    const ssize_t got = ::recv(notify_.get(), message, sizeof message, 0);
    if (got < 0) return false;
    const std::string lines = "\n" + std::string(message, static_cast<std::size_t>(got)) + "\n";
    if (lines.find("\nREADY=1\n") != std::string::npos) return true;
  }
}

Result<void> PrivateDaemon::did_not_start() const {
  Result<std::string> log = sys::read_file(log_path(), kLogBytesMax);
  std::string words = log ? *log : "";
  while (words.ends_with('\n')) words.pop_back();
  words.erase(0, words.rfind('\n') + 1);
  return make_error(Reason::kInternal,
                    "the private daemon did not start: " + (words.empty() ? "no reason given" : words))
      .with_hint("liongatectl check-host shows what this host lacks");
}

Result<void> PrivateDaemon::wait_until_ready() {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kStartTimeoutMs);
  for (;;) {
    pollfd fds[] = {{notify_.get(), POLLIN, 0}, {process_.get(), POLLIN, 0}, {interrupt_fd(), POLLIN, 0}};
    const int ready = ::poll(fds, 3, left_ms(deadline));
    if (ready < 0 && errno != EINTR) return failed("poll");
    if (ready == 0) return make_error(Reason::kInternal, "the private daemon was not ready in time");
    if (ready < 0) continue;
    if (fds[0].revents != 0 && read_ready()) return {};
    if (fds[1].revents != 0) return did_not_start();
    if (fds[2].revents != 0 && take_interrupt()) return make_error(Reason::kCancelled, "cancelled");
  }
}

void PrivateDaemon::stop() {
  if (!process_.valid()) return;
  ::pidfd_send_signal(process_.get(), SIGTERM, nullptr, 0);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(kStopTimeoutMs);
  for (;;) {
    pollfd fds[] = {{process_.get(), POLLIN, 0}, {interrupt_fd(), POLLIN, 0}};
    const int ready = ::poll(fds, 2, left_ms(deadline));
    if (ready > 0 && fds[0].revents != 0) break;
    if (ready == 0 || (ready > 0 && take_interrupt())) {
      ::pidfd_send_signal(process_.get(), SIGKILL, nullptr, 0);
    }
    if (ready == 0) break;
  }
  siginfo_t info{};
  while (::waitid(P_PIDFD, static_cast<id_t>(process_.get()), &info, WEXITED) != 0 && errno == EINTR) {
  }
  process_.reset();
}

}  // namespace liongate::cli
