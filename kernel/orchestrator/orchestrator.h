// The actor that owns the plugins, the calls and the event log's order: the one door to the kernel.
//
// Ownership and thread: made in main, lives as long as the io_context; every method belongs to the kernel thread (edges
// post to it), every callback is called on it. Results are plain values: nothing given out refers to kernel state.
//
// Life: recover() -> run() -> ... -> shut_down() -> done. Between, commands and calls come in any order.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <unordered_map>

#include "kernel/event_log/event_log.h"
#include "kernel/orchestrator/call.h"
#include "kernel/orchestrator/dispatcher.h"
#include "kernel/orchestrator/journal.h"
#include "kernel/orchestrator/kernel_context.h"
#include "kernel/orchestrator/loader.h"
#include "kernel/orchestrator/log_keeper.h"
#include "kernel/orchestrator/plugin_actor.h"

namespace liongate::orchestrator {

struct OrchestratorParts {
  boost::asio::io_context& io;
  const Clock& clock;
  supervision::Launcher& launcher;
  registry::PluginInspector& inspector;
  event_log::EventLog& log;
  snapshot::SnapshotWriter* snapshots = nullptr;       // null: the whole log is read at every start
  policy::Secrets::Environment environment = nullptr;  // null: there are no variables
  policy::SecretSource* secret_source = nullptr;       // null: no secret has a value
  observation::Observation* observation = nullptr;     // null: observers are not offered
};

// How a start came to its state.
struct RecoveryReport {
  EventSeq snapshot_seq = 0;
  std::uint64_t events_replayed = 0;
};

// Who a daemon is, for DaemonStarted.
struct DaemonIdentity {
  std::string version;
  std::string environment;
  std::int64_t pid = 0;
};

struct Counts {
  EventSeq last_seq = 0;
  EventSeq durable_seq = 0;
  bool read_only = false;
  std::uint32_t plugins = 0;
  std::uint32_t plugins_running = 0;
  std::uint64_t calls_running = 0;
  std::uint64_t calls_queued = 0;
};

struct PluginHealth {
  v1::Plugin plugin;
  bool healthy = false;
  std::string detail;
  double uptime_s = 0;
  std::uint64_t memory_used_bytes = 0;
};

struct Explanation {
  std::string plugin_id;  // empty for a manifest
  std::string plugin_name;
  v1::PolicyDecision decision;
};

// The plugin's kept output, and what is to come.
struct LogFollower {
  std::vector<supervision::LogLine> lines;
  std::uint64_t token = 0;  // 0: not following
  std::string plugin_id;
};

class Orchestrator final : private PluginHost {
 public:
  using PluginDone = std::function<void(Result<v1::Plugin>)>;

  Orchestrator(OrchestratorParts parts, Settings settings);
  ~Orchestrator() override;

  // Rebuilds the registry from the newest snapshot and the log behind it, and records DaemonStarted, LogRecovered and
  // the calls that were cut. Once, before run(). Fails with kLogCorrupt when the log's events contradict each other,
  // kLogReadOnly when nothing can be written.
  Result<RecoveryReport> recover(const DaemonIdentity& identity);

  // Starts the plugins that were running before, but for entries of plugins.yaml: whether they still are is not known.
  void run();

  // --- plugins ---
  void load(LoadRequest request, PluginDone done);
  void unload(const std::string& plugin, const std::string& actor, PluginDone done);
  void reload(const std::string& plugin, uid_t caller_uid, const std::string& actor, Consent consent, PluginDone done);
  void start(const std::string& plugin, const std::string& actor, PluginDone done);
  void stop(const std::string& plugin, const std::string& actor, PluginDone done);
  void restart(const std::string& plugin, const std::string& actor, PluginDone done);
  Result<v1::Plugin> get(const std::string& plugin);
  std::vector<v1::Plugin> list();
  void check_health(const std::string& plugin, std::function<void(Result<PluginHealth>)> done);

  // --- permissions ---
  // What the policy in force says to a loaded plugin (by id or name), or to a manifest as if `caller` loaded it.
  // Records nothing. Errors: kPluginNotFound; for a manifest those of PluginInspector::inspect.
  using ExplainDone = std::function<void(Result<Explanation>)>;
  void explain(const std::string& plugin, const ExplainDone& done);
  void explain(registry::PluginSource source, const std::string& caller, ExplainDone done);
  // See PluginActor::override_permission.
  void override_permission(const std::string& plugin, const std::string& permission, policy::Override what,
                           const std::string& actor, PluginDone done);
  // What each loaded plugin was granted at its last load, reload or start.
  std::vector<std::pair<PluginId, std::shared_ptr<const v1::PluginLoaded>>> list_grants() const;

