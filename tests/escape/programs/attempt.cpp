#include "tests/escape/programs/attempt.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

namespace liongate::escape {
namespace {

// Runs `act` in a child and returns what it said; how the child died, if it said nothing.
std::string in_child(const std::function<std::string()>& act) {
  std::array<int, 2> pipe{};
  if (::pipe2(pipe.data(), O_CLOEXEC) != 0) return "no pipe";
  const pid_t child = ::fork();
  if (child == 0) {
    ::close(pipe[0]);
    const std::string said = act();
    const ssize_t written = ::write(pipe[1], said.data(), said.size());
    ::_exit(written == static_cast<ssize_t>(said.size()) ? 0 : 1);
  }
  ::close(pipe[1]);
  std::string said;
  std::array<char, 4096> chunk{};
  for (ssize_t got = 0; (got = ::read(pipe[0], chunk.data(), chunk.size())) > 0;) {
    said.append(chunk.data(), static_cast<std::size_t>(got));
  }
  ::close(pipe[0]);
  int status = 0;
  ::waitpid(child, &status, 0);
  if (said.empty() && WIFSIGNALED(status)) return "signal " + std::to_string(WTERMSIG(status));
  return said;
}

}  // namespace

std::string outcome_of(long result) {
  if (result >= 0) return "ok";
  const char* name = ::strerrorname_np(errno);
  return name == nullptr ? "errno " + std::to_string(errno) : name;
}

long send_descriptors(int socket, const std::vector<int>& descriptors) {
  const std::size_t bytes = descriptors.size() * sizeof(int);
  std::vector<char> room(CMSG_SPACE(bytes));
  char byte = 'x';
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = room.data();
  message.msg_controllen = room.size();
  cmsghdr* const rights = CMSG_FIRSTHDR(&message);
  rights->cmsg_level = SOL_SOCKET;
  rights->cmsg_type = SCM_RIGHTS;
  rights->cmsg_len = CMSG_LEN(bytes);
  std::memcpy(CMSG_DATA(rights), descriptors.data(), bytes);
  return ::sendmsg(socket, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
}

Scene::Scene(std::string_view lines) {
  while (!lines.empty()) {
    const std::string_view line = lines.substr(0, lines.find('\n'));
    lines.remove_prefix(line.size() == lines.size() ? line.size() : line.size() + 1);
    const std::size_t equals = line.find('=');
    if (equals != std::string_view::npos) values_[std::string(line.substr(0, equals))] = line.substr(equals + 1);
  }
}

std::string Scene::get(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? std::string() : found->second;
}

long Scene::number(const std::string& key, long otherwise) const {
  const std::string value = get(key);
  return value.empty() ? otherwise : std::strtol(value.c_str(), nullptr, 10);
}

void Report::attempt(const std::string& name, const std::function<long()>& act) {
  describe(name, [&] { return outcome_of(act()); });
}

void Report::describe(const std::string& name, const std::function<std::string()>& act) {
  say(name, is_control_ ? in_child(act) : act());
}

void Report::say(const std::string& name, const std::string& outcome) {
  text_ += name + "=" + outcome + "\n";
}

std::string contents_of(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return outcome_of(-1);
  std::string contents(64UL * 1024, '\0');
  const ssize_t got = ::read(fd, contents.data(), contents.size());
  const std::string failed = got < 0 ? outcome_of(-1) : "";
  ::close(fd);
  if (got < 0) return failed;
  contents.resize(static_cast<std::size_t>(got));
  return contents;
}

std::string opens(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC | O_NONBLOCK);
  const std::string outcome = outcome_of(fd);
  if (fd >= 0) ::close(fd);
  return outcome;
}

}  // namespace liongate::escape
