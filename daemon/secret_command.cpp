#include "daemon/secret_command.h"

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>

#include "kernel/base/limits.h"
#include "kernel/base/sys.h"

namespace liongate::daemon {
namespace {

using std::chrono::steady_clock;

// One byte more than a value may have and its newline: more was written when it is filled.
constexpr std::size_t kRoomBytes = limits::kSecretBytesMax + 2;

class SpawnAttributes {
 public:
  SpawnAttributes() {
    ::posix_spawn_file_actions_init(&actions_);
    ::posix_spawnattr_init(&attributes_);
  }
  ~SpawnAttributes() {
    ::posix_spawn_file_actions_destroy(&actions_);
    ::posix_spawnattr_destroy(&attributes_);
  }
  SpawnAttributes(const SpawnAttributes&) = delete;
  SpawnAttributes& operator=(const SpawnAttributes&) = delete;

  // Its output goes to `output`, nothing else of ours is there; what we block or ignore is our own business.
  bool prepare(int output) {
    sigset_t none;
    sigset_t all;
    ::sigemptyset(&none);
    ::sigfillset(&all);
    return ::posix_spawn_file_actions_adddup2(&actions_, output, STDOUT_FILENO) == 0 &&
           ::posix_spawn_file_actions_addopen(&actions_, STDIN_FILENO, "/dev/null", O_RDONLY, 0) == 0 &&
           ::posix_spawn_file_actions_addopen(&actions_, STDERR_FILENO, "/dev/null", O_WRONLY, 0) == 0 &&
           ::posix_spawn_file_actions_addclosefrom_np(&actions_, STDERR_FILENO + 1) == 0 &&
           ::posix_spawn_file_actions_addchdir_np(&actions_, "/") == 0 &&
           ::posix_spawnattr_setpgroup(&attributes_, 0) == 0 &&
           ::posix_spawnattr_setsigmask(&attributes_, &none) == 0 &&
           ::posix_spawnattr_setsigdefault(&attributes_, &all) == 0 &&
           ::posix_spawnattr_setflags(&attributes_,
                                      POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF) == 0;
  }

  const posix_spawn_file_actions_t* actions() const { return &actions_; }
  const posix_spawnattr_t* attributes() const { return &attributes_; }

 private:
  posix_spawn_file_actions_t actions_{};
  posix_spawnattr_t attributes_{};
};

// A started program and its whole group, killed and reaped with it.
class Group {
 public:
  explicit Group(pid_t leader) : leader_(leader), pidfd_(static_cast<int>(::syscall(SYS_pidfd_open, leader, 0))) {}
  ~Group() { finish(); }
  Group(const Group&) = delete;
  Group& operator=(const Group&) = delete;

  int pidfd() const { return pidfd_.get(); }

  // Kills what is left, and returns how the leader ended.
  siginfo_t finish() {
    siginfo_t info{};
    if (leader_ <= 0) return info;
    ::kill(-leader_, SIGKILL);  // before it is reaped its number is nobody else's
    while (::waitid(P_PID, static_cast<id_t>(leader_), &info, WEXITED) != 0 && errno == EINTR) {
    }
    leader_ = 0;
    return info;
  }

 private:
  pid_t leader_;
  UniqueFd pidfd_;
};

Result<pid_t> start(const std::vector<std::string>& words, int output) {
  SpawnAttributes spawn;
  std::vector<char*> arguments;
  for (const std::string& word : words) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  char* const environment[] = {nullptr};
  pid_t pid = -1;
  int failed = spawn.prepare(output) ? 0 : EIO;
  if (failed == 0) {
    failed =
        ::posix_spawn(&pid, words.front().c_str(), spawn.actions(), spawn.attributes(), arguments.data(), environment);
  }
  if (failed == 0) return pid;
  return make_errno_error(Reason::kInvalidConfig, "its command " + words.front() + " cannot be started", failed)
      .with_hint("name a program that the daemon's user may execute");
}

// Reads into `room` behind `filled`; false when nothing more is there for now, or ever.
bool read_some(int output, SecretBytes& room, std::size_t& filled) {
  const auto rest = room.bytes().subspan(filled);
  if (rest.empty()) return false;
  const ssize_t got = ::read(output, rest.data(), rest.size());
  if (got > 0) filled += static_cast<std::size_t>(got);
  return got > 0 || (got < 0 && errno == EINTR);
}

enum class Ending { kEnded, kTooMuch, kTimeOver, kCancelled };

Ending await_end(const Group& group, int output, int cancel_fd, steady_clock::time_point deadline, SecretBytes& room,
                 std::size_t& filled) {
  std::array<pollfd, 3> waited{{{group.pidfd(), POLLIN, 0}, {cancel_fd, POLLIN, 0}, {output, POLLIN, 0}}};
  for (;;) {
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(deadline - steady_clock::now()).count();
    if (left <= 0) return Ending::kTimeOver;
    if (::poll(waited.data(), waited.size(), static_cast<int>(left)) < 0 && errno != EINTR) return Ending::kTimeOver;
    if ((waited[1].revents & POLLIN) != 0) return Ending::kCancelled;
    if (waited[2].revents != 0 && !read_some(output, room, filled)) {
      if (filled == room.bytes().size()) return Ending::kTooMuch;
      waited[2].fd = -1;  // closed: its end is what is left to wait for
    }
    if ((waited[0].revents & POLLIN) != 0) {
      while (read_some(output, room, filled)) {
      }
      return filled == room.bytes().size() ? Ending::kTooMuch : Ending::kEnded;
    }
  }
}

Error ended_badly(const siginfo_t& info) {
  const bool exited = info.si_code == CLD_EXITED;
  return make_error(Reason::kLoadFailure, "its command " +
                                              std::string(exited ? "ended with exit code " : "was ended by signal ") +
                                              std::to_string(info.si_status))
      .with_hint("run it by hand as the daemon's user: `env -i` and its words");
}

}  // namespace

Result<SecretBytes> run_secret_command(const std::vector<std::string>& words, int timeout_ms, int cancel_fd) {
  const auto deadline = steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  LG_ASSIGN(auto pipe, sys::pipe());
  LG_TRY(sys::set_nonblocking(pipe.first.get()));
  LG_ASSIGN(const pid_t pid, start(words, pipe.second.get()));
  Group group(pid);
  pipe.second.reset();
  SecretBytes room(kRoomBytes);
  std::size_t filled = 0;
  const Ending ending = await_end(group, pipe.first.get(), cancel_fd, deadline, room, filled);
  const siginfo_t info = group.finish();
  switch (ending) {
    case Ending::kCancelled:
      return make_error(Reason::kShuttingDown, "the daemon is shutting down");
    case Ending::kTimeOver:
      return make_error(Reason::kLoadFailure, "its command did not end within " + std::to_string(timeout_ms) + " ms")
          .with_hint("make it faster, or raise timeout_ms");
    case Ending::kTooMuch:
      break;
    case Ending::kEnded:
      if (info.si_code != CLD_EXITED || info.si_status != 0) return ended_badly(info);
      if (filled > 0 && room.text()[filled - 1] == '\n') --filled;
      if (filled == 0) return make_error(Reason::kLoadFailure, "its command wrote nothing to stdout");
      break;
  }
  if (filled > limits::kSecretBytesMax) {
    return make_error(Reason::kInvalidConfig,
                      "its command wrote more than " + std::to_string(limits::kSecretBytesMax) + " bytes")
        .with_hint("a secret has at most that many");
  }
  room.shrink(filled);
  return room;
}

}  // namespace liongate::daemon