  // --- entries of plugins.yaml ---
  // Those that are registered, in that order.
  struct Listed {
    PluginId id;
    std::shared_ptr<const v1::PluginLoaded> loaded;
    lifecycle::State state = lifecycle::State::kCreated;
    std::string state_reason;
  };
  std::vector<Listed> list_listed() const;
  // Starts one, by id, that was running before and still is an entry. Once in a life, before anything else is asked of
  // it.
  void resume_listed(const std::string& plugin);
  // Puts on record what was read; waits for nothing. Fails as Journal::record does.
  Result<void> record_plugins_file(const v1::PluginsFileRead& read, const std::string& actor);

  // --- plugin output ---
  Result<LogFollower> read_logs(const std::string& plugin, std::size_t tail_lines,
                                supervision::PluginLog::Follower follower);
  void unfollow_logs(const LogFollower& follower);

  // --- calls ---
  CallKey invoke(CallRequest request, std::unique_ptr<CallHandler> handler);
  void cancel(CallKey key) { dispatcher_.cancel(key); }

  // --- the daemon ---
  // A caller was refused before it came this far: records who it was and what it tried, and calls `then` when that is
  // on disk; at once where the log takes nothing more, for the refusal stands whatever becomes of its record.
  void record_denial(const std::string& actor, const std::string& action, const Error& why, std::function<void()> then);

  // A plugin's system call was refused: `event` is the whole PermissionDenied but for its number and time.
  void record_call_denial(v1::Event event);

  // A plugin's flow to a granted host began or ended: `event` is the whole event but for its number and time.
  void record_network_flow(v1::Event event);
  Counts counts() const;
  // Replaces the settings. What differs is recorded first (ConfigChanged), unless nothing does: a change that cannot be
  // recorded is not made.
  Result<void> set_settings(Settings settings, const v1::DaemonConfigChanged& changed, const std::string& actor);
  void on_durable(EventSeq seq) {
    journal_.on_durable(seq);
    keeper_.on_durable();
  }
  void check_log() { keeper_.check(); }
  // What an operator should hear of and nobody waits for.
  void set_on_warning(std::function<void(const std::string&)> warn) { keeper_.set_warn(std::move(warn)); }
  // A copy of the state as it is now, given when the log can be read up to it.
  void copy_state(std::function<void(registry::StateCopy)> done);
  // See Journal::set_on_state_change.
  void set_on_state_change(std::function<void(const v1::Event&)> on_state_change) {
    journal_.set_on_state_change(std::move(on_state_change));
  }

  // No new work from now on; open calls may finish within `drain_ms`, then plugins stop. Records DaemonStopping and, at
  // the end, DaemonStopped; `done` is called once everything is durable and no process is left. A second call hurries.
  void shut_down(const std::string& reason, int drain_ms, std::function<void()> done);

 private:
  PluginActor& add_plugin(const PluginId& id, std::shared_ptr<supervision::PluginLog> log) override;
  PluginActor* find_plugin(std::string_view id_or_name) override;

  using Command = std::function<void(PluginActor&, PluginActor::Done)>;
  void command(const std::string& plugin, const Command& what, PluginDone done);
  v1::Plugin view(PluginActor& plugin);
  Error not_found(const std::string& plugin) const;
  Result<void> record_start(const DaemonIdentity& identity, const snapshot::ReplayedState& replayed);
  Result<void> record_recovery();
  void stop_plugins();
  void finish_shut_down();
  void record_stopped();

  event_log::EventLog& log_;
  snapshot::SnapshotWriter* snapshots_;
  registry::Registry registry_;
  policy::Secrets secrets_;
  Journal journal_;
  SecretDelivery secret_delivery_;
  KernelContext context_;
  Dispatcher dispatcher_;
  LogKeeper keeper_;
  Loader loader_;
  std::unordered_map<std::string, std::unique_ptr<PluginActor>> plugins_;
  bool shutting_down_ = false;
  bool plugins_told_to_stop_ = false;
  std::size_t plugins_stopping_ = 0;
  std::function<void()> on_shut_down_;
  boost::asio::steady_timer drain_timer_;
};

}  // namespace liongate::orchestrator
