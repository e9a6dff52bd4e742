// Goal: a caller waits no longer than it wanted to; the plugin is told, given a grace, and killed if it does not
// listen.
#include <unistd.h>

#include <catch2/catch.hpp>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using namespace std::chrono_literals;
using orchestrator::CallRequest;

namespace {

CallRequest request_within(std::chrono::milliseconds timeout) {
  CallRequest request;
  request.plugin = "hello";
  request.timeout = timeout;
  return request;
}

}  // namespace

TEST_CASE("a call that runs too long ends for its caller, and the plugin is told to cancel it") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(1));
  FakePlugin& plugin = kernel.launcher().last();
  const auto call = kernel.invoke(request_within(30ms));
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->reason() == Reason::kDeadlineExceeded);
  CHECK(call->result->error().message.find("while it ran") != std::string::npos);
  REQUIRE(kernel.until([&] { return plugin.count(v1::Frame::kCancel) == 1; }));
  CHECK(plugin.received.back().cancel().call_id() == call->key);
  CHECK(plugin.received.back().cancel().reason() == "deadline");
  CHECK(kernel.last_event("PluginError").plugin_error().reason() == "DEADLINE_EXCEEDED");
}

TEST_CASE("a call that waited too long in the queue ends without the plugin having seen it") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(1));
  FakePlugin& plugin = kernel.launcher().last();
  const auto running = kernel.invoke(request_within(10s));
  const auto queued = kernel.invoke(request_within(30ms));
  REQUIRE(kernel.until([&] { return queued->done(); }));
  CHECK(queued->reason() == Reason::kDeadlineExceeded);
  CHECK(queued->result->error().message.find("queue") != std::string::npos);
  CHECK_FALSE(running->done());
  plugin.answer(running->key, "done");
  REQUIRE(kernel.until([&] { return running->done(); }));
  kernel.settle();
  CHECK(plugin.invokes().size() == 1);
  CHECK(plugin.count(v1::Frame::kCancel) == 0);
}

TEST_CASE("deadlines pass in their own order, not in that of the calls") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(8));
  const auto late = kernel.invoke(request_within(5s));
  const auto middle = kernel.invoke(request_within(60ms));
  const auto early = kernel.invoke(request_within(20ms));
  REQUIRE(kernel.until([&] { return early->done(); }));
  CHECK_FALSE(middle->done());
  REQUIRE(kernel.until([&] { return middle->done(); }));
  CHECK_FALSE(late->done());
}

TEST_CASE("the configured timeout holds where the caller names none") {
  TemporaryFolder folder;
  orchestrator::Settings settings = Kernel::granting();
  settings.invoke_timeout_ms = 30;
  Kernel kernel(folder.path, settings);
  kernel.loaded("hello", open_calls(1));
  const auto call = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->reason() == Reason::kDeadlineExceeded);
}

TEST_CASE("the manifest's wall time is a limit of the plugin: LIMIT_EXCEEDED") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.inspector().adjust = [](v1::PluginLoaded& loaded) {
    loaded.mutable_manifest()->mutable_limits()->set_wall_time_ms_max(30);
  };
  kernel.loaded("hello", open_calls(8));
  const auto call = kernel.invoke(request_within(10s));
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->reason() == Reason::kLimitExceeded);
  CHECK(call->result->error().metadata.at("limit") == "wall_time_ms_max");
  // A caller that is less patient than the limit still meets its own deadline.
  const auto hurried = kernel.invoke(request_within(5ms));
  REQUIRE(kernel.until([&] { return hurried->done(); }));
  CHECK(hurried->reason() == Reason::kDeadlineExceeded);
}

TEST_CASE("a running call that is cancelled ends at once; its late answer is accepted and frees its slot") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(1));
  FakePlugin& plugin = kernel.launcher().last();
  const auto cancelled = kernel.invoke("hello", "first");
  const auto next = kernel.invoke("hello", "second");
  REQUIRE(kernel.until([&] { return plugin.invokes().size() == 1; }));
  kernel.orchestrator().cancel(cancelled->key);
  REQUIRE(kernel.until([&] { return cancelled->done() && plugin.count(v1::Frame::kCancel) == 1; }));
  CHECK(cancelled->reason() == Reason::kCancelled);
  CHECK(plugin.received.back().cancel().reason() == "cancelled");
  CHECK(plugin.invokes().size() == 1);  // the slot is still the cancelled call's

  plugin.output_part(cancelled->key, "too late");
  plugin.answer(cancelled->key, "too late");
  REQUIRE(kernel.until([&] { return plugin.invokes().size() == 2; }));
  plugin.answer(next->key, "done");
  REQUIRE(kernel.until([&] { return next->done(); }));
  CHECK(next->succeeded());
  CHECK(cancelled->times_done == 1);
  CHECK(cancelled->parts.empty());
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_RUNNING);
  CHECK(kernel.count_events("PluginError") == 1);
}

TEST_CASE("a queued call that is cancelled never reaches the plugin") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(1));
  FakePlugin& plugin = kernel.launcher().last();
  const auto running = kernel.invoke("hello");
  const auto queued = kernel.invoke("hello");
  kernel.orchestrator().cancel(queued->key);
  REQUIRE(kernel.until([&] { return queued->done(); }));
  CHECK(queued->reason() == Reason::kCancelled);
  plugin.answer(running->key, "done");
  REQUIRE(kernel.until([&] { return running->done(); }));
  kernel.settle();
  CHECK(plugin.invokes().size() == 1);
}

TEST_CASE("cancelling a call that has ended, or never was, does nothing") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  const auto call = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return call->done(); }));
  kernel.orchestrator().cancel(call->key);
  kernel.orchestrator().cancel(0);
  kernel.orchestrator().cancel(123'456);
  kernel.settle();
  CHECK(call->times_done == 1);
  CHECK(kernel.count_events("PluginError") == 0);
}

TEST_CASE("a plugin that does not end a cancelled call within the grace is killed and started again") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(8));
  FakePlugin& stubborn = kernel.launcher().last();
  const auto cancelled = kernel.invoke("hello");
  const auto neighbour = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return stubborn.invokes().size() == 2; }));
  const auto begin = std::chrono::steady_clock::now();
  kernel.orchestrator().cancel(cancelled->key);
  REQUIRE(kernel.until([&] { return cancelled->done(); }));
  CHECK_FALSE(stubborn.ended());
  REQUIRE(kernel.until([&] { return neighbour->done(); }));
  CHECK(std::chrono::steady_clock::now() - begin >= std::chrono::milliseconds(limits::kCancelGraceMs));
  CHECK(neighbour->reason() == Reason::kPluginCrashed);
  CHECK(stubborn.ended());
  CHECK(cancelled->times_done == 1);
  CHECK(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_RUNNING; }));
}

TEST_CASE("CPU time of one call beyond the manifest's limit ends the plugin: LIMIT_EXCEEDED") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.inspector().adjust = [](v1::PluginLoaded& loaded) {
    loaded.mutable_manifest()->mutable_limits()->set_cpu_time_ms_max(5);
  };
  Script script = open_calls(1);
  script.pid = ::getpid();  // the test's own CPU time stands for the plugin's
  kernel.loaded("hello", script);
  const auto call = kernel.invoke("hello");
  const auto give_up = std::chrono::steady_clock::now() + 10s;
  while (!call->done() && std::chrono::steady_clock::now() < give_up) kernel.io().poll();  // burns CPU
  REQUIRE(call->done());
  CHECK(call->reason() == Reason::kLimitExceeded);
  CHECK(call->result->error().metadata.at("limit") == "cpu_time_ms_max");
}
