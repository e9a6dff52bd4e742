// Goal: a start from a snapshot and the events behind it is the same as one from all events; a snapshot that cannot be
// trusted is never used, and missed only where retention made it necessary.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "kernel/registry/state.h"
#include "kernel/snapshot/state_check.h"
#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using orchestrator::Orchestrator;

namespace {

// A state folder with a log and snapshots in it.
struct StateFolder {
  TemporaryFolder folder;
  std::string log() const { return folder.path + "/log"; }
  std::string snapshots() const { return folder.path + "/snapshots"; }
  std::string snapshot(EventSeq seq) const { return snapshots() + "/" + snapshot::file_name(seq); }

  KernelOptions options(std::uint64_t every_events = 1'000'000) const {
    KernelOptions options;
    options.settings = Kernel::granting();
    options.settings.snapshot_every_events = every_events;
    options.snapshot_folder = snapshots();
    return options;
  }
};

// A life with a loaded plugin, a few calls and an orderly end, which takes a snapshot. Returns the plugin's id.
std::string live_once(const StateFolder& state) {
  Kernel kernel(state.log(), state.options());
  const std::string id = kernel.loaded("hello").plugin_id();
  for (int i = 0; i < 3; ++i) {
    const auto call = kernel.invoke("hello");
    REQUIRE(kernel.until([&] { return call->done(); }));
  }
  REQUIRE(kernel.shut_down());
  return id;
}

EventSeq newest(const StateFolder& state) {
  return snapshot::open_store(state.snapshots()).value()->list().value().at(0);
}

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

void write_file(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

// Starts, checks that the plugin is there as it was, and returns what the start was built on.
EventSeq start_again(const StateFolder& state, const std::string& id, std::size_t ignored) {
  Kernel kernel(state.log(), state.options());
  CHECK(kernel.orchestrator().get("hello")->plugin_id() == id);
  CHECK(kernel.orchestrator().get("hello")->statistics().calls_completed() == 3);
  const v1::DaemonStarted started = kernel.last_event("DaemonStarted").daemon_started();
  CHECK(started.snapshot_seq() == kernel.recovery.snapshot_seq);
  CHECK(static_cast<std::size_t>(started.snapshots_ignored_size()) == ignored);
  CHECK(kernel.warnings.size() == ignored);
  return kernel.recovery.snapshot_seq;
}

}  // namespace

TEST_CASE("an orderly end takes a snapshot, and the next start reads what is behind it alone") {
  const StateFolder state;
  const std::string id = live_once(state);
  Kernel kernel(state.log(), state.options());
  CHECK(kernel.recovery.snapshot_seq == newest(state));
  CHECK(kernel.recovery.events_replayed == 2);  // SnapshotTaken and DaemonStopped
  CHECK(kernel.orchestrator().get("hello")->plugin_id() == id);
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_RUNNING; }));
  const v1::SnapshotTaken taken = kernel.last_event("SnapshotTaken").snapshot_taken();
  CHECK(taken.at_seq() == kernel.recovery.snapshot_seq);
  CHECK(taken.file() == snapshot::file_name(taken.at_seq()));
  CHECK(taken.size_bytes() == std::filesystem::file_size(state.snapshot(taken.at_seq())));
  CHECK(taken.state_sha256() == snapshot::open_store(state.snapshots()).value()->read(taken.at_seq())->state_sha256());
}

TEST_CASE("the last event of an orderly life is DaemonStopped, the snapshot stands before it") {
  const StateFolder state;
  live_once(state);
  const auto reader = event_log::read_offline(state.log(), 0).value();
  std::vector<std::string> types;
  v1::Event event;
  while (*reader->next(event)) types.push_back(event.type());
  REQUIRE(types.size() > 2);
  CHECK(types.back() == "DaemonStopped");
  CHECK(types[types.size() - 2] == "SnapshotTaken");
}

TEST_CASE("a snapshot is taken after so many events, and two are kept") {
  const StateFolder state;
  Kernel kernel(state.log(), state.options(20));
  kernel.loaded("hello");
  // While one is written no other begins: on a slow disk it takes more events until there are three.
  for (std::size_t taken = 1; taken <= 3; ++taken) {
    for (int i = 0; i < 20; ++i) {
      const auto call = kernel.invoke("hello");
      REQUIRE(kernel.until([&] { return call->done(); }));
    }
    REQUIRE(kernel.until([&] { return kernel.count_events("SnapshotTaken") >= taken; }));
  }
  kernel.settle();
  const auto kept = snapshot::open_store(state.snapshots()).value()->list().value();
  CHECK(kept.size() == limits::kSnapshotsKept);
  CHECK(kept[0] == kernel.last_event("SnapshotTaken").snapshot_taken().at_seq());
}

