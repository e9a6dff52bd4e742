// Goal: start, stop, restart and unload do what they say in every state, finish what runs and refuse what waits.
#include <catch2/catch.hpp>
#include <csignal>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using namespace std::chrono_literals;
using orchestrator::Orchestrator;

TEST_CASE("a stop ends the process in order and says so in the log") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  const Result<v1::Plugin> stopped = kernel.wait(kernel.tell(&Orchestrator::stop, "hello"));
  REQUIRE(stopped.has_value());
  CHECK(stopped->state() == v1::PLUGIN_STATE_STOPPED);
  CHECK(stopped->pid() == 0);
  CHECK(kernel.launcher().running() == 0);
  CHECK(kernel.launcher().last().count(v1::Frame::kShutdown) == 1);
  CHECK(kernel.count_events("PluginStopping") == 1);
  CHECK(kernel.last_event("PluginStopped").plugin_stopped().exit().kind() == "exited");
  CHECK(kernel.last_event("PluginStopped").actor() == "uid:1000");
}

TEST_CASE("a plugin that does not obey is killed after the grace") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.obeys_shutdown = false;
  kernel.loaded("hello", script);
  const auto begin = std::chrono::steady_clock::now();
  CHECK(kernel.wait(kernel.tell(&Orchestrator::stop, "hello")).has_value());
  CHECK(std::chrono::steady_clock::now() - begin >= 100ms);  // the fixture's grace
  CHECK(kernel.last_event("PluginStopped").plugin_stopped().exit().signal() == SIGKILL);
}

TEST_CASE("a stop lets running calls finish and refuses those that wait") {
  TemporaryFolder folder;
  orchestrator::Settings settings = Kernel::granting();
  settings.stop_grace_ms = 5000;
  Kernel kernel(folder.path, settings);
  Script script = open_calls(1);
  script.obeys_shutdown = false;
  kernel.loaded("hello", script);
  FakePlugin& plugin = kernel.launcher().last();
  const auto running = kernel.invoke("hello");
  const auto queued = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return plugin.invokes().size() == 1; }));
  const auto stop = kernel.tell(&Orchestrator::stop, "hello");
  REQUIRE(kernel.until([&] { return plugin.count(v1::Frame::kShutdown) == 1; }));
  CHECK_FALSE(running->done());
  plugin.answer(running->key, "finished");
  plugin.exit(0);
  CHECK(kernel.wait(stop).has_value());
  REQUIRE(kernel.until([&] { return running->done() && queued->done(); }));
  CHECK(running->text() == "finished");
  CHECK(queued->reason() == Reason::kPluginNotRunning);
  CHECK(plugin.invokes().size() == 1);
}

TEST_CASE("calls are refused while a plugin stops and when it has stopped") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  const auto stop = kernel.tell(&Orchestrator::stop, "hello");
  const auto during = kernel.invoke("hello");
  REQUIRE(during->done());
  CHECK(during->reason() == Reason::kPluginNotRunning);
  CHECK(kernel.wait(stop).has_value());
  const auto after = kernel.invoke("hello");
  REQUIRE(after->done());
  CHECK(after->reason() == Reason::kPluginNotRunning);
  CHECK(after->result->error().hint.find("start-plugin") != std::string::npos);
}

TEST_CASE("a stopped plugin starts again by request, under its id") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const v1::Plugin loaded = kernel.loaded("hello");
  CHECK(kernel.wait(kernel.tell(&Orchestrator::stop, "hello")).has_value());
  const Result<v1::Plugin> started = kernel.wait(kernel.tell(&Orchestrator::start, "hello"));
  REQUIRE(started.has_value());
  CHECK(started->plugin_id() == loaded.plugin_id());
  const auto call = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->succeeded());
}

TEST_CASE("what is so already is ILLEGAL_TRANSITION") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  CHECK(kernel.wait(kernel.tell(&Orchestrator::start, "hello")).error().reason == Reason::kIllegalTransition);
  CHECK(kernel.wait(kernel.tell(&Orchestrator::stop, "hello")).has_value());
  CHECK(kernel.wait(kernel.tell(&Orchestrator::stop, "hello")).error().reason == Reason::kIllegalTransition);
}

TEST_CASE("commands to nobody are PLUGIN_NOT_FOUND") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  for (const Kernel::Verb verb :
       {&Orchestrator::start, &Orchestrator::stop, &Orchestrator::restart, &Orchestrator::unload}) {
    CHECK(kernel.wait(kernel.tell(verb, "nobody")).error().reason == Reason::kPluginNotFound);
  }
  CHECK(kernel.wait(kernel.reload("nobody")).error().reason == Reason::kPluginNotFound);
  CHECK(kernel.orchestrator().get("nobody").error().reason == Reason::kPluginNotFound);
}

TEST_CASE("a restart stops and starts, and a start that fails is told") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const v1::Plugin before = kernel.loaded("hello");
  const Result<v1::Plugin> after = kernel.wait(kernel.tell(&Orchestrator::restart, "hello"));
  REQUIRE(after.has_value());
  CHECK(after->instance_id() != before.instance_id());
  CHECK(kernel.launcher().running() == 1);

  kernel.launcher().script.handshake = Script::Handshake::kOwn;
  kernel.launcher().script.on_hello = [](FakePlugin& plugin) { plugin.exit(1); };
  CHECK(kernel.wait(kernel.tell(&Orchestrator::restart, "hello")).error().reason == Reason::kLoadFailure);
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_FAILED);
}

