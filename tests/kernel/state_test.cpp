// Goal: the state that the daemon lives with is the state that its log makes, whatever happened, at any moment.
#include <catch2/catch.hpp>
#include <random>

#include "kernel/registry/state.h"
#include "kernel/snapshot/state_check.h"
#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using orchestrator::AfterLoad;
using orchestrator::Orchestrator;

namespace {

// Holds the living state against the replay of the log, and against every snapshot.
void check_state(Kernel& kernel, const std::string& snapshot_folder) {
  std::optional<registry::StateCopy> living;
  kernel.orchestrator().copy_state([&](registry::StateCopy state) { living = std::move(state); });
  REQUIRE(kernel.until([&] { return living.has_value(); }));
  const auto store = snapshot::open_store(snapshot_folder).value();
  const auto checked = snapshot::verify_state(kernel.log().view(), store.get(), registry::to_message(*living));
  INFO((checked ? std::string() : checked.error().message));
  REQUIRE(checked.has_value());
  for (const snapshot::StateCheck& check : checked->checks) {
    INFO(check.subject << " at event " << check.seq << ": " << check.message);
    CHECK(check.matches());
  }
  CHECK(checked->seq == living->state.seq());
}

// One random thing that may happen to a kernel; most of the commands are refused now and then, and that is part of it.
void do_something(Kernel& kernel, std::mt19937& random, std::vector<std::shared_ptr<CallOutcome>>& calls) {
  const std::string name = "p" + std::to_string(random() % 4);
  Script script;
  script.concurrency = 2;
  if (random() % 3 == 0) script.on_invoke = leave_open;
  kernel.launcher().script = script;
  switch (random() % 11) {
    case 0:
    case 1: {
      orchestrator::LoadRequest request;
      request.source.manifest.set_runtime(random() % 4 == 0 ? "command" : "native");
      if (random() % 4 == 0) request.after_load = AfterLoad::kLeaveStopped;
      kernel.load(name, std::move(request));
      break;
    }
    case 2:
      kernel.tell(&Orchestrator::stop, name);
      break;
    case 3:
      kernel.tell(&Orchestrator::start, name);
      break;
    case 4:
      kernel.tell(&Orchestrator::restart, name);
      break;
    case 5:
      if (random() % 3 == 0) kernel.tell(&Orchestrator::unload, name);
      break;
    case 6:
      kernel.reload(name);
      break;
    case 7:
      for (const auto& plugin : kernel.launcher().plugins) {
        if (plugin->ended() || random() % 3 != 0) continue;
        plugin->die(11);
        break;
      }
      break;
    default: {
      orchestrator::CallRequest request;
      request.plugin = name;
      request.input.set_text("x");
      if (random() % 3 == 0) request.timeout = std::chrono::milliseconds(5);
      request.durability = static_cast<orchestrator::Durability>(random() % 4);
      calls.push_back(kernel.invoke(std::move(request)));
    }
  }
  for (auto turns = random() % 20; turns > 0; --turns) kernel.io().poll_one();
}

}  // namespace

TEST_CASE("the living state is what the log makes of it, after random histories and in the middle of them") {
  for (unsigned seed = 1; seed <= 30; ++seed) {
    INFO("seed " << seed);
    const TemporaryFolder folder;
    std::mt19937 random(seed);
    KernelOptions options;
    options.settings = Kernel::granting();
    options.settings.snapshot_every_events = 100;
    options.segment_bytes = 32 * 1024;
    options.snapshot_folder = folder.path + "/snapshots";
    for (int life = 0; life < 3; ++life) {
      Kernel kernel(folder.path + "/log", options);
      std::vector<std::shared_ptr<CallOutcome>> calls;
      for (int step = 0; step < 150; ++step) {
        do_something(kernel, random, calls);
        if (step % 50 == 25) check_state(kernel, options.snapshot_folder);
      }
      check_state(kernel, options.snapshot_folder);
      if (life == 1) REQUIRE(kernel.shut_down());  // the other lives end with a kill
    }
    const auto log = event_log::view_offline(folder.path + "/log").value();
    const auto store = snapshot::open_store(options.snapshot_folder).value();
    const auto at_rest = snapshot::verify_state(log, store.get(), std::nullopt).value();
    CHECK(at_rest.matches());
    CHECK(at_rest.checks.size() > 0);
    CHECK(at_rest.seq == log.last_seq);
  }
}

TEST_CASE("a state that the log did not make is found") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  std::optional<registry::StateCopy> living;
  kernel.orchestrator().copy_state([&](registry::StateCopy state) { living = std::move(state); });
  REQUIRE(kernel.until([&] { return living.has_value(); }));
  v1::KernelState state = registry::to_message(*living);
  CHECK(snapshot::verify_state(kernel.log().view(), nullptr, state)->matches());
  SECTION("a count") {
    state.mutable_plugins(0)->set_calls_started(1);
  }
  SECTION("a path") {
    state.mutable_plugins(0)->mutable_loaded()->set_folder("/elsewhere");
  }
  SECTION("a wish") {
    state.mutable_plugins(0)->set_desired_running(false);
  }
  SECTION("a call") {
    state.add_open_calls()->set_seq(1);
  }
  const auto checked = snapshot::verify_state(kernel.log().view(), nullptr, state).value();
  CHECK_FALSE(checked.matches());
  CHECK(checked.checks[0].subject == "living");
  CHECK(checked.checks[0].message.find("another state") != std::string::npos);
}

TEST_CASE("the canonical form does not depend on the order of a map") {
  v1::KernelState one;
  v1::KernelState other;
  auto& in_order = *one.add_plugins()->mutable_loaded()->mutable_manifest()->mutable_dependencies();
  auto& backwards = *other.add_plugins()->mutable_loaded()->mutable_manifest()->mutable_dependencies();
  for (int i = 0; i < 100; ++i) in_order["p" + std::to_string(i)] = "1";
  for (int i = 99; i >= 0; --i) backwards["p" + std::to_string(i)] = "1";
  CHECK(registry::state_sha256(one) == registry::state_sha256(other));
}

TEST_CASE("a check of the state ends early when nobody wants it any more") {
  const TemporaryFolder folder;
  const SystemClock clock;
  event_log::Options options;
  options.folder = folder.path;
  {
    auto log = event_log::EventLog::open(options, {}, clock).value();
    v1::Event event;
    event.set_type("ClockJumped");
    for (int i = 0; i < 10'001; ++i) {
      REQUIRE(log->append(event, event_log::SyncClass::kEventually, event_log::RecordUse::kNewWork));
    }
    REQUIRE(log->close());
  }
  const auto log = event_log::view_offline(folder.path).value();
  EventSeq told = 0;
  const auto ended = snapshot::verify_state(log, nullptr, std::nullopt, [&](EventSeq done) {
    told = done;
    return false;
  });
  REQUIRE_FALSE(ended);
  CHECK(ended.error().reason == Reason::kCancelled);
  CHECK(told == 10'000);
  CHECK(snapshot::verify_state(log, nullptr, std::nullopt)->seq == 10'001);
}
