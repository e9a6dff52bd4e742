// How long a start takes over a long log, with and without a snapshot: a generator that writes the log, then the two
// recoveries of the real kernel over it.
//
// Usage: bench_recovery FOLDER EVENTS [BEHIND]     FOLDER is made and removed; EVENTS are written, the snapshot is
// taken
//                                                  BEHIND events before the end (default: snapshot_every_events - 1,
//                                                  the worst there can be)
#include <atomic>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <filesystem>
#include <string>
#include <thread>

#include "bench/measurement.h"
#include "bench/sample_event.h"
#include "kernel/orchestrator/orchestrator.h"
#include "kernel/snapshot/state_replay.h"

namespace liongate::bench {
namespace {

using event_log::EventLog;

template <typename T>
T must(Result<T> result) {
  if (!result) give_up("bench_recovery: " + result.error().message);
  return std::move(result).value();
}

// Nothing is started here.
class NoLauncher final : public supervision::Launcher {
 public:
  Result<supervision::LaunchId> launch(supervision::LaunchOrder, supervision::LaunchListener&) override {
    return make_error(Reason::kSandboxUnavailable, "this is a benchmark");
  }
  void kill(supervision::LaunchId) override {}
  void narrow_network(supervision::LaunchId, const v1::Manifest&) override {}
  void forget(supervision::LaunchId) override {}
  void try_command(const v1::PluginLoaded&, std::function<void(Result<v1::Posture>)>) override {}
};
class NoInspector final : public registry::PluginInspector {
 public:
  void inspect(registry::PluginSource, std::function<void(Result<v1::PluginLoaded>)>) override {}
  void digest(const v1::PluginLoaded&, std::function<void(Result<std::string>)>) override {}
};

v1::Event loaded_event() {
  v1::Event event;
  event.set_type("PluginLoaded");
  event.set_plugin_id("7c9e6679-7425-40de-944b-e07fc1f90ae7");
  event.set_plugin_name("hello");
  event.mutable_plugin_loaded()->mutable_manifest()->set_name("hello");
  event.mutable_plugin_loaded()->set_manifest_source(std::string(600, 'm'));
  return event;
}

// PluginInvoked and PluginResult in turn, with an execution id each as real calls have.
v1::Event call_event(std::uint64_t number) {
  v1::Event event = sample_event(number);
  const std::string execution_id = "1b4e28ba-2fa1-41d2-883f-" + std::to_string(100'000'000'000 + number / 2);
  if (event.has_plugin_invoked()) {
    event.mutable_plugin_invoked()->set_execution_id(execution_id);
  } else {
    event.mutable_plugin_result()->set_execution_id(execution_id);
  }
  return event;
}

void append(EventLog& log, v1::Event event) {
  for (;;) {
    const auto appended = log.append(event, event_log::SyncClass::kEventually, event_log::RecordUse::kNewWork);
    if (appended) return;
    if (appended.error().reason != Reason::kQueueFull) give_up(appended.error().message);
    log.sync_soon();
    std::this_thread::yield();
  }
}

void generate(const std::string& folder, std::uint64_t events) {
  const SystemClock clock;
  event_log::Options options;
  options.folder = folder;
  const auto log = must(EventLog::open(options, {}, clock));
  append(*log, loaded_event());
  for (std::uint64_t number = 0; number + 1 < events; ++number) append(*log, call_event(number));
  if (!log->close()) give_up("close");
}

std::uint64_t bytes_in(const std::string& folder) {
  std::uint64_t bytes = 0;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) bytes += entry.file_size();
  return bytes;
}

// What the daemon does between its start and its first answer, less the processes: opens the log, rebuilds the state.
struct Start {
  double open_ms = 0;
  double recover_ms = 0;
  std::uint64_t events_replayed = 0;
};
Start start(const std::string& log_folder, const std::string& snapshot_folder) {
  const SystemClock clock;
  boost::asio::io_context io;
  event_log::Options options;
  options.folder = log_folder;
  const std::uint64_t begin = now_ns();
  const auto log = must(EventLog::open(options, {}, clock));
  const std::uint64_t opened = now_ns();
  NoLauncher launcher;
  NoInspector inspector;
  snapshot::SnapshotWriter snapshots({io, clock, *log, must(snapshot::open_store(snapshot_folder)), "bench"});
  orchestrator::Orchestrator kernel({io, clock, launcher, inspector, *log, &snapshots}, orchestrator::Settings());
  const auto report = must(kernel.recover({"bench", "testing", 1}));
  const std::uint64_t end = now_ns();
  return {static_cast<double>(opened - begin) / 1e6, static_cast<double>(end - opened) / 1e6, report.events_replayed};
}

// A snapshot as the daemon would have taken it at event `seq`.
void take_snapshot(const std::string& log_folder, const std::string& snapshot_folder, EventSeq seq) {
  const auto log = must(event_log::view_offline(log_folder));
  auto replay = must(snapshot::StateReplay::begin(log, nullptr, snapshot::StateReplay::Base::kNewest));
  if (!replay.run_to(seq)) give_up("replay");
  v1::Snapshot snapshot;
  snapshot.set_node_id(log.node_id);
  snapshot.set_seq(seq);
  snapshot.set_event_sha256(must(snapshot::event_sha256(log, seq)));
  *snapshot.mutable_state() = replay.state().message();
  const auto store = must(snapshot::open_store(snapshot_folder));
  (void)must(store->write(snapshot));
}

int run(int argc, char** argv) {
  if (argc < 3) give_up("usage: bench_recovery FOLDER EVENTS [BEHIND]");
  const std::string folder = argv[1];
  const std::uint64_t events = std::strtoull(argv[2], nullptr, 10);
  const std::uint64_t behind = argc > 3 ? std::strtoull(argv[3], nullptr, 10) : limits::kSnapshotEventsDefault - 1;
  if (events <= behind) give_up("more events than are behind the snapshot, please");
  const std::string log_folder = folder + "/log";
  const std::string snapshot_folder = folder + "/snapshots";
  std::filesystem::create_directories(folder);
  generate(log_folder, events);
  const std::uint64_t log_bytes = bytes_in(log_folder);
  const Start without = start(log_folder, snapshot_folder);
  take_snapshot(log_folder, snapshot_folder, events - behind);
  const Start with = start(log_folder, snapshot_folder);
  std::filesystem::remove_all(folder);
  print_figures({{"events", static_cast<double>(events)},
                 {"log_bytes", static_cast<double>(log_bytes)},
                 {"without_snapshot_open_ms", without.open_ms},
                 {"without_snapshot_recover_ms", without.recover_ms},
                 {"without_snapshot_events_replayed", static_cast<double>(without.events_replayed)},
                 {"with_snapshot_open_ms", with.open_ms},
                 {"with_snapshot_recover_ms", with.recover_ms},
                 {"with_snapshot_events_replayed", static_cast<double>(with.events_replayed)}});
  return 0;
}

}  // namespace
}  // namespace liongate::bench

int main(int argc, char** argv) {
  return liongate::bench::run(argc, argv);
}
