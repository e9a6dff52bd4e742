// Goal: an unmodified program is a plugin: input on stdin, output from stdout, its exit status is the verdict.
#include <catch2/catch.hpp>
#include <csignal>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using namespace std::chrono_literals;
using orchestrator::CallRequest;
using orchestrator::Orchestrator;

namespace {

Script ending(CommandEnd end) {
  Script script;
  script.on_command = [end](const std::string&, const std::string&) { return end; };
  return script;
}

Script endless() {
  Script script;
  script.on_command = [](const std::string&, const std::string&) { return std::nullopt; };
  return script;
}

}  // namespace

TEST_CASE("nothing of a command runs before its first call") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const v1::Plugin plugin = kernel.loaded_command("sorter");
  CHECK(plugin.state() == v1::PLUGIN_STATE_RUNNING);
  CHECK(plugin.concurrency() == limits::kCommandConcurrencyMax);
  CHECK(plugin.pid() == 0);
  CHECK(kernel.launcher().plugins.empty());
}

TEST_CASE("each call is a process of its own: input in, output out") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter");
  for (int i = 0; i < 3; ++i) {
    const auto call = kernel.invoke("sorter", std::to_string(i));
    REQUIRE(kernel.until([&] { return call->done(); }));
    CHECK(call->text() == "echo: " + std::to_string(i));
  }
  CHECK(kernel.launcher().plugins.size() == 3);
  CHECK(kernel.launcher().running() == 0);
}

TEST_CASE("an input larger than a pipe arrives whole") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_command = [](const std::string& input, const std::string&) {
    return CommandEnd{std::to_string(input.size()), "", 0, 0};
  };
  kernel.loaded_command("sorter", script);
  const auto call = kernel.invoke("sorter", std::string(2'000'000, 'i'));
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->text() == "2000000");
}

TEST_CASE("an output that is no text comes as bytes") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter", ending({"\xFF\xFE", "", 0, 0}));
  const auto call = kernel.invoke("sorter");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK((*call->result)->output.data() == "\xFF\xFE");
}

TEST_CASE("a non-zero exit is PLUGIN_ERROR with the last line of stderr") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter", ending({"partial", "reading\ncannot sort this\n", 2, 0}));
  const auto call = kernel.invoke("sorter");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->reason() == Reason::kPluginError);
  CHECK(call->result->error().message.find("exited with status 2: cannot sort this") != std::string::npos);
  CHECK(call->result->error().metadata.at("exit_code") == "2");
  CHECK(call->result->error().metadata.at("stderr") == "reading\ncannot sort this");
}

TEST_CASE("the tail of stderr that an error carries is bounded and is text") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter", ending({"", std::string(30'000, '\xFF'), 1, 0}));
  const auto call = kernel.invoke("sorter");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->result->error().metadata.at("stderr").size() <= 2 * 3 * limits::kCommandStderrTailBytes);
  CHECK(kernel.count_events("PluginError") == 1);
}

TEST_CASE("a command that a signal ended is PLUGIN_CRASHED; the next call is served as ever") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter", ending({"", "", 0, SIGSEGV}));
  const auto call = kernel.invoke("sorter");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->reason() == Reason::kPluginCrashed);
  CHECK(kernel.state("sorter") == v1::PLUGIN_STATE_RUNNING);
  kernel.launcher().script = Script();
  const auto next = kernel.invoke("sorter");
  REQUIRE(kernel.until([&] { return next->done(); }));
  CHECK(next->succeeded());
}

TEST_CASE("how a command is confined is recorded with its first call, and again only when it changed") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter", Script());
  for (int round = 0; round < 3; ++round) {
    const auto call = kernel.invoke("sorter");
    REQUIRE(kernel.until([&] { return call->done(); }));
  }
  CHECK(kernel.count_events("SandboxPosture") == 1);
  CHECK(kernel.last_event("SandboxPosture").sandbox_posture().posture().mechanisms(0).name() == "seccomp");
}

TEST_CASE("a command that called the kernel by another ABI is told so") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter", ending({"", "", 0, SIGSYS}));
  const auto call = kernel.invoke("sorter");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->reason() == Reason::kPluginCrashed);
  CHECK(call->result->error().message.find("another ABI") != std::string::npos);
}

TEST_CASE("signals of limits are LIMIT_EXCEEDED") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.inspector().adjust = [](v1::PluginLoaded& loaded) {
    loaded.mutable_manifest()->mutable_limits()->set_cpu_time_ms_max(1000);
  };
  kernel.loaded_command("sorter", ending({"", "", 0, SIGXCPU}));
  const auto cpu = kernel.invoke("sorter");
  REQUIRE(kernel.until([&] { return cpu->done(); }));
  CHECK(cpu->reason() == Reason::kLimitExceeded);
  kernel.launcher().script = ending({"", "", 0, SIGXFSZ});
  const auto file = kernel.invoke("sorter");
  REQUIRE(kernel.until([&] { return file->done(); }));
  CHECK(file->reason() == Reason::kLimitExceeded);
}

TEST_CASE("an output over the bound ends the command: LIMIT_EXCEEDED") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter", ending({std::string(limits::kOutputBytesMax + 1, 'o'), "", 0, 0}));
  const auto call = kernel.invoke("sorter");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->reason() == Reason::kLimitExceeded);
  CHECK(kernel.launcher().running() == 0);
}

