// Goal: each durability mode keeps its order of disk, plugin and reply. Method: the orders are observed in one loop, in
// which the log's word that something is durable is a turn of its own.
#include <catch2/catch.hpp>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using orchestrator::CallRequest;
using orchestrator::Durability;

namespace {

CallRequest request_of(Durability durability) {
  CallRequest request;
  request.plugin = "hello";
  request.durability = durability;
  return request;
}

EventSeq seq_of(Kernel& kernel, const std::string& type) {
  return kernel.last_event(type).seq();
}

}  // namespace

TEST_CASE("durable: the reply comes when both of the call's events are on disk") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  EventSeq durable_at_reply = 0;
  const auto call = kernel.invoke(request_of(Durability::kDurable));
  call->on_done = [&] { durable_at_reply = kernel.log().durable_seq(); };
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(durable_at_reply >= seq_of(kernel, "PluginResult"));
  CHECK(kernel.last_event("PluginInvoked").plugin_invoked().durability() == "durable");
}

TEST_CASE("durable: the plugin need not wait for the disk") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_invoke = leave_open;
  kernel.loaded("hello", script);
  kernel.settle();
  const EventSeq before = kernel.orchestrator().counts().durable_seq;
  kernel.invoke(request_of(Durability::kDurable));
  REQUIRE(kernel.until([&] { return kernel.launcher().last().invokes().size() == 1; }));
  CHECK(kernel.orchestrator().counts().durable_seq == before);
}

TEST_CASE("before_run: PluginInvoked is on disk before the plugin sees the call") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  EventSeq durable_at_invoke = 0;
  Script script;
  script.on_invoke = [&](FakePlugin& plugin, const v1::Invoke& invoke) {
    durable_at_invoke = kernel.log().durable_seq();
    plugin.answer(invoke, "ok");
  };
  kernel.loaded("hello", script);
  EventSeq durable_at_reply = 0;
  const auto call = kernel.invoke(request_of(Durability::kBeforeRun));
  call->on_done = [&] { durable_at_reply = kernel.log().durable_seq(); };
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(durable_at_invoke >= seq_of(kernel, "PluginInvoked"));
  CHECK(durable_at_reply >= seq_of(kernel, "PluginResult"));
}

TEST_CASE("batch and async: the reply waits for no disk, and the events come all the same") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  const Durability mode = GENERATE(Durability::kBatch, Durability::kAsync);
  kernel.settle();
  EventSeq heard_at_reply = 0;
  const auto call = kernel.invoke(request_of(mode));
  call->on_done = [&] { heard_at_reply = kernel.orchestrator().counts().durable_seq; };
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->succeeded());
  CHECK(seq_of(kernel, "PluginResult") == kernel.log().last_seq());
  if (mode == Durability::kAsync) CHECK(heard_at_reply < kernel.log().last_seq());
  if (mode == Durability::kBatch) {
    CHECK(kernel.until([&] { return kernel.log().durable_seq() == kernel.log().last_seq(); }));
  }
}

TEST_CASE("the configured durability holds where the caller names none") {
  TemporaryFolder folder;
  orchestrator::Settings settings = Kernel::granting();
  settings.durability = Durability::kBeforeRun;
  Kernel kernel(folder.path, settings);
  kernel.loaded("hello");
  const auto call = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(kernel.last_event("PluginInvoked").plugin_invoked().durability() == "before_run");
}

TEST_CASE("a load is told when all of its events are on disk") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  EventSeq durable_when_told = 0;
  EventSeq last_when_told = 0;
  orchestrator::LoadRequest request;
  request.source.manifest.set_name("hello");
  kernel.orchestrator().load(request, [&](Result<v1::Plugin> loaded) {
    REQUIRE(loaded.has_value());
    durable_when_told = kernel.log().durable_seq();
    last_when_told = kernel.log().last_seq();
  });
  REQUIRE(kernel.until([&] { return last_when_told != 0; }));
  CHECK(durable_when_told == last_when_told);
}

TEST_CASE("a before_run call that is cancelled before it is on disk never reaches the plugin") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  const auto call = kernel.invoke(request_of(Durability::kBeforeRun));
  kernel.orchestrator().cancel(call->key);
  REQUIRE(kernel.until([&] { return call->done(); }));
  kernel.settle();
  CHECK(call->reason() == Reason::kCancelled);
  CHECK(kernel.launcher().last().invokes().empty());
}

TEST_CASE("a before_run call whose plugin is stopped or unloaded meanwhile is refused, not forgotten") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  const auto call = kernel.invoke(request_of(Durability::kBeforeRun));
  SECTION("stopped") {
    const auto stopped = kernel.tell(&orchestrator::Orchestrator::stop, "hello");
    REQUIRE(kernel.until([&] { return stopped->done(); }));
  }
  SECTION("unloaded") {
    const auto unloaded = kernel.tell(&orchestrator::Orchestrator::unload, "hello");
    REQUIRE(kernel.until([&] { return unloaded->done(); }));
  }
  kernel.settle();
  REQUIRE(kernel.until([&] { return call->done(); }, std::chrono::seconds(1)));
  CHECK((call->succeeded() || call->reason() == Reason::kPluginNotRunning));
}
