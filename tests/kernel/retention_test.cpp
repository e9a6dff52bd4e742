// Goal: the log stays within its bounds without forgetting anything that a start needs; what goes is in the log.
#include <catch2/catch.hpp>
#include <filesystem>

#include "kernel/registry/state.h"
#include "kernel/snapshot/state_check.h"
#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using namespace std::chrono_literals;

namespace {

constexpr std::uint64_t kSegmentBytes = 64 * 1024;

struct RetainedFolder {
  TemporaryFolder folder;
  std::string log() const { return folder.path + "/log"; }
  std::string snapshots() const { return folder.path + "/snapshots"; }

  KernelOptions options() const {
    KernelOptions options;
    options.settings = Kernel::granting();
    options.settings.snapshot_every_events = 50;
    options.snapshot_folder = snapshots();
    options.segment_bytes = kSegmentBytes;
    return options;
  }
  std::uint64_t log_bytes() const {
    std::uint64_t bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(log())) {
      if (entry.path().extension() == ".lgl") bytes += entry.file_size();
    }
    return bytes;
  }
};

// Calls of about 20 KiB in the log each.
void call(Kernel& kernel, int times) {
  for (int i = 0; i < times; ++i) {
    const auto outcome = kernel.invoke("hello", std::string(10'000, 'x'));
    REQUIRE(kernel.until([&] { return outcome->done(); }));
  }
}

// What is recorded is removed on the writer thread before it takes what comes after it.
bool something_goes(Kernel& kernel) {
  kernel.settle();
  call(kernel, 2);
  return kernel.log().first_seq() > 1;
}

EventSeq first_seq(Kernel& kernel) {
  kernel.settle();
  return kernel.log().first_seq();
}

}  // namespace

TEST_CASE("the log stays within its size, and the next start knows everything") {
  const RetainedFolder state;
  KernelOptions options = state.options();
  options.settings.log_retention_bytes_max = 4 * kSegmentBytes;
  std::string id;
  {
    Kernel kernel(state.log(), options);
    id = kernel.loaded("hello").plugin_id();
    call(kernel, 150);
    REQUIRE(something_goes(kernel));
    const v1::Event removed = kernel.last_event("LogSegmentsRemoved");
    CHECK(removed.log_segments_removed().reason() == "size");
    CHECK(removed.log_segments_removed().segments() > 0);
    CHECK(removed.log_segments_removed().size_bytes() > 0);
    CHECK(kernel.log().first_seq() > removed.log_segments_removed().first_seq());
  }
  // Bounded by the rule and by what two snapshots need.
  CHECK(state.log_bytes() < 3'000'000 / 2);
  Kernel kernel(state.log(), options);
  CHECK(kernel.recovery.snapshot_seq > 0);
  CHECK(kernel.orchestrator().get("hello")->plugin_id() == id);
  CHECK(kernel.orchestrator().get("hello")->statistics().calls_completed() == 152);
  call(kernel, 1);
}

TEST_CASE("nothing goes before there is a snapshot of what it made") {
  const RetainedFolder state;
  KernelOptions options = state.options();
  options.settings.snapshot_every_events = 1'000'000;
  options.settings.log_retention_bytes_max = kSegmentBytes;
  Kernel kernel(state.log(), options);
  kernel.loaded("hello");
  call(kernel, 50);
  kernel.orchestrator().check_log();
  CHECK(first_seq(kernel) == 1);
  CHECK(kernel.count_events("LogSegmentsRemoved") == 0);
}

TEST_CASE("without snapshots nothing ever goes") {
  const RetainedFolder state;
  KernelOptions options = state.options();
  options.snapshot_folder.clear();
  options.settings.log_retention_bytes_max = kSegmentBytes;
  Kernel kernel(state.log(), options);
  kernel.loaded("hello");
  call(kernel, 60);
  kernel.orchestrator().check_log();
  CHECK(first_seq(kernel) == 1);
}

TEST_CASE("a call that is open keeps the event it began with") {
  const RetainedFolder state;
  KernelOptions options = state.options();
  options.settings.log_retention_bytes_max = kSegmentBytes;
  Kernel kernel(state.log(), options);
  Script script;
  script.on_invoke = leave_open;
  kernel.loaded("slow", script);
  FakePlugin& slow = kernel.launcher().last();
  kernel.loaded("hello");
  const auto open = kernel.invoke("slow");
  kernel.settle();
  const EventSeq began = kernel.last_event("PluginInvoked").seq();
  call(kernel, 100);
  REQUIRE(kernel.count_events("SnapshotTaken") >= 2);
  CHECK(first_seq(kernel) <= began);
  slow.answer(open->key, "done");
  REQUIRE(kernel.until([&] { return open->done(); }));
  kernel.orchestrator().check_log();
  CHECK(something_goes(kernel));
  CHECK(kernel.log().first_seq() > began);
}

TEST_CASE("a bound that was set while nothing ran takes effect at the start") {
  const RetainedFolder state;
  {
    Kernel kernel(state.log(), state.options());
    kernel.loaded("hello");
    call(kernel, 60);
    REQUIRE(kernel.shut_down());
    CHECK(kernel.log().first_seq() == 1);
  }
  KernelOptions options = state.options();
  options.settings.log_retention_bytes_max = kSegmentBytes;
  Kernel kernel(state.log(), options);
  CHECK(something_goes(kernel));
}

TEST_CASE("old segments go by age when so much time has passed") {
  const RetainedFolder state;
  KernelOptions options = state.options();
  options.settings.log_retention_age_max_ms = 24LL * 60 * 60 * 1000;
  Kernel kernel(state.log(), options);
  kernel.loaded("hello");
  call(kernel, 60);
  kernel.orchestrator().check_log();
  CHECK(first_seq(kernel) == 1);
  // Two days pass, as the timer would see them.
  for (int hour = 0; hour < 48; ++hour) {
    kernel.clock().pass(1h);
    kernel.orchestrator().check_log();
  }
  REQUIRE(something_goes(kernel));
  CHECK(kernel.last_event("LogSegmentsRemoved").log_segments_removed().reason() == "age");
  CHECK(kernel.count_events("ClockJumped") == 0);
}

TEST_CASE("what was removed is recorded once") {
  const RetainedFolder state;
  KernelOptions options = state.options();
  options.settings.log_retention_bytes_max = 4 * kSegmentBytes;
  Kernel kernel(state.log(), options);
  kernel.loaded("hello");
  call(kernel, 100);
  kernel.orchestrator().check_log();
  kernel.orchestrator().check_log();
  kernel.settle();
  EventSeq through = 0;  // of the first that is still there: those before it were removed themselves
  for (const v1::Event& event : kernel.events()) {
    if (!event.has_log_segments_removed()) continue;
    CHECK((through == 0 || event.log_segments_removed().first_seq() == through + 1));
    through = event.log_segments_removed().last_seq();
  }
}

TEST_CASE("where events were removed and no snapshot is left, a start is refused and says why") {
  const RetainedFolder state;
  KernelOptions options = state.options();
  options.settings.log_retention_bytes_max = kSegmentBytes;
  {
    Kernel kernel(state.log(), options);
    kernel.loaded("hello");
    call(kernel, 100);
    REQUIRE(something_goes(kernel));
  }
  std::filesystem::rename(state.snapshots(), state.snapshots() + ".away");
  {
    options.may_fail = true;
    const Kernel kernel(state.log(), options);
    REQUIRE(kernel.failure.has_value());
    CHECK(kernel.failure->reason == Reason::kLogCorrupt);
    CHECK(kernel.failure->message.find("removed by retention") != std::string::npos);
    CHECK(kernel.failure->hint.find("snapshots") != std::string::npos);
  }
  std::filesystem::remove_all(state.snapshots());
  std::filesystem::rename(state.snapshots() + ".away", state.snapshots());
  const Kernel kernel(state.log(), options);
  CHECK_FALSE(kernel.failure.has_value());
}

TEST_CASE("the state can be checked where the first events are gone") {
  const RetainedFolder state;
  KernelOptions options = state.options();
  options.settings.log_retention_bytes_max = kSegmentBytes;
  {
    Kernel kernel(state.log(), options);
    kernel.loaded("hello");
    call(kernel, 100);
    REQUIRE(something_goes(kernel));
  }
  const auto log = event_log::view_offline(state.log()).value();
  const auto store = snapshot::open_store(state.snapshots()).value();
  const auto checked = snapshot::verify_state(log, store.get(), std::nullopt).value();
  CHECK(checked.base_seq > 0);
  CHECK(checked.matches());
  CHECK(checked.checks.size() == 2);
}
