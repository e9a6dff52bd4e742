// Goal: a wall clock that jumps changes no order, no deadline and forgets nothing.
#include <catch2/catch.hpp>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using namespace std::chrono_literals;

namespace {

constexpr auto kYear = 365 * 24h;
constexpr std::uint64_t kSegmentBytes = 64 * 1024;

void check_order(Kernel& kernel) {
  EventSeq seq = 0;
  std::int64_t time_ns = 0;
  for (const v1::Event& event : kernel.events()) {
    CHECK(event.seq() == ++seq);
    const std::int64_t now_ns = event.time().seconds() * 1'000'000'000 + event.time().nanos();
    CHECK(now_ns >= time_ns);
    time_ns = now_ns;
  }
}

KernelOptions keeping_a_day(const std::string& folder) {
  KernelOptions options;
  options.settings = Kernel::granting();
  options.settings.snapshot_every_events = 50;
  options.settings.log_retention_age_max_ms = 24LL * 60 * 60 * 1000;
  options.snapshot_folder = folder + "/snapshots";
  options.segment_bytes = kSegmentBytes;
  return options;
}

void fill(Kernel& kernel) {
  kernel.loaded("hello");
  for (int i = 0; i < 60; ++i) {
    const auto call = kernel.invoke("hello", std::string(10'000, 'x'));
    REQUIRE(kernel.until([&] { return call->done(); }));
  }
  REQUIRE(kernel.count_events("SnapshotTaken") >= 1);
}

// What is recorded is removed on the writer thread before it takes what comes after it.
bool something_goes(Kernel& kernel) {
  kernel.settle();
  for (int i = 0; i < 2; ++i) {
    const auto call = kernel.invoke("hello");
    REQUIRE(kernel.until([&] { return call->done(); }));
  }
  return kernel.log().first_seq() > 1;
}

}  // namespace

TEST_CASE("a clock that jumps changes no order") {
  const TemporaryFolder folder;
  {
    Kernel kernel(folder.path);
    kernel.loaded("hello");
    for (const auto jump : {-1h, 3h, -24h, -1h, 1000h, -5000h}) {
      kernel.clock().jump(jump);
      const auto call = kernel.invoke("hello");
      REQUIRE(kernel.until([&] { return call->done(); }));
      CHECK(call->succeeded());
    }
    check_order(kernel);
  }
  // The next life finds the clock before the log's last event.
  KernelOptions options{.settings = Kernel::granting(), .clock_offset = -kYear};
  Kernel kernel(folder.path, options);
  check_order(kernel);
}

TEST_CASE("a clock that jumps moves no deadline") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_invoke = leave_open;
  kernel.loaded("hello", script);
  FakePlugin& plugin = kernel.launcher().last();
  orchestrator::CallRequest request;
  request.plugin = "hello";
  request.timeout = 10s;
  const auto patient = kernel.invoke(request);
  request.timeout = 30ms;
  const auto hasty = kernel.invoke(request);
  kernel.clock().jump(10 * kYear);
  REQUIRE(kernel.until([&] { return hasty->done(); }, 2s));
  CHECK(hasty->reason() == Reason::kDeadlineExceeded);
  CHECK_FALSE(patient->done());
  kernel.clock().jump(-20 * kYear);
  const auto late = kernel.invoke(request);
  REQUIRE(kernel.until([&] { return late->done(); }, 2s));
  CHECK(late->reason() == Reason::kDeadlineExceeded);
  CHECK_FALSE(patient->done());
  plugin.answer(patient->key, "done");
  REQUIRE(kernel.until([&] { return patient->done(); }));
  CHECK(patient->succeeded());
}

TEST_CASE("a clock that jumps ten years forward removes nothing by age, and the jump is recorded") {
  const TemporaryFolder folder;
  {
    Kernel kernel(folder.path + "/log", keeping_a_day(folder.path));
    fill(kernel);
    kernel.clock().jump(10 * kYear);
    kernel.orchestrator().check_log();
    kernel.settle();
    CHECK(kernel.log().first_seq() == 1);
    const v1::ClockJumped jumped = kernel.last_event("ClockJumped").clock_jumped();
    CHECK(jumped.found().seconds() - jumped.expected().seconds() > 9 * 365 * 24 * 3600LL);
    REQUIRE(kernel.warnings.size() == 1);
    CHECK(kernel.warnings[0].find("forward") != std::string::npos);
  }
  SECTION("a restart does not make the new time believed") {
    KernelOptions options = keeping_a_day(folder.path);
    options.clock_offset = 10 * kYear;
    Kernel kernel(folder.path + "/log", options);
    kernel.orchestrator().check_log();
    kernel.settle();
    CHECK(kernel.log().first_seq() == 1);
    CHECK(kernel.count_events("ClockJumped") == 1);  // no second one: the log's time is the new one already
    SECTION("a day later it is believed") {
      for (int hour = 0; hour < 25; ++hour) {
        kernel.clock().pass(1h);
        kernel.orchestrator().check_log();
      }
      CHECK(something_goes(kernel));
    }
  }
  SECTION("set back, ages are what they were") {
    Kernel kernel(folder.path + "/log", keeping_a_day(folder.path));
    kernel.settle();
    CHECK(kernel.log().first_seq() == 1);
    CHECK(kernel.count_events("ClockJumped") == 2);
  }
}

TEST_CASE("a clock that was wrong while nothing ran removes nothing by age") {
  const TemporaryFolder folder;
  {
    Kernel kernel(folder.path + "/log", keeping_a_day(folder.path));
    fill(kernel);
    REQUIRE(kernel.shut_down());
  }
  KernelOptions options = keeping_a_day(folder.path);
  options.clock_offset = 10 * kYear;
  Kernel kernel(folder.path + "/log", options);
  kernel.settle();
  CHECK(kernel.log().first_seq() == 1);
  CHECK(kernel.count_events("ClockJumped") == 1);
}

TEST_CASE("a weekend without the daemon is believed") {
  const TemporaryFolder folder;
  {
    Kernel kernel(folder.path + "/log", keeping_a_day(folder.path));
    fill(kernel);
    REQUIRE(kernel.shut_down());
  }
  KernelOptions options = keeping_a_day(folder.path);
  options.clock_offset = 60h;
  Kernel kernel(folder.path + "/log", options);
  CHECK(something_goes(kernel));
  CHECK(kernel.count_events("ClockJumped") == 0);
}

TEST_CASE("a machine that slept did not jump") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path + "/log", keeping_a_day(folder.path));
  kernel.clock().pass(12h);
  kernel.orchestrator().check_log();
  kernel.settle();
  CHECK(kernel.count_events("ClockJumped") == 0);
  CHECK(kernel.warnings.empty());
}
