// Goal: a stop of the daemon finishes what it may, tells everybody, ends every process, and DaemonStopped is the last
// word.
#include <catch2/catch.hpp>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using namespace std::chrono_literals;
using orchestrator::Orchestrator;

namespace {

bool is_last(Kernel& kernel, const std::string& type) {
  return kernel.event_types().back() == type;
}

}  // namespace

TEST_CASE("an idle daemon stops its plugins and seals its life with DaemonStopped") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("one");
  kernel.loaded("two");
  REQUIRE(kernel.shut_down());
  CHECK(kernel.launcher().running() == 0);
  CHECK(kernel.last_event("DaemonStopping").daemon_stopping().reason() == "test");
  CHECK(is_last(kernel, "DaemonStopped"));
  CHECK(kernel.log().durable_seq() == kernel.log().last_seq());
  // The plugins' wish to run stays: their stop is no PluginStopped.
  CHECK(kernel.count_events("PluginStopped") == 0);
}

TEST_CASE("open calls may finish within the drain time, new ones are refused") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(1));
  FakePlugin& plugin = kernel.launcher().last();
  const auto running = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return plugin.invokes().size() == 1; }));
  bool done = false;
  kernel.orchestrator().shut_down("test", 5000, [&] { done = true; });
  const auto refused = kernel.invoke("hello");
  REQUIRE(refused->done());
  CHECK(refused->reason() == Reason::kShuttingDown);
  CHECK(kernel.wait(kernel.load("other")).error().reason == Reason::kShuttingDown);
  CHECK(kernel.wait(kernel.tell(&Orchestrator::stop, "hello")).error().reason == Reason::kShuttingDown);
  kernel.settle();
  CHECK_FALSE(done);
  plugin.answer(running->key, "just in time");
  REQUIRE(kernel.until([&] { return done; }));
  CHECK(running->text() == "just in time");
  CHECK(is_last(kernel, "DaemonStopped"));
}

TEST_CASE("calls that outlast the drain time are told, once, before DaemonStopped") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(1));
  const auto running = kernel.invoke("hello");
  const auto queued = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return kernel.launcher().last().invokes().size() == 1; }));
  REQUIRE(kernel.shut_down(20));
  REQUIRE(running->done());
  REQUIRE(queued->done());
  CHECK(running->times_done == 1);
  CHECK(queued->reason() == Reason::kShuttingDown);
  CHECK(is_last(kernel, "DaemonStopped"));
}

TEST_CASE("a second request to stop does not wait for the drain") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(1));
  const auto running = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return kernel.launcher().last().invokes().size() == 1; }));
  bool done = false;
  kernel.orchestrator().shut_down("test", 60'000, [&] { done = true; });
  kernel.orchestrator().shut_down("again", 60'000, [] {});
  CHECK(kernel.until([&] { return done; }, 3s));
  CHECK(running->done());
  CHECK(kernel.count_events("DaemonStopping") == 1);
  CHECK(kernel.count_events("DaemonStopped") == 1);
}

TEST_CASE("a running command is ended and told before DaemonStopped") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_command = [](const std::string&, const std::string&) { return std::nullopt; };
  kernel.loaded_command("sorter", script);
  const auto running = kernel.invoke("sorter");
  REQUIRE(kernel.until([&] { return kernel.launcher().running() == 1; }));
  REQUIRE(kernel.shut_down(20));
  kernel.settle();
  CHECK(running->done());
  CHECK(kernel.launcher().running() == 0);
  CHECK(is_last(kernel, "DaemonStopped"));
}

TEST_CASE("an instance that drains after a reload is ended, and its call told, before DaemonStopped") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script = open_calls(1);
  script.obeys_shutdown = false;
  kernel.loaded("hello", script);
  FakePlugin& old = kernel.launcher().last();
  const auto running = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return old.invokes().size() == 1; }));
  kernel.launcher().script = Script();
  REQUIRE(kernel.wait(kernel.reload("hello")).has_value());
  REQUIRE(kernel.shut_down(20));
  CHECK(running->done());
  CHECK(kernel.launcher().running() == 0);
  kernel.run_for(200ms);
  CHECK(is_last(kernel, "DaemonStopped"));
}

TEST_CASE("a load under way is told and its process killed") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.launcher().script.handshake = Script::Handshake::kSilent;
  const auto load = kernel.load("hello");
  REQUIRE(kernel.until([&] { return kernel.launcher().running() == 1; }));
  REQUIRE(kernel.shut_down());
  REQUIRE(load->done());
  CHECK(load->result->error().reason == Reason::kShuttingDown);
  kernel.settle();
  CHECK(kernel.launcher().running() == 0);
  CHECK(is_last(kernel, "DaemonStopped"));
}

