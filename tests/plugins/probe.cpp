// probe: reports what a plugin sees of the world, so that tests can tell how tight its walls are.
//
// A question is VERB or VERB:ARGUMENT; the verb is the operation and the argument the input, or both are in the input
// of the default operation. Refusals are part of the answer: "EPERM", not a failure. Verbs:
//   status environ mounts          /proc/self/status, the environment, /proc/self/mountinfo
//   fds                            one line an open descriptor: "3 -> pipe:[123]"
//   ids limits cwd                 uid and gid with groups; rlimits; the current folder
//   files:PATH list:PATH write:PATH   contents; names; "written" or why not
//   processes                      one line a process in /proc: "2 probe"
//   network                        what sockets there are and whether anything can be reached
//   syscall:NUMBER[,ARGUMENT...]   "0" or the name of the error; a filter that kills ends the plugin
//   fork exec:PATH threads         tries it: "forked", a name of an error; exec replaces the plugin when it works
#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <liongate/plugin.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <system_error>
#include <thread>
#include <vector>

#include "tests/plugins/probe_network.h"

using namespace liongate::plugin;

namespace liongate::tests {

std::string error_name(int error) {
  const char* name = ::strerrorname_np(error);
  return name == nullptr ? std::to_string(error) : name;
}

namespace {

constexpr std::size_t kFileBytesMax = 256UL * 1024;
constexpr std::size_t kSyscallArgumentsMax = 6;
constexpr int kGroupsMax = 64;

std::string contents_of(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return error_name(errno);
  std::string contents(kFileBytesMax, '\0');
  std::size_t length = 0;
  ssize_t count = 0;
  while (length < contents.size() && (count = ::read(fd, contents.data() + length, contents.size() - length)) > 0) {
    length += static_cast<std::size_t>(count);
  }
  const int error = errno;
  ::close(fd);
  if (count < 0) return error_name(error);
  contents.resize(length);
  return contents;
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> names;
  DIR* folder = ::opendir(path.c_str());
  if (folder == nullptr) return names;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string name = static_cast<const char*>(entry->d_name);
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(folder);
  std::sort(names.begin(), names.end());
  return names;
}

std::string list(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return error_name(errno);
  ::close(fd);
  std::string lines;
  for (const std::string& name : names_in(path)) lines += name + '\n';
  return lines;
}

std::string write_to(const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return error_name(errno);
  const bool written = ::write(fd, "probe\n", 6) == 6;
  const int error = errno;
  ::close(fd);
  return written ? "written" : error_name(error);
}

// Asks each number instead of listing /proc/self/fd, where the listing itself would be one more.
std::string fds(const std::string&) {
  std::string lines;
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  const auto fd_max = static_cast<int>(std::min<rlim_t>(files.rlim_max, 65'536));
  for (int fd = 0; fd < fd_max; ++fd) {
    if (::fcntl(fd, F_GETFD) < 0) continue;
    std::array<char, 256> target{};
    const std::string link = "/proc/self/fd/" + std::to_string(fd);
    const ssize_t length = ::readlink(link.c_str(), target.data(), target.size());
    lines += std::to_string(fd) + " -> ";
    lines += length < 0 ? error_name(errno) : std::string(target.data(), static_cast<std::size_t>(length));
    lines += '\n';
  }
  return lines;
}

std::string environment(const std::string&) {
  std::string lines;
  for (char** variable = ::environ; *variable != nullptr; ++variable) lines += std::string(*variable) + '\n';
  return lines;
}

std::string processes(const std::string&) {
  std::string lines;
  for (const std::string& name : names_in("/proc")) {
    if (name.find_first_not_of("0123456789") == std::string::npos) {
      lines += name + ' ' + contents_of("/proc/" + name + "/comm");
    }
  }
  return lines;
}

std::string ids(const std::string&) {
  std::array<gid_t, kGroupsMax> groups{};
  const int count = ::getgroups(kGroupsMax, groups.data());
  std::string line = "uid " + std::to_string(::geteuid()) + " gid " + std::to_string(::getegid()) + " groups";
  for (int i = 0; i < count; ++i) line += ' ' + std::to_string(groups[static_cast<std::size_t>(i)]);
  return line + '\n';
}

std::string rlimits(const std::string&) {
  constexpr std::pair<__rlimit_resource, const char*> kLimits[] = {
      {RLIMIT_AS, "as"},           {RLIMIT_CPU, "cpu"},     {RLIMIT_FSIZE, "fsize"},
      {RLIMIT_NOFILE, "nofile"},   {RLIMIT_NPROC, "nproc"}, {RLIMIT_CORE, "core"},
      {RLIMIT_MEMLOCK, "memlock"}, {RLIMIT_STACK, "stack"}, {RLIMIT_DATA, "data"}};
  std::string lines;
  for (const auto& [resource, name] : kLimits) {
    rlimit limit{};
    ::getrlimit(resource, &limit);
    lines += std::string(name) + ' ' +
             (limit.rlim_cur == RLIM_INFINITY ? std::string("unlimited") : std::to_string(limit.rlim_cur)) + '\n';
  }
  return lines;
}

std::string current_folder(const std::string&) {
  std::array<char, 4096> path{};
  return ::getcwd(path.data(), path.size()) == nullptr ? error_name(errno) : path.data();
}

std::string system_call(const std::string& argument) {
  std::array<long, 1 + kSyscallArgumentsMax> numbers{};
  const char* at = argument.c_str();
  for (long& number : numbers) {
    char* end = nullptr;
    number = std::strtol(at, &end, 0);
    if (end == at || *end != ',') break;
    at = end + 1;
  }
  const long result = ::syscall(numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]);
  return result < 0 ? error_name(errno) : std::to_string(result);
}

std::string fork_once(const std::string&) {
  const pid_t child = ::fork();
  if (child < 0) return error_name(errno);
  if (child == 0) ::_exit(0);
  ::waitpid(child, nullptr, 0);
  return "forked";
}

std::string execute(const std::string& path) {
  char* const arguments[] = {const_cast<char*>(path.c_str()), nullptr};
  ::execve(path.c_str(), arguments, ::environ);
  return error_name(errno);
}

std::string start_thread(const std::string&) {
  try {
    std::thread([] {}).join();
    return "started";
  } catch (const std::system_error& error) {
    return error_name(error.code().value());
  }
}

struct Verb {
  std::string_view name;
  std::string (*answer)(const std::string& argument);
};

constexpr Verb kVerbs[] = {
    {"status", [](const std::string&) { return contents_of("/proc/self/status"); }},
    {"mounts", [](const std::string&) { return contents_of("/proc/self/mountinfo"); }},
    {"environ", environment},
    {"fds", fds},
    {"ids", ids},
    {"limits", rlimits},
    {"cwd", current_folder},
    {"files", contents_of},
    {"list", list},
    {"write", write_to},
    {"processes", processes},
    {"network", probe_network},
    {"syscall", system_call},
    {"fork", fork_once},
    {"exec", execute},
    {"threads", start_thread},
};

Outcome answer(Call& call) {
  std::string question = call.operation();
  if (!question.empty() && !call.input().empty()) question += ':';
  question += call.input();
  const std::size_t colon = std::min(question.find(':'), question.size());
  const std::string argument = colon < question.size() ? question.substr(colon + 1) : "";
  for (const Verb& verb : kVerbs) {
    if (verb.name == std::string_view(question).substr(0, colon)) return verb.answer(argument);
  }
  return Failure{"UNKNOWN_VERB", question.substr(0, colon)};
}

}  // namespace
}  // namespace liongate::tests

int main() {
  Plugin plugin({.name = "probe", .version = "0.1.0"});
  plugin.on_any(liongate::tests::answer);
  return plugin.run();
}
