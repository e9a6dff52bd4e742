#include "kernel/orchestrator/orchestrator.h"

#include <algorithm>
#include <boost/asio/post.hpp>

namespace liongate::orchestrator {

using lifecycle::State;

Orchestrator::Orchestrator(OrchestratorParts parts, Settings settings)
    : log_(parts.log),
      snapshots_(parts.snapshots),
      secrets_(std::move(parts.environment)),
      journal_(parts.log, registry_, secrets_),
      secret_delivery_(parts.secret_source, secrets_, journal_),
      context_{parts.io, parts.clock, parts.launcher,   parts.inspector,   registry_,
               journal_, secrets_,    secret_delivery_, parts.observation, std::move(settings)},
      dispatcher_(context_),
      keeper_(context_, dispatcher_, parts.snapshots),
      loader_(context_, *this),
      drain_timer_(parts.io) {}

// Whoever waits for a command is told when its actor goes, and may look for a plugin then: there must be a whole map.
Orchestrator::~Orchestrator() {
  auto last = std::move(plugins_);
  plugins_.clear();
  last.clear();
}

// --- start ---

Result<void> Orchestrator::record_recovery() {
  const event_log::Recovery& recovery = log_.recovery();
  if (!recovery.torn_tail) return {};
  v1::Event event;
  event.set_type("LogRecovered");
  event.set_actor("system");
  v1::LogRecovered& recovered = *event.mutable_log_recovered();
  recovered.set_segment(recovery.segment);
  recovered.set_offset(recovery.offset);
  recovered.set_bytes_dropped(recovery.bytes_dropped);
  recovered.set_last_seq(recovery.last_seq);
  LG_TRY(journal_.record_state(event));
  return {};
}

Result<void> Orchestrator::record_start(const DaemonIdentity& identity, const snapshot::ReplayedState& replayed) {
  v1::Event event;
  event.set_type("DaemonStarted");
  event.set_actor("system");
  v1::DaemonStarted& started = *event.mutable_daemon_started();
  started.set_version(identity.version);
  started.set_environment(identity.environment);
  started.set_node_id(log_.node_id());
  started.set_pid(identity.pid);
  started.set_snapshot_seq(replayed.snapshot_seq);
  started.set_events_replayed(replayed.events_replayed);
  for (const std::string& ignored : replayed.snapshots_ignored) started.add_snapshots_ignored(ignored);
  LG_TRY(journal_.record_state(event));
  return record_recovery();
}

Result<RecoveryReport> Orchestrator::recover(const DaemonIdentity& identity) {
  LG_ASSIGN(snapshot::ReplayedState replayed,
            snapshot::replay(log_.view(), snapshots_ == nullptr ? nullptr : &snapshots_->store()));
  registry_ = std::move(replayed.registry);
  LG_TRY(record_start(identity, replayed));
  for (const registry::PluginRecord* record : registry_.list()) {
    // One that is too short to be hidden keeps its plugin from being started, not the daemon.
    static_cast<void>(secrets_.learn(record->loaded().manifest()).has_value());
  }
  for (const auto& [seq, interrupted] : replayed.open_calls.by_seq()) {
    LG_TRY(dispatcher_.record_interrupted(interrupted));
  }
  for (const registry::PluginRecord* record : registry_.list()) {
    add_plugin(record->id, make_plugin_log(context_));
  }
  keeper_.begin(replayed, replayed.log_time_ns);
  return RecoveryReport{replayed.snapshot_seq, replayed.events_replayed};
}

void Orchestrator::run() {
  for (const registry::PluginRecord* record : registry_.list()) {
    if (!record->loaded().has_listing()) plugins_.at(record->id.str())->resume_desired_state();
  }
}

void Orchestrator::resume_listed(const std::string& plugin) {
  if (PluginActor* found = find_plugin(plugin)) found->resume_desired_state();
}

// --- plugins ---

PluginActor& Orchestrator::add_plugin(const PluginId& id, std::shared_ptr<supervision::PluginLog> log) {
  std::shared_ptr<registry::PluginRecord> record = registry_.share(id);
  LG_ASSERT(record != nullptr);
  auto& slot = plugins_[id.str()];
  slot = std::make_unique<PluginActor>(context_, dispatcher_, std::move(record), std::move(log));
  return *slot;
}

PluginActor* Orchestrator::find_plugin(std::string_view id_or_name) {
  const registry::PluginRecord* record = registry_.find(id_or_name);
  if (record == nullptr) return nullptr;
  const auto found = plugins_.find(record->id.str());
  return found == plugins_.end() ? nullptr : found->second.get();
}

Error Orchestrator::not_found(const std::string& plugin) const {
  return make_error(Reason::kPluginNotFound, "no plugin \"" + plugin + "\" is loaded")
      .with_hint("`liongatectl list-plugins` shows what is");
}

v1::Plugin Orchestrator::view(PluginActor& plugin) {
  v1::Plugin message = registry::to_message(plugin.record());
  message.mutable_statistics()->set_calls_running(plugin.running_count());
  message.mutable_statistics()->set_calls_queued(plugin.waiting_count());
  if (const auto instance = plugin.instance()) message.set_pid(instance->pid());
  plugin.describe_observer(message);
  return message;
}

void Orchestrator::load(LoadRequest request, PluginDone done) {
  if (shutting_down_) {
    done(make_error(Reason::kShuttingDown, "the daemon is shutting down"));
    return;
  }
  loader_.load(std::move(request), [this, done = std::move(done)](Result<PluginId> loaded) {
    if (!loaded) {
      done(std::move(loaded).error());
    } else if (PluginActor* plugin = find_plugin(loaded->str())) {
      done(view(*plugin));
    } else {
      done(make_error(Reason::kPluginNotFound, "the plugin was unloaded while it was loaded"));
    }
  });
}

void Orchestrator::reload(const std::string& plugin, uid_t caller_uid, const std::string& actor, Consent consent,
                          PluginDone done) {
  PluginActor* found = find_plugin(plugin);
  if (shutting_down_ || found == nullptr) {
    done(shutting_down_ ? make_error(Reason::kShuttingDown, "the daemon is shutting down") : not_found(plugin));
    return;
  }
  loader_.reload(*found, caller_uid, actor, consent, [this, done = std::move(done)](Result<PluginId> loaded) {
    PluginActor* reloaded = loaded ? find_plugin(loaded->str()) : nullptr;
    if (!loaded) {
      done(std::move(loaded).error());
    } else if (reloaded == nullptr) {
      done(make_error(Reason::kPluginNotFound, "the plugin was unloaded while it was reloaded"));
    } else {
      done(view(*reloaded));
    }
  });
}

void Orchestrator::explain(const std::string& plugin, const ExplainDone& done) {
  const registry::PluginRecord* record = registry_.find(plugin);
  if (record == nullptr) {
    done(not_found(plugin));
    return;
  }
  done(Explanation{record->id.str(), record->name(), policy::decide(context_.settings.policy, record->loaded())});
}

void Orchestrator::explain(registry::PluginSource source, const std::string& caller, ExplainDone done) {
  context_.inspector.inspect(
      std::move(source), [this, caller, done = std::move(done)](Result<v1::PluginLoaded> inspected) {
        if (!inspected) {
          done(std::move(inspected).error());
          return;
        }
        inspected->set_caller(caller);
        done(Explanation{"", inspected->manifest().name(), policy::decide(context_.settings.policy, *inspected)});
      });
}

std::vector<std::pair<PluginId, std::shared_ptr<const v1::PluginLoaded>>> Orchestrator::list_grants() const {
  std::vector<std::pair<PluginId, std::shared_ptr<const v1::PluginLoaded>>> grants;
  for (const registry::PluginRecord* record : registry_.list()) grants.emplace_back(record->id, record->loaded_shared);
  return grants;
}

std::vector<Orchestrator::Listed> Orchestrator::list_listed() const {
  std::vector<Listed> listed;
  for (const registry::PluginRecord* record : registry_.list()) {
    if (!record->loaded().has_listing()) continue;
    listed.push_back({record->id, record->loaded_shared, record->state, record->state_reason});
  }
  return listed;
}

Result<void> Orchestrator::record_plugins_file(const v1::PluginsFileRead& read, const std::string& actor) {
  v1::Event event;
  event.set_type("PluginsFileRead");
  event.set_actor(actor);
  *event.mutable_plugins_file_read() = read;
  LG_TRY(journal_.record(event, event_log::SyncClass::kBatch, event_log::RecordUse::kNewWork));
  return {};
}

void Orchestrator::override_permission(const std::string& plugin, const std::string& permission, policy::Override what,
                                       const std::string& actor, PluginDone done) {
  const auto change = [&](PluginActor& found, PluginActor::Done finish) {
    found.override_permission(permission, what, actor, std::move(finish));
  };
  command(plugin, change, std::move(done));
}

void Orchestrator::command(const std::string& plugin, const Command& what, PluginDone done) {
  PluginActor* found = find_plugin(plugin);
  if (shutting_down_ || found == nullptr) {
    done(shutting_down_ ? make_error(Reason::kShuttingDown, "the daemon is shutting down") : not_found(plugin));
    return;
  }
  what(*found, [this, id = found->record().id, done = std::move(done)](Result<void> result) {
    PluginActor* present = find_plugin(id.str());
    if (!result) {
      done(std::move(result).error());
    } else if (present == nullptr) {
      done(not_found(id.str()));
    } else {
      done(view(*present));
    }
  });
}

void Orchestrator::start(const std::string& plugin, const std::string& actor, PluginDone done) {
  command(
      plugin, [&actor](PluginActor& found, PluginActor::Done finish) { found.start(actor, std::move(finish)); },
      std::move(done));
}

void Orchestrator::stop(const std::string& plugin, const std::string& actor, PluginDone done) {
  command(
      plugin, [&actor](PluginActor& found, PluginActor::Done finish) { found.stop(actor, std::move(finish)); },
      std::move(done));
}

void Orchestrator::restart(const std::string& plugin, const std::string& actor, PluginDone done) {
  command(
      plugin, [&actor](PluginActor& found, PluginActor::Done finish) { found.restart(actor, std::move(finish)); },
      std::move(done));
}

void Orchestrator::unload(const std::string& plugin, const std::string& actor, PluginDone done) {
  PluginActor* found = find_plugin(plugin);
  if (shutting_down_ || found == nullptr) {
    done(shutting_down_ ? make_error(Reason::kShuttingDown, "the daemon is shutting down") : not_found(plugin));
    return;
  }
  v1::Plugin last = view(*found);
  found->unload(actor, [this, last = std::move(last), done = std::move(done)](Result<void> unloaded) mutable {
    if (!unloaded) {
      done(std::move(unloaded).error());
      return;
    }
    // The actor is in the middle of this call: it goes in the next turn.
    boost::asio::post(context_.io, [this, id = last.plugin_id()] { plugins_.erase(id); });
    last.set_state(v1::PLUGIN_STATE_UNLOADED);
    last.clear_instance_id();
    last.clear_pid();
    last.clear_posture();
    done(std::move(last));
  });
}

Result<v1::Plugin> Orchestrator::get(const std::string& plugin) {
  PluginActor* found = find_plugin(plugin);
  if (found == nullptr) return not_found(plugin);
  return view(*found);
}

std::vector<v1::Plugin> Orchestrator::list() {
  std::vector<v1::Plugin> plugins;
  for (const registry::PluginRecord* record : registry_.list()) {
    if (PluginActor* plugin = find_plugin(record->id.str())) plugins.push_back(view(*plugin));
  }
  return plugins;
}

void Orchestrator::check_health(const std::string& plugin, std::function<void(Result<PluginHealth>)> done) {
  PluginActor* found = find_plugin(plugin);
  if (found == nullptr) {
    done(not_found(plugin));
    return;
  }
  found->check_health([this, id = found->record().id.str(), done = std::move(done)](Result<v1::Pong> pong) {
    PluginActor* present = find_plugin(id);
    if (present == nullptr) {
      done(not_found(id));
      return;
    }
    if (!pong && pong.error().reason == Reason::kQueueFull) {  // the question was refused: that says nothing of it
      done(std::move(pong).error());
      return;
    }
    PluginHealth health;
    health.plugin = view(*present);
    health.healthy = pong.has_value() && pong->healthy() && present->record().state == State::kRunning;
    health.detail = pong ? pong->detail() : pong.error().message;
    if (health.plugin.has_start_time()) {
      health.uptime_s = static_cast<double>(context_.clock.wall_ns()) / 1e9 -
                        static_cast<double>(health.plugin.start_time().seconds()) -
                        static_cast<double>(health.plugin.start_time().nanos()) / 1e9;
    }
    if (const auto instance = present->instance()) {
      health.memory_used_bytes = instance->meter().resident_bytes(context_.clock.now());
    }
    done(std::move(health));
  });
}

// --- plugin output ---

Result<LogFollower> Orchestrator::read_logs(const std::string& plugin, std::size_t tail_lines,
                                            supervision::PluginLog::Follower follower) {
  PluginActor* found = find_plugin(plugin);
  if (found == nullptr) return not_found(plugin);
  LogFollower result;
  result.plugin_id = found->record().id.str();
  if (follower) {
    LG_ASSIGN(result.token, found->log().follow(std::move(follower)));
  }
  const auto& lines = found->log().lines();
  const std::size_t count = tail_lines == 0 ? lines.size() : std::min(tail_lines, lines.size());
  result.lines.assign(lines.end() - static_cast<std::ptrdiff_t>(count), lines.end());
  return result;
}

void Orchestrator::unfollow_logs(const LogFollower& follower) {
  if (PluginActor* found = find_plugin(follower.plugin_id)) found->log().unfollow(follower.token);
}

// --- calls ---

CallKey Orchestrator::invoke(CallRequest request, std::unique_ptr<CallHandler> handler) {
  PluginActor* plugin = find_plugin(request.plugin);
  return dispatcher_.accept(std::move(request), plugin, std::move(handler));
}

// --- the daemon ---

void Orchestrator::record_denial(const std::string& actor, const std::string& action, const Error& why,
                                 std::function<void()> then) {
  v1::Event event;
  event.set_type("PermissionDenied");
  event.set_actor(actor);
  event.mutable_permission_denied()->set_rule("peer credentials");
  event.mutable_permission_denied()->set_message(why.message);
  event.mutable_permission_denied()->set_action(action);
  const Result<EventSeq> recorded = journal_.record_state(event);
  if (recorded) {
    journal_.when_durable(*recorded, std::move(then));
  } else {
    then();
  }
}

void Orchestrator::record_call_denial(v1::Event event) {
  if (PluginActor* plugin = find_plugin(event.plugin_id())) {
    plugin->log().add("log", "warning", "liongate: " + event.permission_denied().message(), "");
  }
  // In the log is enough, on disk not needed: the plugin that waits for it promises nothing to anybody. Where the log
  // takes no new work the call is refused all the same, and that the log is read-only is told elsewhere.
  static_cast<void>(journal_.record(event, event_log::SyncClass::kBatch, event_log::RecordUse::kNewWork).has_value());
}

void Orchestrator::record_network_flow(v1::Event event) {
  // Nobody waits for it; where the log takes no new work, that is told elsewhere.
  static_cast<void>(
      journal_.record(event, event_log::SyncClass::kEventually, event_log::RecordUse::kNewWork).has_value());
}

Counts Orchestrator::counts() const {
  Counts counts;
  counts.last_seq = journal_.last_seq();
  counts.durable_seq = journal_.durable_seq();
  counts.read_only = journal_.read_only();
  for (const auto& [id, plugin] : plugins_) {
    ++counts.plugins;
    counts.plugins_running += plugin->record().state == State::kRunning ? 1 : 0;
    counts.calls_running += plugin->running_count();
    counts.calls_queued += plugin->waiting_count();
  }
  return counts;
}

Result<void> Orchestrator::set_settings(Settings settings, const v1::DaemonConfigChanged& changed,
                                        const std::string& actor) {
  if (changed.changed_keys_size() + changed.restart_keys_size() > 0) {
    v1::Event event;
    event.set_type("ConfigChanged");
    event.set_actor(actor);
    *event.mutable_daemon_config_changed() = changed;
    LG_TRY(journal_.record_state(event));
  }
  context_.settings = std::move(settings);
  return {};
}

void Orchestrator::copy_state(std::function<void(registry::StateCopy)> done) {
  const auto copy = std::make_shared<registry::StateCopy>(keeper_.copy_state());
  log_.sync_soon();
  journal_.when_durable(copy->state.seq(), [copy, done = std::move(done)] { done(std::move(*copy)); });
}

void Orchestrator::shut_down(const std::string& reason, int drain_ms, std::function<void()> done) {
  if (shutting_down_) {
    stop_plugins();
    return;
  }
  shutting_down_ = true;
  on_shut_down_ = std::move(done);
  v1::Event event;
  event.set_type("DaemonStopping");
  event.set_actor("system");
  event.mutable_daemon_stopping()->set_reason(reason);
  // A log that refuses it does not keep the daemon from stopping.
  static_cast<void>(journal_.record_state(event).has_value());
  dispatcher_.close();
  loader_.shut_down();
  for (auto& [id, plugin] : plugins_) plugin->start_no_more();
  if (dispatcher_.open_count() == 0) {
    stop_plugins();
    return;
  }
  dispatcher_.set_on_idle([this] { stop_plugins(); });
  drain_timer_.expires_after(std::chrono::milliseconds(drain_ms));
  drain_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) stop_plugins();
  });
}

