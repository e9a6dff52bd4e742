// Writes a configuration as commented YAML: --print-config, and the text of docs/configuration.md's example.
#include "config/daemon_config.h"
#include "config/document.h"

namespace liongate::config {
namespace {

// A text as a double-quoted YAML scalar; JSON's quoting is YAML's too.
std::string quoted(const std::string& text) {
  Node node;
  node.kind = NodeKind::kString;
  node.text = text;
  return to_json(node);
}

class Writer {
 public:
  void setting(std::string_view comment, std::string_view key, const std::string& value) {
    out_ += "# " + std::string(comment) + "\n" + std::string(key) + ": " + value + "\n\n";
  }
  void text(std::string_view comment, std::string_view key, const std::string& value) {
    setting(comment, key, quoted(value));
  }
  std::string take() { return std::move(out_); }

 private:
  std::string out_;
};

std::string age_text(std::uint64_t seconds) {
  if (seconds == 0) return "0";
  constexpr std::uint64_t kDay = 24 * 60 * 60;
  if (seconds % kDay == 0) return std::to_string(seconds / kDay) + "d";
  return std::to_string(seconds) + "s";
}

std::string policy_text(const std::vector<PolicyRule>& rules) {
  if (rules.empty()) return "[]";
  std::string out;
  for (const PolicyRule& rule : rules) {
    out += "\n  - {plugin: " + quoted(rule.plugin) + ", permission: " + quoted(rule.permissions.front()) +
           ", allow: " + (rule.allow ? "true" : "false") + "}";
  }
  return out;
}

std::string secrets_text(const std::map<std::string, SecretConfig>& secrets) {
  if (secrets.empty()) return "{}";
  std::string out;
  for (const auto& [name, secret] : secrets) {
    out += "\n  " + quoted(name) + ": {" + std::string(name_of(secret.kind)) + ": ";
    if (secret.kind == SecretKind::kCommand) {
      std::string words;
      for (const std::string& word : secret.command) words += (words.empty() ? "" : ", ") + quoted(word);
      out += "[" + words + "], timeout_ms: " + std::to_string(secret.timeout_ms);
    } else {
      out += quoted(secret.kind == SecretKind::kFile ? secret.file : secret.credential);
    }
    out += "}";
  }
  return out;
}

}  // namespace

std::string to_yaml(const DaemonConfig& config) {
  Writer writer;
  writer.setting("development, testing, staging or production. They differ in policy and log level only.",
                 "environment", std::string(name_of(config.environment)));
  writer.setting("debug, info, warning or error.", "log_level", std::string(name_of(config.log_level)));
  writer.text("Holds the event log, and what is derived from it. One daemon at a time.", "state_dir", config.state_dir);
  writer.text("The control socket; it admits the daemon's own user and root.", "socket", config.socket);
  writer.setting("When a call's events are on disk, for callers that do not say: durable, before_run, batch or async.",
                 "durability", std::string(name_of(config.durability)));
  writer.setting(std::string("Who may be granted what; the first rule that matches decides. What no rule names is ") +
                     (config.grants_by_default() ? "granted" : "refused") + " in this environment.",
                 "policy", policy_text(config.policy));
  writer.text("Rules that come before those of `policy` (docs/policy.md); empty: policy.yaml beside this file, if any.",
              "policy_file", config.policy_file);
  writer.text("Observers to run (docs/observers.md); empty: plugins.yaml beside this file, if any.", "plugins_file",
              config.plugins_file);
  writer.setting("Whether an entry of it that does not start keeps the daemon from starting.", "strict_plugins",
                 config.strict_plugins ? "true" : "false");
  writer.setting("How long a call may take when its caller does not say.", "invoke_timeout_ms",
                 std::to_string(config.invoke_timeout_ms));
  writer.setting("From the launch of a plugin to its Ready.", "ready_timeout_ms",
                 std::to_string(config.ready_timeout_ms));
  writer.setting("Between asking a plugin to stop and killing it.", "stop_grace_ms",
                 std::to_string(config.stop_grace_ms));
  writer.setting("How long the kernel thread spins for work before it sleeps; 0 saves the processor.", "busy_poll_us",
                 std::to_string(config.busy_poll_us));
  writer.text("Runs Python plugins.", "python_interpreter", config.python_interpreter);
  writer.text("Runs JavaScript plugins.", "node_interpreter", config.node_interpreter);
  writer.setting("Size of one file of the event log.", "log_segment_bytes", std::to_string(config.log_segment_bytes));
  writer.setting("Whole sealed segments beyond it are removed, oldest first; 0 keeps everything.",
                 "log_retention_bytes_max", std::to_string(config.log_retention_bytes_max));
  writer.text("The same for segments older than this, like 90d, 12h, 30m or 45s; 0 keeps everything.",
              "log_retention_age_max", age_text(config.log_retention_age_max_s));
  writer.setting("Of a call's input and output, so much is stored in events; of what is longer, digest and length.",
                 "log_payload_bytes_max", std::to_string(config.log_payload_bytes_max));
  writer.setting("A snapshot of the state is taken after so many events: what a start has to read at most.",
                 "snapshot_every_events", std::to_string(config.snapshot_every_events));
  writer.setting("Or after so many bytes of them.", "snapshot_every_bytes",
                 std::to_string(config.snapshot_every_bytes));
  writer.setting("Between an event and the signed checkpoint that covers it, at most; closing the log makes one too.",
                 "log_checkpoint_interval_ms", std::to_string(config.log_checkpoint_interval_ms));
  writer.text(
      "Who is asked for the names that plugins were granted, ADDRESS[:PORT], several by commas; empty: the host's.",
      "network_resolver", config.network.resolver);
  std::string ranges;
  for (const std::string& range : config.network.internal_ranges)
    ranges += (ranges.empty() ? "" : ", ") + quoted(range);
  writer.setting("Private addresses, ADDRESS/BITS, that granted names may lead to; others must be granted by address.",
                 "network_internal_ranges", "[" + ranges + "]");
  writer.setting("Connections of one sandbox at a time: of a plugin, or of one call of a command.", "network_flows_max",
                 std::to_string(config.network.flows_max));
  writer.setting("A connection in which nothing moves is ended after it.", "network_idle_timeout_ms",
                 std::to_string(config.network.idle_timeout_ms));
  writer.setting("A connection is cut that carried more, both ways together; 0 for no bound.", "network_flow_bytes_max",
                 std::to_string(config.network.flow_bytes_max));
  writer.setting(
      "Where the values of secrets come from that plugins may be granted as secret:NAME (docs/secrets.md):\n"
      "# NAME: {credential: ID}, {file: /PATH} or {command: [/PROGRAM, ...], timeout_ms: 5000}. No values here.",
      "secrets", secrets_text(config.secrets));
  writer.text("Path of liongate-netgate; empty: beside liongated.", "netgate_path", config.netgate_path);
  writer.text("Path of liongate-launcher; empty: beside liongated.", "launcher_path", config.launcher_path);
  writer.text("User ids for plugins when started as root, FIRST-LAST; empty: the default range.", "plugin_uid_range",
              config.plugin_uid_range);
  std::string degraded;
  for (const std::string& name : config.allow_degraded) degraded += (degraded.empty() ? "" : ", ") + name;
  writer.setting("Mechanisms that may be missing where otherwise nothing would be started (docs/sandbox.md).",
                 "allow_degraded", "[" + degraded + "]");
  return writer.take();
}

}  // namespace liongate::config