TEST_CASE("an input can become an argument, but not one with NUL bytes") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.inspector().adjust = [](v1::PluginLoaded& loaded) { loaded.mutable_manifest()->add_args("--text={input}"); };
  Script script;
  script.on_command = [](const std::string&, const std::string& argument) {
    return CommandEnd{"got " + argument, "", 0, 0};
  };
  kernel.loaded_command("sorter", script);
  const auto call = kernel.invoke("sorter", "word");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->text() == "got word");
  const auto refused = kernel.invoke("sorter", std::string("a\0b", 3));
  REQUIRE(kernel.until([&] { return refused->done(); }));
  CHECK(refused->reason() == Reason::kInvalidArgument);
}

TEST_CASE("no more commands run at once than the bound") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter", endless());
  std::vector<std::shared_ptr<CallOutcome>> calls;
  for (std::size_t i = 0; i < limits::kCommandConcurrencyMax + 4; ++i) calls.push_back(kernel.invoke("sorter"));
  kernel.settle();
  CHECK(kernel.launcher().running() == limits::kCommandConcurrencyMax);
  CHECK(kernel.orchestrator().counts().calls_queued == 4);
  kernel.launcher().plugins.front()->exit(0);
  REQUIRE(kernel.until([&] { return calls.front()->done(); }));
  CHECK(kernel.launcher().running() == limits::kCommandConcurrencyMax);
}

TEST_CASE("a command whose caller no longer waits is killed at once") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter", endless());
  SECTION("cancelled") {
    const auto call = kernel.invoke("sorter");
    REQUIRE(kernel.until([&] { return kernel.launcher().running() == 1; }));
    kernel.orchestrator().cancel(call->key);
    REQUIRE(kernel.until([&] { return call->done(); }));
    CHECK(call->reason() == Reason::kCancelled);
  }
  SECTION("deadline") {
    CallRequest request;
    request.plugin = "sorter";
    request.timeout = 30ms;
    const auto call = kernel.invoke(request);
    REQUIRE(kernel.until([&] { return call->done(); }));
    CHECK(call->reason() == Reason::kDeadlineExceeded);
  }
  CHECK(kernel.launcher().running() == 0);
}

TEST_CASE("a launch that fails is that call's error alone") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter");
  kernel.launcher().launch_error = make_error(Reason::kSandboxUnavailable, "liongate-launcher is gone");
  const auto call = kernel.invoke("sorter");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->reason() == Reason::kSandboxUnavailable);
  kernel.launcher().launch_error.reset();
  const auto next = kernel.invoke("sorter");
  REQUIRE(kernel.until([&] { return next->done(); }));
  CHECK(next->succeeded());
}

TEST_CASE("a step of the set-up that fails for the program's own sake is the plugin's error") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter");
  supervision::PluginExit exit;
  exit.kind = supervision::ExitKind::kSetupFailed;
  exit.step = "execute /plugin/sorter";
  exit.step_errno = ENOEXEC;
  kernel.launcher().setup_end = exit;
  const auto call = kernel.invoke("sorter");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->reason() == Reason::kPluginError);
}

TEST_CASE("a set-up that failed for want of something passing is the host's, not the plugin's") {
  for (const int passing : {ENOMEM, EMFILE, ENFILE, EAGAIN, ETIMEDOUT}) {
    TemporaryFolder folder;
    Kernel kernel(folder.path);
    kernel.loaded_command("sorter");
    supervision::PluginExit exit;
    exit.kind = supervision::ExitKind::kSetupFailed;
    exit.step = "create the program's process";
    exit.step_errno = passing;
    kernel.launcher().setup_end = exit;
    const auto call = kernel.invoke("sorter");
    REQUIRE(kernel.until([&] { return call->done(); }));
    CHECK(call->reason() == Reason::kSandboxUnavailable);
  }
}

TEST_CASE("a command killed by somebody else while it was set up has crashed") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter");
  supervision::PluginExit exit;
  exit.kind = supervision::ExitKind::kSignalled;
  exit.signal = SIGKILL;
  exit.in_setup = true;
  kernel.launcher().setup_end = exit;
  const auto call = kernel.invoke("sorter");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->reason() == Reason::kPluginCrashed);
  CHECK(call->result->error().message.find("while its sandbox was set up") != std::string::npos);
}

TEST_CASE("a stop waits for running commands and kills them after the grace") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter", endless());
  const auto first = kernel.invoke("sorter");
  const auto second = kernel.invoke("sorter");
  REQUIRE(kernel.until([&] { return kernel.launcher().running() == 2; }));
  const auto stop = kernel.tell(&Orchestrator::stop, "sorter");
  kernel.launcher().plugins.front()->exit(0);
  REQUIRE(kernel.until([&] { return first->done(); }));
  CHECK(first->succeeded());
  CHECK(kernel.wait(stop)->state() == v1::PLUGIN_STATE_STOPPED);
  REQUIRE(kernel.until([&] { return second->done(); }));
  CHECK_FALSE(second->succeeded());
  CHECK(kernel.launcher().running() == 0);
}

TEST_CASE("an unload with running commands ends each call once") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded_command("sorter", endless());
  std::vector<std::shared_ptr<CallOutcome>> calls;
  for (int i = 0; i < 20; ++i) calls.push_back(kernel.invoke("sorter"));
  kernel.settle();
  CHECK(kernel.wait(kernel.tell(&Orchestrator::unload, "sorter")).has_value());
  for (const auto& call : calls) {
    REQUIRE(kernel.until([&] { return call->done(); }));
    CHECK(call->times_done == 1);
  }
  CHECK(kernel.launcher().running() == 0);
}