TEST_CASE("whoever waits for a command is told: stop, start and restart under way are answered once") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script stubborn;
  stubborn.obeys_shutdown = false;
  kernel.loaded("hello", stubborn);
  std::shared_ptr<CommandOutcome> command;
  SECTION("a stop") {
    command = kernel.tell(&Orchestrator::stop, "hello");
    REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_STOPPING; }));
  }
  SECTION("a restart that waits for Ready") {
    kernel.launcher().script.handshake = Script::Handshake::kSilent;
    command = kernel.tell(&Orchestrator::restart, "hello");
    REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_STARTING; }));
  }
  SECTION("a restart that waits for the stop") {
    command = kernel.tell(&Orchestrator::restart, "hello");
    REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_STOPPING; }));
  }
  REQUIRE(kernel.shut_down());
  kernel.settle();
  CHECK(command->times_done == 1);
  CHECK(kernel.launcher().running() == 0);
  CHECK(is_last(kernel, "DaemonStopped"));
}

TEST_CASE("commands that wait behind another are told") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  const auto first = kernel.tell(&Orchestrator::restart, "hello");
  const auto second = kernel.tell(&Orchestrator::restart, "hello");
  REQUIRE(kernel.shut_down());
  kernel.settle();
  CHECK(second->times_done == 1);
  CHECK(kernel.launcher().running() == 0);
  CHECK(is_last(kernel, "DaemonStopped"));
}

TEST_CASE("a start whose files are still being looked at does not launch anything afterwards") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  REQUIRE(kernel.wait(kernel.tell(&Orchestrator::stop, "hello")).has_value());
  kernel.inspector().hold_digests = true;
  const auto start = kernel.tell(&Orchestrator::start, "hello");
  kernel.settle();
  REQUIRE(kernel.inspector().held.size() == 1);
  REQUIRE(kernel.shut_down());
  kernel.inspector().held.front()();
  kernel.settle();
  CHECK(kernel.launcher().running() == 0);
  CHECK(is_last(kernel, "DaemonStopped"));
}

TEST_CASE("a call after the end is refused without an event") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  REQUIRE(kernel.shut_down());
  const auto call = kernel.invoke("hello");
  REQUIRE(call->done());
  CHECK(call->reason() == Reason::kShuttingDown);
  CHECK(is_last(kernel, "DaemonStopped"));
}

TEST_CASE("a restart that was due does not come any more") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  kernel.launcher().last().exit(1);
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_CRASHED; }));
  REQUIRE(kernel.shut_down());
  kernel.run_for(200ms);
  CHECK(kernel.launcher().plugins.size() == 1);
  CHECK(is_last(kernel, "DaemonStopped"));
}

TEST_CASE("what crashes while the daemon drains is not started again, and no failure is counted") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("busy", open_calls(1));
  FakePlugin& busy = kernel.launcher().last();
  const auto running = kernel.invoke("busy");
  REQUIRE(kernel.until([&] { return busy.invokes().size() == 1; }));
  kernel.loaded("hello", open_calls(1));
  FakePlugin& hello = kernel.launcher().last();
  const auto lost = kernel.invoke("hello");
  const auto waiting = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return hello.invokes().size() == 1; }));
  bool done = false;
  kernel.orchestrator().shut_down("test", 5000, [&] { done = true; });
  hello.die(SIGKILL);
  REQUIRE(kernel.until([&] { return lost->done() && waiting->done(); }));
  CHECK(waiting->reason() == Reason::kShuttingDown);
  kernel.run_for(200ms);  // more than the first backoff
  CHECK(kernel.launcher().plugins.size() == 2);
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_CRASHED);
  busy.answer(running->key, "done");
  REQUIRE(kernel.until([&] { return done; }));
  CHECK(kernel.count_events("InstanceRestarted") == 0);
}

TEST_CASE("a load whose last event is on its way to the disk does not keep the daemon from ending") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const auto load = kernel.load("hello");
  // Not `until`: between PluginStarted and the answer lies only the sync.
  while (kernel.launcher().plugins.empty() || kernel.orchestrator().list().empty()) kernel.io().run_one();
  REQUIRE(kernel.shut_down());
  CHECK(kernel.launcher().running() == 0);
  CHECK(load->done());
}