TEST_CASE("a restart starts a stopped plugin") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  CHECK(kernel.wait(kernel.tell(&Orchestrator::stop, "hello")).has_value());
  CHECK(kernel.wait(kernel.tell(&Orchestrator::restart, "hello"))->state() == v1::PLUGIN_STATE_RUNNING);
}

TEST_CASE("a start whose files changed is refused as ENTRY_POINT_CHANGED") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  CHECK(kernel.wait(kernel.tell(&Orchestrator::stop, "hello")).has_value());
  kernel.inspector().digest_now = "digest-2";
  CHECK(kernel.wait(kernel.tell(&Orchestrator::start, "hello")).error().reason == Reason::kEntryPointChanged);
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_FAILED);
}

TEST_CASE("a policy that was tightened holds at the next start") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.inspector().adjust = [](v1::PluginLoaded& loaded) { loaded.mutable_manifest()->add_permissions("env:HOME"); };
  kernel.loaded("hello");
  orchestrator::Settings strict = Kernel::granting();
  strict.policy.otherwise = policy::Default::kRefuse;
  REQUIRE(kernel.orchestrator().set_settings(strict, {}, "uid:1000").has_value());
  CHECK(kernel.wait(kernel.tell(&Orchestrator::restart, "hello")).error().reason == Reason::kPermissionDenied);
  CHECK(kernel.launcher().running() == 0);
  const v1::Event denied = kernel.last_event("PermissionDenied");
  CHECK(denied.permission_denied().permission() == "env:HOME");
  CHECK(denied.permission_denied().action() == "start");
  CHECK(denied.plugin_name() == "hello");
  CHECK(denied.seq() < kernel.last_event("PluginFailed").seq());
}

TEST_CASE("an unload stops the plugin and forgets it; its name is free again") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const v1::Plugin loaded = kernel.loaded("hello");
  const Result<v1::Plugin> unloaded = kernel.wait(kernel.tell(&Orchestrator::unload, "hello"));
  REQUIRE(unloaded.has_value());
  CHECK(unloaded->state() == v1::PLUGIN_STATE_UNLOADED);
  CHECK(unloaded->plugin_id() == loaded.plugin_id());
  CHECK(kernel.orchestrator().list().empty());
  CHECK(kernel.launcher().running() == 0);
  CHECK(kernel.last_event("PluginUnloaded").plugin_id() == loaded.plugin_id());
  kernel.settle();
  CHECK(kernel.orchestrator().counts().plugins == 0);
  CHECK(kernel.loaded("hello").plugin_id() != loaded.plugin_id());
}

TEST_CASE("an unload with queued calls tells each of them, once") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(1));
  std::vector<std::shared_ptr<CallOutcome>> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(kernel.invoke("hello"));
  REQUIRE(kernel.until([&] { return kernel.launcher().last().invokes().size() == 1; }));
  CHECK(kernel.wait(kernel.tell(&Orchestrator::unload, "hello")).has_value());
  for (const auto& call : calls) {
    REQUIRE(kernel.until([&] { return call->done(); }));
    CHECK_FALSE(call->succeeded());
    CHECK(call->times_done == 1);
  }
  for (std::size_t i = 1; i < calls.size(); ++i) CHECK(calls[i]->reason() == Reason::kPluginNotRunning);
}

TEST_CASE("commands of one plugin run one after the other, and each is answered") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  const auto stop = kernel.tell(&Orchestrator::stop, "hello");
  const auto start = kernel.tell(&Orchestrator::start, "hello");
  const auto restart = kernel.tell(&Orchestrator::restart, "hello");
  const auto unload = kernel.tell(&Orchestrator::unload, "hello");
  const auto too_late = kernel.tell(&Orchestrator::start, "hello");
  CHECK(kernel.wait(stop)->state() == v1::PLUGIN_STATE_STOPPED);
  CHECK(kernel.wait(start)->state() == v1::PLUGIN_STATE_RUNNING);
  CHECK(kernel.wait(restart)->state() == v1::PLUGIN_STATE_RUNNING);
  CHECK(kernel.wait(unload)->state() == v1::PLUGIN_STATE_UNLOADED);
  CHECK(kernel.wait(too_late).error().reason == Reason::kPluginNotFound);
  for (const auto& command : {stop, start, restart, unload, too_late}) CHECK(command->times_done == 1);
}

TEST_CASE("lifecycle commands of one plugin are bounded") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  std::vector<std::shared_ptr<CommandOutcome>> commands;
  for (int i = 0; i < 100; ++i) commands.push_back(kernel.tell(&Orchestrator::restart, "hello"));
  REQUIRE(commands.back()->done());
  CHECK(commands.back()->result->error().reason == Reason::kQueueFull);
  for (const auto& command : commands) REQUIRE(kernel.until([&] { return command->done(); }));
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_RUNNING);
}
