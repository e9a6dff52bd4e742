// Goal: nothing of a sandbox outlives its program, its kill, or its launcher.
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <thread>

#include "launcher_harness.h"

using namespace liongate;
using namespace liongate::sandbox;
using namespace liongate::sandbox::testing;

namespace {

// Processes whose command line ends in `mark`, wherever they live.
int count_processes(const std::string& mark) {
  int count = 0;
  DIR* folder = ::opendir("/proc");
  REQUIRE(folder != nullptr);
  while (const dirent* entry = ::readdir(folder)) {
    std::ifstream file(std::string("/proc/") + entry->d_name + "/cmdline");
    std::string line;
    std::getline(file, line, '\xff');
    if (line.find(mark) != std::string::npos) ++count;
  }
  ::closedir(folder);
  return count;
}

// Another program's /proc entry changes without an event: it is looked at until it shows what is awaited.
bool counted_within(const std::string& mark, int count, int timeout_ms) {
  for (int waited_ms = 0; waited_ms < timeout_ms; waited_ms += 10) {
    if (count_processes(mark) == count) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

std::string unique_mark() {
  static int next = 0;
  return "mark-" + std::to_string(::getpid()) + "-" + std::to_string(next++);
}

}  // namespace

TEST_CASE("orphans that ignore every signal end with the program") {
  for (const User user : available_users()) {
    INFO(name_of(user));
    Launcher launcher(user);
    const std::string mark = unique_mark();
    LaunchRequest request = run_program("hostile", {"orphan", mark});
    request.allow_processes = true;
    const Outcome outcome = launcher.run(request);
    CHECK(outcome.out == "left\n");
    CHECK(outcome.exited.exit_code == 0);
    CHECK(count_processes(mark) == 0);
  }
}

TEST_CASE("a plugin that stopped itself is killed") {
  for (const User user : available_users()) {
    INFO(name_of(user));
    Launcher launcher(user);
    const std::string mark = unique_mark();
    auto running = launcher.launch(run_program("hostile", {"stop_self", mark}));
    CHECK(std::holds_alternative<Started>(launcher.next_report()));
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    launcher.kill_launch(running.launch_id);
    const auto exited = std::get<Exited>(launcher.next_report(1000));
    CHECK(exited.signal == SIGKILL);
    CHECK(count_processes(mark) == 0);
  }
}

TEST_CASE("a kill right after the launch is a kill, and unknown ids are ignored") {
  for (const User user : available_users()) {
    INFO(name_of(user));
    Launcher launcher(user);
    launcher.kill_launch(12345);
    for (int round = 0; round < 20; ++round) {
      auto running = launcher.launch(run_program("hostile", {"wait"}));
      launcher.kill_launch(running.launch_id);
      Report report = launcher.next_report();
      if (std::holds_alternative<Started>(report)) report = launcher.next_report();
      CHECK(std::get<Exited>(report).kind == EndKind::kSignalled);
    }
  }
}

TEST_CASE("a sandbox that somebody else kills while it is set up ended by that signal, and says when") {
  for (const User user : available_users()) {
    INFO(name_of(user));
    Launcher launcher(user);
    for (int round = 0; round < 20; ++round) {
      auto running = launcher.launch(run_program("hostile", {"wait"}));
      const std::string pid_text = std::to_string(launcher.pid());
      pid_t pid = 0;
      while (pid == 0) std::ifstream("/proc/" + pid_text + "/task/" + pid_text + "/children") >> pid;
      ::kill(pid, SIGKILL);
      Report report = launcher.next_report();
      const bool ran = std::holds_alternative<Started>(report);
      if (ran) report = launcher.next_report();
      const auto& exited = std::get<Exited>(report);
      CHECK(exited.kind == EndKind::kSignalled);
      CHECK(exited.signal == SIGKILL);
      CHECK(exited.step == (ran ? "" : "set up the sandbox"));
    }
  }
}

TEST_CASE("the launcher's death and the daemon's take every plugin along within a second") {
  for (const User user : available_users()) {
    for (const bool killed : {true, false}) {
      INFO(name_of(user) << (killed ? " launcher killed" : " daemon gone"));
      Launcher launcher(user);
      const std::string mark = unique_mark();
      std::vector<Launcher::Running> running;
      for (int index = 0; index < 5; ++index)
        running.push_back(launcher.launch(run_program("hostile", {"wait", mark})));
      for (int index = 0; index < 5; ++index) CHECK(std::holds_alternative<Started>(launcher.next_report()));
      // Started is said when the exec has begun; the command line that is looked for is set a moment later.
      CHECK(counted_within(mark, 5, 1000));
      if (killed) {
        ::kill(launcher.pid(), SIGKILL);
      } else {
        launcher.close_control();
      }
      CHECK(counted_within(mark, 0, 1000));
    }
  }
}

TEST_CASE("a sandbox keeps no descriptor of its neighbours open") {
  for (const User user : available_users()) {
    INFO(name_of(user));
    Launcher launcher(user);
    auto first = launcher.launch(run_program("hostile", {"exit", "0"}));
    auto second = launcher.launch(run_program("hostile", {"wait"}));
    // The end of the first program's output is seen although the second sandbox lives on.
    char chunk[16];
    CHECK(::read(first.output.get(), chunk, sizeof chunk) == 0);
    launcher.kill_launch(second.launch_id);
    // Killed before its program ran, the second never says Started; both say Exited.
    for (int ended = 0; ended < 2;) ended += std::holds_alternative<Exited>(launcher.next_report()) ? 1 : 0;
  }
}

TEST_CASE("behind the launcher's /proc/PID/exe is sealed memory, not the file that the next start would run") {
  for (const User user : available_users()) {
    INFO(name_of(user));
    Launcher launcher(user);
    const auto running = launcher.launch(run_program("hostile", {"wait"}));
    const auto started = std::get<Started>(launcher.next_report());
    const std::string program = "/proc/" + std::to_string(launcher.pid()) + "/exe";
    const UniqueFd file(::open(program.c_str(), O_RDONLY | O_CLOEXEC));
    const auto row = std::ranges::find(started.posture, "sealed launcher", &Mechanism::name);
    REQUIRE(row != started.posture.end());
    if (row->state == "absent") {
      std::printf("skipped: sealed launcher: %s\n", row->detail.c_str());
      continue;
    }
    constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;
    REQUIRE(file.valid());
    CHECK((::fcntl(file.get(), F_GET_SEALS) & kSeals) == kSeals);
    CHECK(std::filesystem::read_symlink(program).string().starts_with("/memfd:"));
    // Root may open it for writing as soon as nobody runs it, and even then the seal holds.
    CHECK_FALSE(UniqueFd(::open(program.c_str(), O_WRONLY | O_CLOEXEC)).valid());
    launcher.kill_launch(running.launch_id);
    launcher.next_report();
  }
}

TEST_CASE("from inside, neither one's own program nor that of pid 1 can be opened for writing") {
  for (const User user : available_users()) {
    INFO(name_of(user));
    Launcher launcher(user);
    for (const char* path : {"/proc/self/exe", "/proc/1/exe"}) {
      const std::string said = launcher.run(run_program("hostile", {"open_for_writing", path})).out;
      INFO(said);
      CHECK(said.find("=ok") == std::string::npos);
      CHECK(said.starts_with(path));
    }
  }
}

TEST_CASE("the launcher has one thread, whatever it does: what it clones may use all that it uses itself") {
  Launcher launcher(available_users().front());
  const auto running = launcher.launch(run_program("hostile", {"wait"}));
  launcher.next_report();
  const auto threads =
      std::distance(std::filesystem::directory_iterator("/proc/" + std::to_string(launcher.pid()) + "/task"), {});
  CHECK(threads == 1);
  launcher.kill_launch(running.launch_id);
  launcher.next_report();
}

TEST_CASE("no two sandboxes are in one network, nor is any in the launcher's, whether it was made ahead or not") {
  for (const User user : available_users()) {
    INFO(name_of(user));
    Launcher launcher(user);
    constexpr std::size_t kSandboxes = 6;
    std::set<std::string> networks;
    networks.insert(std::filesystem::read_symlink("/proc/self/ns/net").string());
    std::vector<Launcher::Running> running;
    const auto take_started = [&] {
      const auto started = std::get<Started>(launcher.next_report());
      networks.insert(std::filesystem::read_symlink("/proc/" + std::to_string(started.pid) + "/ns/net").string());
    };
    // One after the other there is time to make the next one ahead; together there is not.
    for (std::size_t index = 0; index < kSandboxes / 2; ++index) {
      running.push_back(launcher.launch(run_program("hostile", {"wait"})));
      take_started();
    }
    for (std::size_t index = kSandboxes / 2; index < kSandboxes; ++index) {
      running.push_back(launcher.launch(run_program("hostile", {"wait"})));
    }
    for (std::size_t index = kSandboxes / 2; index < kSandboxes; ++index) take_started();
    CHECK(networks.size() == kSandboxes + 1);
    for (const auto& one : running) launcher.kill_launch(one.launch_id);
    for (std::size_t index = 0; index < kSandboxes; ++index) launcher.next_report();
  }
}
