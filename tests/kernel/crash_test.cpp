// Goal: however a plugin dies, each of its callers gets one clear end, it is started again with patience, not for ever.
#include <catch2/catch.hpp>
#include <csignal>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using namespace std::chrono_literals;

TEST_CASE("a crash ends every open call once, and those that waited run on the next instance") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(2));
  FakePlugin& first = kernel.launcher().last();
  std::vector<std::shared_ptr<CallOutcome>> calls;
  for (int i = 0; i < 4; ++i) calls.push_back(kernel.invoke("hello", std::to_string(i)));
  REQUIRE(kernel.until([&] { return first.invokes().size() == 2; }));
  kernel.launcher().script = Script();  // the next instance behaves
  first.die(SIGSEGV);
  for (const auto& call : calls) REQUIRE(kernel.until([&] { return call->done(); }));
  for (const std::size_t i : {0U, 1U}) {
    CHECK(calls[i]->reason() == Reason::kPluginCrashed);
    CHECK(calls[i]->result->error().message.find("signal 11") != std::string::npos);
  }
  CHECK(calls[2]->text() == "echo: 2");
  CHECK(calls[3]->text() == "echo: 3");
  for (const auto& call : calls) CHECK(call->times_done == 1);
  CHECK(kernel.count_events("PluginError") == 2);
}

TEST_CASE("a crash and the restart after it are events, and the restart waits for its backoff") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const v1::Plugin before = kernel.loaded("hello");
  const auto begin = std::chrono::steady_clock::now();
  kernel.launcher().last().exit(1);
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_CRASHED; }));
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_RUNNING; }));
  CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(limits::kRestartBackoffMsMin * 8 / 10));
  const Result<v1::Plugin> after = kernel.orchestrator().get("hello");
  CHECK(after->plugin_id() == before.plugin_id());
  CHECK(after->instance_id() != before.instance_id());
  CHECK(after->restart_count() == 1);
  CHECK(kernel.last_event("InstanceCrashed").instance_crashed().exit().exit_code() == 1);
  CHECK(kernel.last_event("InstanceCrashed").instance_id() == before.instance_id());
  CHECK(kernel.last_event("InstanceRestarted").instance_restarted().attempt() == 1);
}

TEST_CASE("calls that come while a plugin waits for its restart wait with it") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  kernel.launcher().last().exit(1);
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_CRASHED; }));
  const auto call = kernel.invoke("hello", "patient");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->text() == "echo: patient");
}

TEST_CASE("results that were in the pipe when the plugin died still count") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script = open_calls(8);
  kernel.loaded("hello", script);
  FakePlugin& plugin = kernel.launcher().last();
  const auto answered = kernel.invoke("hello");
  const auto lost = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return plugin.invokes().size() == 2; }));
  plugin.answer(answered->key, "my last words");
  plugin.exit(1);
  REQUIRE(kernel.until([&] { return answered->done() && lost->done(); }));
  CHECK(answered->text() == "my last words");
  CHECK(lost->reason() == Reason::kPluginCrashed);
}

TEST_CASE("too many crashes within a minute: FAILED, its callers are told, and no restart follows") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_invoke = [](FakePlugin& plugin, const v1::Invoke&) { plugin.exit(7); };
  kernel.loaded("hello", script);
  for (int i = 0; i < limits::kRestartsPerMinuteMax; ++i) {
    const auto call = kernel.invoke("hello");
    REQUIRE(kernel.until([&] { return call->done(); }));
    CHECK(call->reason() == Reason::kPluginCrashed);
  }
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_RUNNING; }));
  const auto last = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_FAILED; }));
  CHECK(kernel.orchestrator().get("hello")->state_reason() == "PLUGIN_CRASHED");
  CHECK(kernel.count_events("InstanceRestarted") == limits::kRestartsPerMinuteMax);
  const auto refused = kernel.invoke("hello");
  REQUIRE(refused->done());
  CHECK(refused->reason() == Reason::kPluginNotRunning);

  // A start by request tries again.
  kernel.launcher().script = Script();
  CHECK(kernel.wait(kernel.tell(&orchestrator::Orchestrator::start, "hello")).has_value());
  const auto call = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->succeeded());
}

TEST_CASE("a stop beats the restart that is due") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  kernel.launcher().last().exit(1);
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_CRASHED; }));
  CHECK(kernel.wait(kernel.tell(&orchestrator::Orchestrator::stop, "hello"))->state() == v1::PLUGIN_STATE_STOPPED);
  kernel.run_for(200ms);
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_STOPPED);
  CHECK(kernel.launcher().plugins.size() == 1);
}

TEST_CASE("an unload beats the restart that is due, and its queued calls are told") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  kernel.launcher().last().exit(1);
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_CRASHED; }));
  const auto call = kernel.invoke("hello");
  CHECK(kernel.wait(kernel.tell(&orchestrator::Orchestrator::unload, "hello")).has_value());
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->reason() == Reason::kPluginNotRunning);
  kernel.run_for(200ms);
  CHECK(kernel.launcher().plugins.size() == 1);
}

TEST_CASE("files that changed are not started by a restart: FAILED with the way out") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  kernel.inspector().digest_now = "digest-2";
  kernel.launcher().last().exit(1);
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_FAILED; }));
  CHECK(kernel.launcher().plugins.size() == 1);
  const auto call = kernel.invoke("hello");
  REQUIRE(call->done());
  CHECK(call->result->error().hint.find("reload-plugin") != std::string::npos);
  REQUIRE(kernel.wait(kernel.reload("hello")).has_value());
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_RUNNING);
}

TEST_CASE("a host that can no longer confine is tried again, then says so: FAILED with SANDBOX_UNAVAILABLE") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  kernel.launcher().launch_error = make_error(Reason::kSandboxUnavailable, "liongate-launcher is gone");
  kernel.launcher().last().exit(1);
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_FAILED; }));
  CHECK(kernel.orchestrator().get("hello")->state_reason() == "SANDBOX_UNAVAILABLE");
}

TEST_CASE("want of descriptors at a restart is waited for: nothing is wrong with the plugin") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  kernel.inspector().digest_error = make_errno_error(Reason::kInternal, "open the plugin's folder", EMFILE);
  kernel.launcher().last().exit(1);
  REQUIRE(kernel.until([&] { return kernel.count_events("InstanceRestarted") == 1; }));
  const auto call = kernel.invoke("hello");
  kernel.run_for(50ms);
  CHECK(kernel.count_events("PluginFailed") == 0);
  CHECK_FALSE(call->done());
  kernel.inspector().digest_error.reset();
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->succeeded());
  CHECK(kernel.count_events("PluginFailed") == 0);
}

TEST_CASE("want of descriptors that does not end fails the plugin at last") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  kernel.inspector().digest_error = make_errno_error(Reason::kInternal, "open the plugin's folder", EMFILE);
  kernel.launcher().last().exit(1);
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_FAILED; }));
  CHECK(kernel.launcher().plugins.size() == 1);
}

TEST_CASE("a crash of one plugin is nothing to another") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("steady", open_calls(1));
  FakePlugin& steady = kernel.launcher().last();
  const auto call = kernel.invoke("steady");
  REQUIRE(kernel.until([&] { return steady.invokes().size() == 1; }));
  kernel.loaded("hello");
  kernel.launcher().last().die(SIGKILL);
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_CRASHED; }));
  steady.answer(call->key, "still here");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->text() == "still here");
}
