#include "kernel/registry/registry.h"

#include <algorithm>

namespace liongate::registry {

using lifecycle::State;
using lifecycle::Trigger;

namespace {

std::string key_of(std::string_view text) {
  return std::string(text);
}

void clear_instance(PluginRecord& record) {
  record.instance_id = InstanceId();
  record.started.Clear();
  record.posture.Clear();
  record.start_time.Clear();
}

}  // namespace

PluginRecord* Registry::find(std::string_view id_or_name) {
  const std::string key = key_of(id_or_name);
  if (const auto found = by_id_.find(key); found != by_id_.end()) return found->second.get();
  if (const auto found = by_name_.find(key); found != by_name_.end()) return found->second;
  return nullptr;
}

const PluginRecord* Registry::find(std::string_view id_or_name) const {
  return const_cast<Registry*>(this)->find(id_or_name);
}

std::shared_ptr<PluginRecord> Registry::share(const PluginId& id) const {
  const auto found = by_id_.find(id.str());
  return found == by_id_.end() ? nullptr : found->second;
}

std::vector<const PluginRecord*> Registry::list() const {
  std::vector<const PluginRecord*> records;
  records.reserve(by_id_.size());
  for (const auto& [id, record] : by_id_) records.push_back(record.get());
  std::sort(records.begin(), records.end(),
            [](const PluginRecord* a, const PluginRecord* b) { return a->load_order < b->load_order; });
  return records;
}

Result<void> Registry::step(PluginRecord& record, Trigger trigger) {
  const auto next = lifecycle::transition(record.state, trigger);
  if (!next) {
    return make_error(Reason::kIllegalTransition, "plugin " + record.name() + " is " +
                                                      std::string(lifecycle::name_of(record.state)) + ": " +
                                                      std::string(lifecycle::name_of(trigger)) + " is not possible");
  }
  record.state = *next;
  return {};
}

Result<void> Registry::load(const v1::Event& event) {
  const v1::PluginLoaded& loaded = event.plugin_loaded();
  if (by_id_.contains(event.plugin_id()) || by_name_.contains(loaded.manifest().name())) {
    return make_error(Reason::kDuplicatePlugin, "plugin " + loaded.manifest().name() + " is loaded already");
  }
  auto record = std::make_shared<PluginRecord>();
  record->id = PluginId(event.plugin_id());
  record->loaded_shared = std::make_shared<const v1::PluginLoaded>(loaded);
  record->load_time = event.time();
  record->desired_running = loaded.start();
  record->load_order = ++loads_;
  LG_TRY(step(*record, Trigger::kLoaded));
  by_name_[record->name()] = record.get();
  by_id_[event.plugin_id()] = std::move(record);
  return {};
}

Result<void> Registry::reload(PluginRecord& record, const v1::Event& event) {
  const v1::PluginReloaded& reloaded = event.plugin_reloaded();
  LG_TRY(step(record, reloaded.running() ? Trigger::kReloadedRunning : Trigger::kReloadedIdle));
  by_name_.erase(record.name());
  record.loaded_shared = std::make_shared<const v1::PluginLoaded>(reloaded.loaded());
  by_name_[record.name()] = &record;
  record.state_reason.clear();
  record.state_message.clear();
  if (reloaded.running()) {
    record.desired_running = true;
    record.instance_id = InstanceId(event.instance_id());
    record.start_time = event.time();
  }
  return {};
}

void Registry::grant(PluginRecord& record, const v1::PermissionsGranted& granted) {
  auto loaded = std::make_shared<v1::PluginLoaded>(record.loaded());
  *loaded->mutable_grants() = granted.grants();
  *loaded->mutable_manifest()->mutable_limits() = granted.limits();
  *loaded->mutable_limits_by_policy() = granted.limits_by_policy();
  record.loaded_shared = std::move(loaded);
}

void Registry::override_permission(PluginRecord& record, const v1::PermissionOverridden& overridden) {
  auto loaded = std::make_shared<v1::PluginLoaded>(record.loaded());
  *loaded->mutable_manifest()->mutable_permissions() = overridden.permissions();
  *loaded->mutable_overrides() = overridden.overrides();
  record.loaded_shared = std::move(loaded);
  grant(record, overridden.outcome());
}

void Registry::restart_all() {
  for (auto& [id, record] : by_id_) {
    const auto next = lifecycle::transition(record->state, Trigger::kDaemonStarted);
    LG_ASSERT(next.has_value());
    record->state = *next;
    clear_instance(*record);
  }
}

Result<void> Registry::apply(const v1::Event& event) {
  using P = v1::Event::PayloadCase;
  if (event.payload_case() == P::kDaemonStarted) {
    restart_all();
    return {};
  }
  if (event.payload_case() == P::kPluginLoaded) return load(event);
  if (event.payload_case() == P::kClockJumped) {
    const v1::ClockJumped& jump = event.clock_jumped();
    clock_jump_time_.Clear();
    if (jump.found().seconds() > jump.expected().seconds()) clock_jump_time_ = event.time();
    return {};
  }
  const auto found = by_id_.find(event.plugin_id());
  if (found == by_id_.end()) return {};
  PluginRecord& record = *found->second;
  switch (event.payload_case()) {
    case P::kPluginInvoked:
      ++record.calls_started;
      return {};
    case P::kPluginResult:
      ++record.calls_completed;
      record.execution_time_ms_total += event.plugin_result().figures().execution_time_ms();
      return {};
    case P::kPluginError:
      ++record.calls_failed;
      return {};
    case P::kPluginUnloaded:
      LG_TRY(step(record, Trigger::kUnloaded));
      by_name_.erase(record.name());
      by_id_.erase(found);
      return {};
    default:
      return apply_lifecycle(record, event);
  }
}

Result<void> Registry::apply_lifecycle(PluginRecord& record, const v1::Event& event) {
  using P = v1::Event::PayloadCase;
  switch (event.payload_case()) {
    case P::kInstanceCreated:
      LG_TRY(step(record, Trigger::kInstanceCreated));
      record.desired_running = true;
      record.instance_id = InstanceId(event.instance_id());
      return {};
    case P::kSandboxPosture:
      record.posture = event.sandbox_posture().posture();
      return {};
    case P::kPluginStarted:
      if (record.state != State::kRunning) LG_TRY(step(record, Trigger::kStarted));
      record.desired_running = true;
      record.started = event.plugin_started();
      record.start_time = event.time();
      record.state_reason.clear();
      record.state_message.clear();
      return {};
    case P::kPluginStopping:
      LG_TRY(step(record, Trigger::kStopping));
      record.desired_running = event.plugin_stopping().reason() == "restart";
      return {};
    case P::kPluginStopped:
      if (record.state != State::kStopping) record.desired_running = false;
      LG_TRY(step(record, Trigger::kStopped));
      clear_instance(record);
      return {};
    case P::kInstanceCrashed:
      LG_TRY(step(record, Trigger::kCrashed));
      record.state_reason = traits_of(Reason::kPluginCrashed).name;
      record.state_message = event.instance_crashed().message();
      clear_instance(record);
      return {};
    case P::kInstanceRestarted:
      ++record.restart_count;
      return {};
    case P::kPluginFailed:
      LG_TRY(step(record, Trigger::kFailed));
      record.desired_running = false;
      record.state_reason = event.plugin_failed().reason();
      record.state_message = event.plugin_failed().message();
      clear_instance(record);
      return {};
    case P::kPluginReloaded:
      return reload(record, event);
    case P::kPermissionsGranted:
      grant(record, event.permissions_granted());
      return {};
    case P::kPermissionOverridden:
      override_permission(record, event.permission_overridden());
      return {};
    default:
      return {};
  }
}

namespace {

std::optional<Trigger> trigger_of(const v1::Event& event) {
  switch (event.payload_case()) {
    case v1::Event::kInstanceCreated:
      return Trigger::kInstanceCreated;
    case v1::Event::kPluginStarted:
      return Trigger::kStarted;
    case v1::Event::kPluginStopping:
      return Trigger::kStopping;
    case v1::Event::kPluginStopped:
      return Trigger::kStopped;
    case v1::Event::kInstanceCrashed:
      return Trigger::kCrashed;
    case v1::Event::kPluginFailed:
      return Trigger::kFailed;
    case v1::Event::kPluginReloaded:
      return event.plugin_reloaded().running() ? Trigger::kReloadedRunning : Trigger::kReloadedIdle;
    case v1::Event::kPluginUnloaded:
      return Trigger::kUnloaded;
    default:
      return std::nullopt;
  }
}

}  // namespace

bool Registry::allows(const v1::Event& event) const {
  if (event.has_plugin_loaded()) {
    return !by_id_.contains(event.plugin_id()) && !by_name_.contains(event.plugin_loaded().manifest().name());
  }
  const auto trigger = trigger_of(event);
  const auto found = by_id_.find(event.plugin_id());
  if (!trigger || found == by_id_.end()) return true;
  if (*trigger == Trigger::kStarted && found->second->state == State::kRunning) return true;
  return lifecycle::transition(found->second->state, *trigger).has_value();
}

v1::Plugin to_message(const PluginRecord& record) {
  v1::Plugin plugin;
  plugin.set_plugin_id(record.id.str());
  plugin.set_name(record.name());
  plugin.set_version(record.loaded().manifest().version());
  plugin.set_state(static_cast<v1::PluginState>(record.state));
  plugin.set_state_reason(record.state_reason);
  plugin.set_state_message(record.state_message);
  plugin.set_instance_id(record.instance_id.str());
  *plugin.mutable_manifest() = record.loaded().manifest();
  plugin.set_folder(record.loaded().folder());
  plugin.set_digest_sha256(record.loaded().digest_sha256());
  *plugin.mutable_load_time() = record.load_time;
  if (record.start_time.seconds() != 0) *plugin.mutable_start_time() = record.start_time;
  *plugin.mutable_operations() = record.started.operations();
  *plugin.mutable_capabilities() = record.started.capabilities();
  plugin.set_concurrency(record.started.concurrency());
  plugin.set_restart_count(record.restart_count);
  v1::PluginStatistics& statistics = *plugin.mutable_statistics();
  statistics.set_calls_started(record.calls_started);
  statistics.set_calls_completed(record.calls_completed);
  statistics.set_calls_failed(record.calls_failed);
  statistics.set_execution_time_ms_total(record.execution_time_ms_total);
  *plugin.mutable_posture() = record.posture;
  return plugin;
}

}  // namespace liongate::registry
