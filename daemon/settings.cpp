#include "daemon/settings.h"

#include "sandbox/rlimits.h"
#include "sandbox/root_builder.h"

namespace liongate::daemon {
namespace {

orchestrator::Durability to_durability(config::DurabilityMode mode) {
  switch (mode) {
    case config::DurabilityMode::kDurable:
      return orchestrator::Durability::kDurable;
    case config::DurabilityMode::kBeforeRun:
      return orchestrator::Durability::kBeforeRun;
    case config::DurabilityMode::kBatch:
      return orchestrator::Durability::kBatch;
    case config::DurabilityMode::kAsync:
      return orchestrator::Durability::kAsync;
  }
  return orchestrator::Durability::kDurable;
}

// What the policy takes for the default of a limit is what the launcher and the calls really apply: a ceiling that is
// no lower then changes nothing.
static_assert(policy::unstated_limit("memory_bytes_max") == sandbox::kDataBytesMaxDefault);
static_assert(policy::unstated_limit("file_size_bytes_max") == sandbox::kFileSizeBytesMaxDefault);
static_assert(policy::unstated_limit("processes_max") == sandbox::kProcessesMaxDefault);
static_assert(policy::unstated_limit("open_files_max") == sandbox::kOpenFilesMaxDefault);
static_assert(policy::unstated_limit("tmp_bytes_max") == sandbox::kTmpBytesMaxDefault);
static_assert(policy::unstated_limit("tmp_files_max") == sandbox::kTmpFilesMaxDefault);
static_assert(policy::unstated_limit("output_bytes_max") == limits::kOutputBytesMax);

}  // namespace

orchestrator::Settings to_settings(const config::DaemonConfig& config) {
  orchestrator::Settings settings;
  settings.invoke_timeout_ms = config.invoke_timeout_ms;
  settings.ready_timeout_ms = config.ready_timeout_ms;
  settings.stop_grace_ms = config.stop_grace_ms;
  settings.durability = to_durability(config.durability);
  settings.snapshot_every_events = config.snapshot_every_events;
  settings.snapshot_every_bytes = config.snapshot_every_bytes;
  settings.log_retention_bytes_max = config.log_retention_bytes_max;
  settings.payload_bytes_max = static_cast<std::size_t>(config.log_payload_bytes_max);
  settings.log_retention_age_max_ms = static_cast<std::int64_t>(config.log_retention_age_max_s) * 1000;
  settings.policy.rules = config.policy_file_rules;
  settings.policy.rules.insert(settings.policy.rules.end(), config.policy.begin(), config.policy.end());
  settings.policy.otherwise = config.grants_by_default() ? policy::Default::kGrant : policy::Default::kRefuse;
  settings.policy.environment = std::string(config::name_of(config.environment));
  settings.policy.protected_folders = {config.state_dir, config.socket};
  return settings;
}

v1::ReloadConfigResponse compare(const config::DaemonConfig& before, const config::DaemonConfig& after) {
  v1::ReloadConfigResponse response;
  const auto changed = [&](bool differs, const char* key) {
    if (differs) response.add_changed_keys(key);
  };
  const auto restart = [&](bool differs, const char* key) {
    if (differs) response.add_restart_keys(key);
  };
  changed(before.log_level != after.log_level, "log_level");
  changed(before.durability != after.durability, "durability");
  changed(before.invoke_timeout_ms != after.invoke_timeout_ms, "invoke_timeout_ms");
  changed(before.ready_timeout_ms != after.ready_timeout_ms, "ready_timeout_ms");
  changed(before.stop_grace_ms != after.stop_grace_ms, "stop_grace_ms");
  changed(before.policy != after.policy, "policy");
  changed(before.policy_file != after.policy_file || before.policy_file_rules != after.policy_file_rules,
          "policy_file");
  changed(before.plugins_file != after.plugins_file, "plugins_file");
  changed(before.strict_plugins != after.strict_plugins, "strict_plugins");
  changed(before.log_retention_bytes_max != after.log_retention_bytes_max, "log_retention_bytes_max");
  changed(before.log_retention_age_max_s != after.log_retention_age_max_s, "log_retention_age_max");
  changed(before.log_payload_bytes_max != after.log_payload_bytes_max, "log_payload_bytes_max");
  changed(before.snapshot_every_events != after.snapshot_every_events, "snapshot_every_events");
  changed(before.snapshot_every_bytes != after.snapshot_every_bytes, "snapshot_every_bytes");
  changed(before.network.resolver != after.network.resolver, "network_resolver");
  changed(before.network.internal_ranges != after.network.internal_ranges, "network_internal_ranges");
  changed(before.network.flows_max != after.network.flows_max, "network_flows_max");
  changed(before.network.idle_timeout_ms != after.network.idle_timeout_ms, "network_idle_timeout_ms");
  changed(before.network.flow_bytes_max != after.network.flow_bytes_max, "network_flow_bytes_max");
  changed(before.secrets != after.secrets, "secrets");
  restart(before.netgate_path != after.netgate_path, "netgate_path");
  restart(before.state_dir != after.state_dir, "state_dir");
  restart(before.socket != after.socket, "socket");
  restart(before.environment != after.environment, "environment");
  restart(before.busy_poll_us != after.busy_poll_us, "busy_poll_us");
  restart(before.python_interpreter != after.python_interpreter, "python_interpreter");
  restart(before.node_interpreter != after.node_interpreter, "node_interpreter");
  restart(before.log_segment_bytes != after.log_segment_bytes, "log_segment_bytes");
  restart(before.log_checkpoint_interval_ms != after.log_checkpoint_interval_ms, "log_checkpoint_interval_ms");
  restart(before.launcher_path != after.launcher_path, "launcher_path");
  restart(before.plugin_uid_range != after.plugin_uid_range, "plugin_uid_range");
  restart(before.allow_degraded != after.allow_degraded, "allow_degraded");
  return response;
}

}  // namespace liongate::daemon
