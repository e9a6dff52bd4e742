// Goal: an observer goes on where it was, is told where it cannot, and leaves no cursor when it is unloaded.
#include <catch2/catch.hpp>
#include <filesystem>

#include "tests/kernel/observer_fixture.h"

using namespace liongate;
using namespace liongate::testing;

TEST_CASE("retention that passed the cursor is told as a gap, to the observer and in the log") {
  const TemporaryFolder folder;
  KernelOptions options;
  options.settings = Kernel::granting();
  options.settings.snapshot_every_events = 50;
  options.settings.log_retention_bytes_max = 64 * 1024;
  options.snapshot_folder = folder.path + "/snapshots";
  options.segment_bytes = 64 * 1024;
  Kernel kernel(folder.path, options);
  kernel.loaded("hello");
  observe(kernel, "watcher", showing({"PluginResult"}));
  REQUIRE(kernel.wait(kernel.tell(&orchestrator::Orchestrator::stop, "watcher")).has_value());
  for (int i = 0; i < 200 && kernel.log().first_seq() < 100; ++i) {
    const auto outcome = kernel.invoke("hello", std::string(10'000, 'x'));
    REQUIRE(kernel.until([&] { return outcome->done(); }));
    kernel.settle();
  }
  REQUIRE(kernel.log().first_seq() > 1);
  kernel.launcher().script = Script{};
  REQUIRE(kernel.wait(kernel.tell(&orchestrator::Orchestrator::start, "watcher")).has_value());
  FakePlugin& observer = kernel.launcher().last();
  REQUIRE(
      kernel.until([&] { return observer.count(v1::Frame::kGap) == 1 && kernel.count_events("ObserverGap") == 1; }));
  const auto gap_at = std::find_if(observer.received.begin(), observer.received.end(),
                                   [](const v1::Frame& frame) { return frame.has_gap(); });
  const v1::ObservedGap gap = gap_at->gap();
  CHECK(gap.count() == gap.last_missing_seq() - gap.first_missing_seq() + 1);
  CHECK(kernel.last_event("ObserverGap").observer_gap().count() == gap.count());
  CHECK(status_of(kernel, "watcher").events_missed() == gap.count());
  for (auto at = observer.received.begin(); at != gap_at; ++at) CHECK_FALSE(at->has_event());
}

TEST_CASE("a gap that was not acknowledged is told again, and counted once") {
  const TemporaryFolder folder;
  KernelOptions options;
  options.settings = Kernel::granting();
  options.settings.snapshot_every_events = 50;
  options.settings.log_retention_bytes_max = 64 * 1024;
  options.snapshot_folder = folder.path + "/snapshots";
  options.segment_bytes = 64 * 1024;
  Kernel kernel(folder.path, options);
  kernel.loaded("hello");
  Script script;
  script.acknowledges = false;
  observe(kernel, "watcher", showing({"InstanceCrashed"}), script);  // nothing behind the gap is for it
  REQUIRE(kernel.wait(kernel.tell(&orchestrator::Orchestrator::stop, "watcher")).has_value());
  for (int i = 0; i < 200 && kernel.log().first_seq() < 100; ++i) {
    const auto outcome = kernel.invoke("hello", std::string(10'000, 'x'));
    REQUIRE(kernel.until([&] { return outcome->done(); }));
    kernel.settle();
  }
  const auto start = [&] {
    REQUIRE(kernel.wait(kernel.tell(&orchestrator::Orchestrator::start, "watcher")).has_value());
    REQUIRE(kernel.until([&] { return kernel.launcher().last().count(v1::Frame::kGap) == 1; }));
  };
  start();
  REQUIRE(kernel.until([&] { return kernel.count_events("ObserverGap") == 1; }));
  const std::uint64_t missed = status_of(kernel, "watcher").events_missed();
  REQUIRE(kernel.wait(kernel.tell(&orchestrator::Orchestrator::stop, "watcher")).has_value());
  start();
  CHECK(kernel.count_events("ObserverGap") == 1);
  CHECK(status_of(kernel, "watcher").events_missed() == missed);
  FakePlugin& observer = kernel.launcher().last();
  const auto gap = std::find_if(observer.received.begin(), observer.received.end(),
                                [](const v1::Frame& frame) { return frame.has_gap(); });
  observer.acknowledge(gap->gap().last_missing_seq());
  CHECK(wait_acknowledged(kernel, "watcher", gap->gap().last_missing_seq()));
}

TEST_CASE("a cursor that is in no place of this log begins anew, and that is an event") {
  const TemporaryFolder folder;
  PluginId id;
  {
    Kernel kernel(folder.path);
    kernel.loaded("hello");
    observe(kernel, "watcher");
    id = PluginId(kernel.orchestrator().get("watcher")->plugin_id());
    call(kernel, 2);
    kernel.settle();
  }
  const std::string path = folder.path + "/observers/" + id.str() + ".cursor";
  REQUIRE(std::filesystem::exists(path));
  bool is_foreign = false;
  bool is_lost = false;
  SECTION("removed") {
    is_lost = true;
    std::filesystem::remove(path);
  }
  SECTION("cut off") {
    is_lost = true;
    std::filesystem::resize_file(path, 0);
  }
  SECTION("beyond the end") {
    REQUIRE(observation::CursorFile::open(path)->write({1'000'000, Kernel(folder.path).log().node_id()}));
  }
  SECTION("of another log") {
    is_foreign = true;
    REQUIRE(observation::CursorFile::open(path)->write({2, "another"}));
  }
  Kernel kernel(folder.path);
  REQUIRE(kernel.until([&] { return kernel.count_events("ObserverCursorReset") == 1; }));
  const v1::ObserverCursorReset reset = kernel.last_event("ObserverCursorReset").observer_cursor_reset();
  CHECK(reset.start_seq() == 1);
  CHECK(reset.cursor_seq() == (is_lost ? 0 : is_foreign ? 2 : 1'000'000));
  REQUIRE(kernel.until([&] {
    const auto& plugins = kernel.launcher().plugins;
    return std::any_of(plugins.begin(), plugins.end(), [](const auto& plugin) { return was_shown(*plugin, 1); });
  }));
}

TEST_CASE("an unloaded observer leaves no cursor behind") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  observe(kernel, "watcher");
  const std::string path =
      kernel.observers_folder() + "/" + kernel.orchestrator().get("watcher")->plugin_id() + ".cursor";
  REQUIRE(kernel.until([&] { return std::filesystem::exists(path); }));
  REQUIRE(kernel.wait(kernel.tell(&orchestrator::Orchestrator::unload, "watcher")).has_value());
  CHECK(kernel.until([&] { return !std::filesystem::exists(path); }));
}

TEST_CASE("a reloaded observer goes on where the old one was") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  Script script;
  script.acknowledges = false;
  const auto old = observe(kernel, "watcher", showing({"PluginResult"}), script);
  call(kernel, 2);
  REQUIRE(kernel.until([&] { return old->events().size() == 2; }));
  kernel.launcher().script = Script{};
  kernel.inspector().adjust = [](v1::PluginLoaded& loaded) {
    loaded.mutable_manifest()->set_role("observer");
    loaded.mutable_manifest()->mutable_observer()->add_types("PluginResult");
  };
  REQUIRE(kernel.wait(kernel.reload("watcher")).has_value());
  FakePlugin& fresh = kernel.launcher().last();
  REQUIRE(kernel.until([&] { return fresh.events().size() == 2; }));
  CHECK(seqs_of(fresh) == seqs_of(*old));
}
