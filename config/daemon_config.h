// The daemon's configuration: one YAML file, defaults for everything, all faults reported together with file:line.
//
// Ownership and thread: a plain value; parsing opens only the file named. docs/configuration.md is the reference.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/limits.h"
#include "kernel/base/policy_rule.h"
#include "kernel/base/result.h"

namespace liongate::config {

enum class Environment { kDevelopment, kTesting, kStaging, kProduction };
std::string_view name_of(Environment environment);
Result<Environment> parse_environment(std::string_view text);  // kInvalidConfig lists the four

enum class LogLevel { kDebug, kInfo, kWarning, kError };
std::string_view name_of(LogLevel level);
LogLevel default_log_level(Environment environment);  // development and testing: debug; else info

enum class DurabilityMode { kDurable, kBeforeRun, kBatch, kAsync };
std::string_view name_of(DurabilityMode mode);

// What `allow_degraded` may name: mechanisms that a host can lack. Each is the name of a row in a plugin's posture and
// in check-host, with underscores; docs/sandbox.md says what it means to do without.
inline constexpr std::array<std::string_view, 12> kDegradableMechanisms{
    "cgroup_limits",    "deny_write_execute", "hidden_processes", "idmapped_grants",      "landlock",
    "namespace_limits", "ordinary_groups",    "own_host_user",    "process_number_limit", "sealed_launcher",
    "session_keyring",  "speculation_control"};

// The way of plugins to the hosts they were granted (docs/network.md).
struct NetworkConfig {
  std::string resolver;                             // ADDRESS[:PORT], several by commas; empty: the host's
  std::vector<std::string> internal_ranges;         // ADDRESS/BITS: private addresses that granted names may lead to
  int flows_max = limits::kNetworkFlowsMaxDefault;  // of one plugin at a time
  int idle_timeout_ms = limits::kNetworkIdleTimeoutMsDefault;  // then a flow in which nothing moves is ended
  std::uint64_t flow_bytes_max = 0;                            // both ways of one flow together; 0: no bound

  bool operator==(const NetworkConfig&) const = default;
};

// Where the value of a secret comes from (docs/secrets.md). Only the members of its kind are set.
enum class SecretKind { kCredential, kFile, kCommand };
std::string_view name_of(SecretKind kind);
struct SecretConfig {
  SecretKind kind = SecretKind::kFile;
  std::string credential;                            // a file's name in the service manager's folder of credentials
  std::string file;                                  // absolute
  std::vector<std::string> command;                  // an absolute program and its arguments
  int timeout_ms = limits::kSecretTimeoutMsDefault;  // of the command

  bool operator==(const SecretConfig&) const = default;
};

struct DaemonConfig {
  std::string state_dir;
  std::string socket;
  Environment environment = Environment::kProduction;
  LogLevel log_level = LogLevel::kInfo;
  DurabilityMode durability = DurabilityMode::kDurable;
  std::vector<PolicyRule> policy;             // see `grants_by_default`
  std::string policy_file;                    // empty: policy.yaml beside the configuration file, if there is one
  std::vector<PolicyRule> policy_file_rules;  // before those of `policy`; see load_policy (policy_file.h)
  std::string plugins_file;                   // empty: plugins.yaml beside the configuration file, if there is one
  bool strict_plugins = false;                // an entry of it that fails at the start ends the daemon
  int invoke_timeout_ms = limits::kInvokeTimeoutMsDefault;
  int ready_timeout_ms = limits::kReadyTimeoutMs;
  int stop_grace_ms = limits::kStopGraceMs;
  int busy_poll_us = 0;  // kernel thread: spin so long before it sleeps
  std::string python_interpreter = "/usr/bin/python3";
  std::string node_interpreter = "/usr/bin/node";
  std::uint64_t log_segment_bytes = limits::kLogSegmentBytes;
  std::uint64_t log_retention_bytes_max = 0;
  std::uint64_t log_retention_age_max_s = 0;
  std::uint64_t log_payload_bytes_max = limits::kEventPayloadBytesMax;
  std::uint64_t snapshot_every_events = limits::kSnapshotEventsDefault;
  std::uint64_t snapshot_every_bytes = limits::kSnapshotLogBytesDefault;
  int log_checkpoint_interval_ms = limits::kLogCheckpointIntervalMsDefault;
  NetworkConfig network;
  std::map<std::string, SecretConfig> secrets;  // by the NAME of the permission secret:NAME
  std::string netgate_path;                     // empty: beside liongated
  std::string launcher_path;                    // empty: beside liongated
  std::string plugin_uid_range;                 // "FIRST-LAST", used as root; empty: the default range
  std::vector<std::string> allow_degraded;      // of kDegradableMechanisms, each once

  // Development grants what no rule names; every other environment refuses it.
  bool grants_by_default() const { return environment == Environment::kDevelopment; }
};

// Where things are when nobody says otherwise: for root /etc/liongate, /var/lib/liongate, /run/liongate; for a user the
// XDG folders from the process's environment. `config_file` is where it would be read from if it exists.
struct DefaultPaths {
  std::string config_file;
  std::string state_dir;
  std::string socket;
};
DefaultPaths default_paths();

// Parses `text`; `path` is for messages. Unknown keys, wrong types and values out of range are kInvalidConfig,
// together. `environment` (a flag of the command line) wins over the file's; then the file's `environments.NAME`
// overrides of the environment in force are applied, and a log level that nobody set is that environment's.
Result<DaemonConfig> parse_daemon_config(std::string_view text, const std::string& path, DaemonConfig defaults,
                                         std::optional<Environment> environment = std::nullopt);

// Reads the file if `path` names one; a missing file is an error only where `must_exist`.
enum class FilePresence { kMustExist, kMayBeMissing };
Result<DaemonConfig> load_daemon_config(const std::string& path, FilePresence presence, DaemonConfig defaults,
                                        std::optional<Environment> environment = std::nullopt);

// The whole configuration as YAML with a comment for each key: what --print-config shows; parses back to the same.
std::string to_yaml(const DaemonConfig& config);

// The socket that liongatectl uses when no flag names one: LIONGATE_SOCKET, the user's runtime folder if a socket is
// there, /run/liongate/control.sock.
std::string client_socket_path();

}  // namespace liongate::config
