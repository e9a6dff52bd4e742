// Goal: real programs run in real sandboxes and notice nothing, as root and as an unprivileged user; their ends are
// told exactly.
#include <fcntl.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>

#include "launcher_harness.h"

using namespace liongate::sandbox;
using namespace liongate::sandbox::testing;

namespace {

void check_output(Launcher& launcher, LaunchRequest request, const std::string& input, const std::string& expected) {
  const Outcome outcome = launcher.run(std::move(request), input);
  INFO(name_of(launcher.user()) << ": " << outcome.out << "|" << outcome.exited.step << " " << outcome.exited.argument
                                << " errno " << outcome.exited.step_errno << " signal " << outcome.exited.signal);
  CHECK(outcome.started.has_value());
  CHECK(outcome.exited.kind == EndKind::kExited);
  CHECK(outcome.exited.exit_code == 0);
  CHECK(outcome.out == expected);
}

LaunchRequest with_processes(LaunchRequest request) {
  request.allow_processes = true;
  return request;
}

}  // namespace

TEST_CASE("system programs run: shell, pipes, jq, dynamic C++") {
  for (const User user : available_users()) {
    Launcher launcher(user);
    check_output(launcher, run_system_program("/usr/bin/id", {"id"}), "",
                 "uid=1000(plugin) gid=1000(plugin) groups=1000(plugin)\n");
    check_output(launcher, run_system_program("/bin/sh", {"sh", "-c", "echo $((6 * 7))"}), "", "42\n");
    check_output(launcher, with_processes(run_system_program("/bin/sh", {"sh", "-c", "sh -c 'cat | sort'"})), "b\na\n",
                 "a\nb\n");
    check_output(launcher, run_system_program("/usr/bin/jq", {"jq", "-c", ".a"}), "{\"a\":[1,2]}", "[1,2]\n");
    LaunchRequest modern = run_system_program("/plugin/modern", {"modern"});
    modern.binds.push_back({program_folder(), "/plugin", Access::kReadOnly, Presence::kRequired, true});
    check_output(launcher, modern, "", "caught written 36 1\n");
  }
}

TEST_CASE("python runs with threads, ctypes, temporary files and, where installed, protobuf") {
  const std::string code =
      "import threading, ctypes, tempfile, json, hashlib, os\n"
      "n = []\n"
      "t = [threading.Thread(target=lambda i=i: n.append(i)) for i in range(8)]\n"
      "[x.start() for x in t]; [x.join() for x in t]\n"
      "f = tempfile.TemporaryFile(); f.write(b'x'); f.close()\n"
      "try:\n  import google.protobuf.descriptor_pool\nexcept ImportError: pass\n"
      "print(len(n), ctypes.CDLL(None).getuid(), hashlib.sha256(b'').hexdigest()[:4], os.getcwd())\n";
  for (const User user : available_users()) {
    Launcher launcher(user);
    check_output(launcher, run_system_program("/usr/bin/python3", {"python3", "-I", "-c", code}), "",
                 "8 1000 e3b0 /\n");
  }
}

TEST_CASE("a script runs with its interpreter, argument and arguments, without permission to execute anything") {
  for (const User user : available_users()) {
    Launcher launcher(user);
    const SharedFolder folder;
    ::close(::open((folder.path() + "/script").c_str(), O_CREAT | O_WRONLY, 0755));
    FILE* script = std::fopen((folder.path() + "/script").c_str(), "w");
    REQUIRE(script != nullptr);
    std::fputs("#!/bin/sh -e\necho \"$0 $1 $-\"\n", script);
    std::fclose(script);
    LaunchRequest request = run_system_program("/plugin/script", {"ignored", "first"});
    request.binds.push_back({folder.path(), "/plugin", Access::kReadOnly, Presence::kRequired, true});
    const Outcome outcome = launcher.run(request);
    INFO(outcome.out << outcome.exited.step << outcome.exited.argument);
    CHECK(outcome.out.starts_with("/plugin/script first e"));
  }
}

TEST_CASE("the end of a program is told: exit codes, signals, time and memory") {
  for (const User user : available_users()) {
    INFO(name_of(user));
    Launcher launcher(user);
    const Exited code = launcher.run(run_program("hostile", {"exit", "41"})).exited;
    CHECK(code.kind == EndKind::kExited);
    CHECK(code.exit_code == 41);
    CHECK(code.memory_peak_bytes > 0);
    const Exited signal = launcher.run(run_program("hostile", {"signal", std::to_string(SIGSEGV)})).exited;
    CHECK(signal.kind == EndKind::kSignalled);
    CHECK(signal.signal == SIGSEGV);
  }
}

TEST_CASE("Started names the program's process, the posture and the steps") {
  for (const User user : available_users()) {
    INFO(name_of(user));
    Launcher launcher(user);
    auto running = launcher.launch(run_program("hostile", {"wait"}));
    const auto started = std::get<Started>(launcher.next_report());
    const std::string path = "/proc/" + std::to_string(started.pid) + "/comm";
    FILE* comm = std::fopen(path.c_str(), "r");
    REQUIRE(comm != nullptr);
    char name[32] = {};
    CHECK(std::fgets(name, sizeof name, comm) != nullptr);
    std::fclose(comm);
    // The kernel names a program that was executed by descriptor after the descriptor.
    CHECK(std::string(name).size() > 1);
    CHECK(started.posture.size() > 15);
    CHECK(started.steps.size() > 15);
    launcher.kill_launch(running.launch_id);
    const auto exited = std::get<Exited>(launcher.next_report());
    CHECK(exited.kind == EndKind::kSignalled);
    CHECK(exited.signal == SIGKILL);
  }
}

TEST_CASE("many sandboxes at once each end once") {
  for (const User user : available_users()) {
    Launcher launcher(user);
    constexpr int kCount = 40;
    std::vector<Launcher::Running> running;
    for (int index = 0; index < kCount; ++index)
      running.push_back(launcher.launch(run_program("hostile", {"exit", "7"})));
    int ended = 0;
    for (int reports = 0; reports < 2 * kCount; ++reports) {
      const Report report = launcher.next_report();
      if (const auto* exited = std::get_if<Exited>(&report)) ended += exited->exit_code == 7 ? 1 : 0;
    }
    CHECK(ended == kCount);
  }
}

TEST_CASE("a trial sets up what a start does, tells the posture, and executes nothing") {
  for (const User user : available_users()) {
    Launcher launcher(user);
    LaunchRequest request = run_program("hostile", {"exit", "3"});
    const Outcome ran = launcher.run(request);
    request.is_trial = true;
    const Outcome tried = launcher.run(request);
    INFO(name_of(user));
    CHECK(ran.exited.exit_code == 3);
    CHECK(tried.exited.kind == EndKind::kExited);
    CHECK(tried.exited.exit_code == 0);
    REQUIRE(tried.started.has_value());
    CHECK(tried.started->posture.size() == ran.started->posture.size());
    request.executable = "/plugin/missing";
    CHECK(launcher.run(request).exited.kind == EndKind::kSetupFailed);
  }
}
