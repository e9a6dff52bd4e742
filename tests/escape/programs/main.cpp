// escape: one check of the escape suite a call. As a plugin the operation is the id and the input the scene. As
// `escape control ID`, with the scene on stdin, the same code runs without any sandbox: the driver gives it throw-away
// namespaces and scratch files first.
#include <fcntl.h>
#include <liongate/plugin.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "tests/escape/programs/attempt.h"

namespace liongate::escape {
namespace {

const Check* find_check(std::string_view id) {
  for (const auto& family : {kernel_checks(), privilege_checks(), file_checks(), grant_checks(), network_checks(),
                             gateway_checks(), process_checks(), protocol_checks(), unlisted_checks()}) {
    for (const Check& check : family) {
      if (id == check.id) return &check;
    }
  }
  return nullptr;
}

Report run_check(std::string_view id, const Scene& scene) {
  Report report(scene);
  const Check* check = find_check(id);
  if (check == nullptr) {
    report.say("unknown", std::string(id));
  } else {
    check->run(scene, report);
  }
  return report;
}

// The daemon's own answer to a host call; only a plugin can make one, so it is none of the checks.
plugin::Outcome ask_for_secret(plugin::Call& call) {
  try {
    return call.secret(call.input());
  } catch (const plugin::Failure& refusal) {
    return refusal.code;
  }
}

plugin::Outcome answer(plugin::Call& call) {
  const Report report = run_check(call.operation(), Scene(call.input()));
  if (!report.failure_code().empty()) return plugin::Failure{report.failure_code(), report.failure_message()};
  plugin::Outcome outcome = report.text();
  for (int count = 0; count < report.warnings(); ++count) outcome.warn("w");
  return outcome;
}

std::string read_stdin() {
  std::string text;
  std::array<char, 4096> chunk{};
  for (ssize_t got = 0; (got = ::read(STDIN_FILENO, chunk.data(), chunk.size())) > 0;) {
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return text;
}

// As root an attempt that works would work on the host. So the control has a mount namespace of its own, in which
// everything but the scratch folder and what is private to it is read-only; without that, no attempt is made.
bool keep_host_unharmed(const std::string& scratch) {
  if (::geteuid() != 0) return true;
  if (::unshare(CLONE_NEWNS) != 0) return false;
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0) return false;
  if (::mount(scratch.c_str(), scratch.c_str(), nullptr, MS_BIND, nullptr) != 0) return false;
  constexpr std::uint64_t kReadOnly = 1;
  std::array<std::uint64_t, 4> set{kReadOnly, 0, 0, 0};
  std::array<std::uint64_t, 4> clear{0, kReadOnly, 0, 0};
  return ::syscall(SYS_mount_setattr, AT_FDCWD, "/", AT_RECURSIVE, set.data(), sizeof set) == 0 &&
         ::syscall(SYS_mount_setattr, AT_FDCWD, scratch.c_str(), 0, clear.data(), sizeof clear) == 0 &&
         ::chdir(scratch.c_str()) == 0;
}

// Not as the first process of the namespace it was given: that one is spared signals that others get.
int control(std::string_view id) {
  const std::string scene = read_stdin();
  if (!keep_host_unharmed(Scene(scene).get("scratch"))) {
    std::printf("control=refused to run: the host could not be made read-only for it\n");
    return 1;
  }
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string text = run_check(id, Scene(scene + "\nplace=control\n")).text();
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
    ::_exit(0);
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (WIFSIGNALED(status)) std::printf("died=signal %d\n", WTERMSIG(status));
  return 0;
}

}  // namespace
}  // namespace liongate::escape

int main(int count, char** arguments) {
  using namespace liongate::escape;
  if (count == 3 && std::string_view(arguments[1]) == "control") return control(arguments[2]);
  // What a set-user-id copy of this program is asked (K29).
  if (count == 2 && std::string_view(arguments[1]) == "who") {
    std::printf("%u\n", ::geteuid());
    return 0;
  }
  liongate::plugin::Plugin plugin({.name = "escape", .version = "0.1.0"});
  plugin.on("ask for secret", ask_for_secret);
  plugin.on_any(answer);
  return plugin.run();
}