TEST_CASE("a snapshot is taken after so many bytes") {
  const StateFolder state;
  KernelOptions options = state.options();
  options.settings.snapshot_every_bytes = 200'000;
  Kernel kernel(state.log(), options);
  kernel.loaded("hello");
  const std::string text(50'000, 'x');
  for (int i = 0; i < 3; ++i) {
    const auto call = kernel.invoke("hello", text);
    REQUIRE(kernel.until([&] { return call->done(); }));
  }
  CHECK(kernel.until([&] { return kernel.count_events("SnapshotTaken") == 1; }));
}

TEST_CASE("a long log without a snapshot gets one soon after the start") {
  const StateFolder state;
  {
    Kernel kernel(state.log());
    kernel.loaded("hello");
    for (int i = 0; i < 30; ++i) {
      const auto call = kernel.invoke("hello");
      REQUIRE(kernel.until([&] { return call->done(); }));
    }
  }
  Kernel kernel(state.log(), state.options(20));
  CHECK(kernel.recovery.snapshot_seq == 0);
  CHECK(kernel.until([&] { return kernel.count_events("SnapshotTaken") == 1; }));
}

TEST_CASE("a call that was open at the snapshot ends with DAEMON_RESTARTED at the next start, once") {
  const StateFolder state;
  std::string execution_id;
  {
    Kernel kernel(state.log(), state.options(20));
    Script script;
    script.on_invoke = leave_open;
    kernel.loaded("slow", script);
    kernel.loaded("hello");
    const auto open = kernel.invoke("slow");
    kernel.settle();
    execution_id = kernel.last_event("PluginInvoked").plugin_invoked().execution_id();
    for (int i = 0; i < 40; ++i) {
      const auto call = kernel.invoke("hello");
      REQUIRE(kernel.until([&] { return call->done(); }));
    }
    REQUIRE(kernel.until([&] { return kernel.count_events("SnapshotTaken") >= 1; }));
    kernel.settle();
    CHECK_FALSE(open->done());
  }
  for (int life = 0; life < 2; ++life) {
    Kernel kernel(state.log(), state.options());
    CHECK(kernel.recovery.snapshot_seq > 0);
    kernel.settle();
    int ends = 0;
    for (const v1::Event& event : kernel.events()) {
      if (event.plugin_error().execution_id() != execution_id) continue;
      ++ends;
      CHECK(event.plugin_error().reason() == "DAEMON_RESTARTED");
    }
    CHECK(ends == 1);
  }
}

TEST_CASE("the state from a snapshot is the state from all events") {
  const StateFolder state;
  live_once(state);
  std::string from_snapshot;
  {
    const auto log = event_log::view_offline(state.log()).value();
    const auto store = snapshot::open_store(state.snapshots()).value();
    const auto with = snapshot::replay(log, store.get()).value();
    const auto without = snapshot::replay(log, nullptr).value();
    CHECK(with.snapshot_seq > 0);
    CHECK(without.snapshot_seq == 0);
    CHECK(without.events_replayed > with.events_replayed);
    CHECK(registry::state_sha256(with.message()) == registry::state_sha256(without.message()));
    CHECK(with.message().SerializeAsString().size() > 200);
  }
}

TEST_CASE("a damaged snapshot is ignored with a warning, and an older one is used") {
  const StateFolder state;
  const std::string id = live_once(state);
  const EventSeq older = newest(state);
  {
    Kernel kernel(state.log(), state.options());
    REQUIRE(kernel.shut_down());
  }
  const EventSeq damaged = newest(state);
  REQUIRE(damaged > older);
  std::string bytes = read_file(state.snapshot(damaged));
  bytes[bytes.size() / 2] ^= 1;
  write_file(state.snapshot(damaged), bytes);
  CHECK(start_again(state, id, 1) == older);
}

TEST_CASE("without any usable snapshot the log alone suffices") {
  const StateFolder state;
  const std::string id = live_once(state);
  const std::string path = state.snapshot(newest(state));
  const std::string whole = read_file(path);
  SECTION("cut") {
    write_file(path, whole.substr(0, whole.size() - 1));
  }
  SECTION("empty") {
    write_file(path, "");
  }
  SECTION("of a newer format") {
    std::string newer = whole;
    newer[8] = 2;
    write_file(path, newer);
  }
  SECTION("of another node") {
    v1::Snapshot foreign = snapshot::decode(whole).value();
    foreign.set_node_id("00000000-0000-4000-8000-000000000000");
    write_file(path, snapshot::encode(foreign).value());
  }
  SECTION("of another history of this node") {
    v1::Snapshot other = snapshot::decode(whole).value();
    other.set_event_sha256(std::string(64, '0'));
    write_file(path, snapshot::encode(other).value());
  }
  SECTION("ahead of the log") {
    v1::Snapshot ahead = snapshot::decode(whole).value();
    ahead.set_seq(1'000'000);
    std::filesystem::remove(path);
    write_file(state.snapshot(1'000'000), snapshot::encode(ahead).value());
  }
  SECTION("with a state that contradicts itself") {
    v1::Snapshot twice = snapshot::decode(whole).value();
    *twice.mutable_state()->add_plugins() = twice.state().plugins(0);
    write_file(path, snapshot::encode(twice).value());
  }
  CHECK(start_again(state, id, 1) == 0);
}

TEST_CASE("what could not be used is gone when the next snapshot was taken") {
  const StateFolder state;
  live_once(state);
  v1::Snapshot ahead = snapshot::open_store(state.snapshots()).value()->read(newest(state)).value();
  ahead.set_seq(1'000'000);
  write_file(state.snapshot(1'000'000), snapshot::encode(ahead).value());
  Kernel kernel(state.log(), state.options());
  REQUIRE(kernel.shut_down());
  CHECK_FALSE(std::filesystem::exists(state.snapshot(1'000'000)));
}

TEST_CASE("a folder of snapshots that cannot be written costs a warning and nothing else") {
  const StateFolder state;
  KernelOptions options = state.options(10);
  Kernel kernel(state.log(), options);
  // A folder stands where the file in the making would be: nobody can write that, root neither.
  std::filesystem::create_directory(state.snapshots() + "/spare.tmp");
  kernel.loaded("hello");
  for (int i = 0; i < 10; ++i) {
    const auto call = kernel.invoke("hello");
    REQUIRE(kernel.until([&] { return call->done(); }));
  }
  REQUIRE(kernel.until([&] { return !kernel.warnings.empty(); }));
  CHECK(kernel.warnings[0].find("no snapshot was taken") != std::string::npos);
  CHECK(kernel.shut_down());
  CHECK(kernel.count_events("SnapshotTaken") == 0);
}