void Orchestrator::stop_plugins() {
  // Idle, out of patience, asked again: whichever comes first, once.
  if (std::exchange(plugins_told_to_stop_, true)) return;
  drain_timer_.cancel();
  dispatcher_.set_on_idle(nullptr);
  plugins_stopping_ = plugins_.size() + 1;
  const auto stopped = [this] {
    if (--plugins_stopping_ == 0) finish_shut_down();
  };
  for (auto& [id, plugin] : plugins_) plugin->shut_down(stopped);
  stopped();
}

void Orchestrator::finish_shut_down() {
  keeper_.take_last([this] { record_stopped(); });
}

void Orchestrator::record_stopped() {
  v1::Event event;
  event.set_type("DaemonStopped");
  event.set_actor("system");
  event.mutable_daemon_stopped();
  const Result<EventSeq> recorded = journal_.record_state(event);
  const auto done = std::exchange(on_shut_down_, nullptr);
  if (!recorded) {
    boost::asio::post(context_.io, done);
    return;
  }
  // A disk that stays full must not keep the daemon from ending: close() then tells what was lost.
  drain_timer_.expires_after(std::chrono::milliseconds(limits::kShutdownDrainMs));
  const auto once = std::make_shared<std::function<void()>>(done);
  const auto finish = [this, once] {
    drain_timer_.cancel();
    if (const auto call = std::exchange(*once, nullptr)) call();
  };
  drain_timer_.async_wait([finish](const boost::system::error_code& error) {
    if (!error) finish();
  });
  journal_.when_durable(*recorded, finish);
}

}  // namespace liongate::orchestrator
