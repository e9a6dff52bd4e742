// escape: one check of the escape suite a call. As a plugin the operation is the id and the input the scene. As
// `escape control ID`, with the scene on stdin, the same code runs without any sandbox: the driver gives it throw-away
// namespaces and scratch files first.
#include <liongate/plugin.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>
#include <string_view>

#include "tests/escape/programs/attempt.h"

namespace liongate::escape {
namespace {

const Check* find_check(std::string_view id) {
  for (const auto& family : {kernel_checks(), privilege_checks(), file_checks(), grant_checks(), network_checks(),
                             process_checks(), protocol_checks()}) {
    for (const Check& check : family) {
      if (id == check.id) return &check;
    }
  }
  return nullptr;
}

std::string run_check(std::string_view id, const Scene& scene) {
  const Check* check = find_check(id);
  if (check == nullptr) return "unknown=" + std::string(id) + "\n";
  Report report(scene);
  check->run(scene, report);
  return report.text();
}

std::string read_stdin() {
  std::string text;
  std::array<char, 4096> chunk{};
  for (ssize_t got = 0; (got = ::read(STDIN_FILENO, chunk.data(), chunk.size())) > 0;) {
    text.append(chunk.data(), static_cast<std::size_t>(got));
  }
  return text;
}

// Not as the first process of the namespace it was given: that one is spared signals that others get.
int control(std::string_view id) {
  const std::string scene = read_stdin();
  const pid_t child = ::fork();
  if (child == 0) {
    const std::string text = run_check(id, Scene(scene + "\nplace=control\n"));
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
  plugin.on_any([](liongate::plugin::Call& call) -> liongate::plugin::Outcome {
    return run_check(call.operation(), Scene(call.input()));
  });
  return plugin.run();
}
