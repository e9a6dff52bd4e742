#include "config/daemon_config.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>

#include "config/document.h"
#include "config/faults.h"
#include "config/manifest_rules.h"
#include "config/trusted_file.h"
#include "kernel/base/sys.h"

namespace liongate::config {
namespace {

constexpr std::size_t kConfigBytesMax = 256 * 1024;
constexpr std::size_t kPathBytesMax = 4095;
constexpr std::size_t kPatternBytesMax = 4096;
constexpr std::size_t kInlineRulesMax = 1024;  // more belong into a policy file
constexpr int kReadyTimeoutMsMax = 10 * 60 * 1000;
constexpr int kStopGraceMsMax = 10 * 60 * 1000;
constexpr int kBusyPollUsMax = 10'000;
constexpr std::uint64_t kLogSegmentBytesMin = 64 * 1024;
constexpr std::uint64_t kLogSegmentBytesMax = 4ULL * 1024 * 1024 * 1024;
constexpr std::uint64_t kLogRetentionBytesMaxMax = 1ULL << 50U;
constexpr std::uint64_t kLogRetentionAgeSMax = 100ULL * 365 * 24 * 60 * 60;
constexpr std::uint64_t kSnapshotEveryEventsMin = 100;
constexpr std::uint64_t kSnapshotEveryEventsMax = 1'000'000'000;
constexpr std::uint64_t kSnapshotEveryBytesMin = 64 * 1024;
constexpr std::uint64_t kSnapshotEveryBytesMax = 1ULL << 40U;
constexpr int kLogCheckpointIntervalMsMin = 100;
constexpr int kLogCheckpointIntervalMsMax = 24 * 60 * 60 * 1000;
constexpr std::uint64_t kUidMax = 4'294'967'294;
constexpr int kNetworkIdleTimeoutMsMax = 24 * 60 * 60 * 1000;
constexpr std::uint64_t kNetworkFlowBytesMaxMax = 1ULL << 50U;

constexpr std::array kEnvironments{
    std::pair{Environment::kDevelopment, std::string_view("development")},
    std::pair{Environment::kTesting, std::string_view("testing")},
    std::pair{Environment::kStaging, std::string_view("staging")},
    std::pair{Environment::kProduction, std::string_view("production")},
};
constexpr std::array kLogLevels{
    std::pair{LogLevel::kDebug, std::string_view("debug")},
    std::pair{LogLevel::kInfo, std::string_view("info")},
    std::pair{LogLevel::kWarning, std::string_view("warning")},
    std::pair{LogLevel::kError, std::string_view("error")},
};
constexpr std::array kDurabilities{
    std::pair{DurabilityMode::kDurable, std::string_view("durable")},
    std::pair{DurabilityMode::kBeforeRun, std::string_view("before_run")},
    std::pair{DurabilityMode::kBatch, std::string_view("batch")},
    std::pair{DurabilityMode::kAsync, std::string_view("async")},
};

constexpr std::array kSecretKinds{
    std::pair{SecretKind::kCredential, std::string_view("credential")},
    std::pair{SecretKind::kFile, std::string_view("file")},
    std::pair{SecretKind::kCommand, std::string_view("command")},
};
constexpr const char* kSecretExample = "write NAME: {file: /etc/liongate/secrets/NAME}";

template <typename Table>
std::vector<std::string> names_in(const Table& table) {
  std::vector<std::string> names;
  for (const auto& [value, name] : table) names.emplace_back(name);
  return names;
}

template <typename Table>
std::string list_of(const Table& table) {
  std::string all;
  for (const auto& [value, name] : table) all += (all.empty() ? "" : ", ") + std::string(name);
  return all;
}

template <typename Table, typename Value>
std::string_view name_in(const Table& table, Value wanted) {
  for (const auto& [value, name] : table) {
    if (value == wanted) return name;
  }
  return table[0].second;
}

// The bits of an address: 32 or 128; 0 for what is none.
unsigned address_bits(const std::string& text) {
  std::array<std::byte, 16> address{};
  if (::inet_pton(AF_INET, text.c_str(), address.data()) == 1) return 32;
  return ::inet_pton(AF_INET6, text.c_str(), address.data()) == 1 ? 128 : 0;
}

bool is_address_range(const std::string& text) {
  const std::size_t slash = text.find('/');
  const unsigned bits = address_bits(text.substr(0, slash));
  return bits != 0 && slash != std::string::npos && is_number_to(std::string_view(text).substr(slash + 1), bits);
}

// ADDRESS[:PORT] with commas between; an IPv6 address with a port stands in brackets. Empty is the host's own.
bool are_resolvers(std::string_view text) {
  while (!text.empty()) {
    const std::size_t comma = text.find(',');
    std::string one(text.substr(0, comma));
    text.remove_prefix(comma == std::string_view::npos ? text.size() : comma + 1);
    std::string_view port = "53";
    const std::size_t colon = one.rfind(':');
    const bool has_brackets = one.starts_with('[') && one.find(']') != std::string::npos;
    std::string address = one;
    if (has_brackets) {
      address = one.substr(1, one.find(']') - 1);
      const std::string_view rest = std::string_view(one).substr(one.find(']') + 1);
      if (!rest.empty() && !rest.starts_with(':')) return false;
      if (!rest.empty()) port = rest.substr(1);
    } else if (colon != std::string::npos && one.find(':') == colon) {
      address = one.substr(0, colon);
      port = std::string_view(one).substr(colon + 1);
    }
    if (address_bits(address) == 0 || !is_number_to(port, 65'535) || port == "0") return false;
  }
  return true;
}

// One level of keys: the file's root, or one entry of `environments` with its overrides.
class ConfigReader {
 public:
  ConfigReader(const Node& table, std::string prefix, FaultList& faults, DaemonConfig& config)
      : reader_(table, std::move(prefix), faults), faults_(faults), config_(config) {}

  TableReader& reader() { return reader_; }
  bool sets_log_level() const { return sets_log_level_; }

  void read_settings() {
    read_path("state_dir", config_.state_dir, kPathBytesMax);
    read_path("socket", config_.socket, limits::kSocketPathBytesMax);
    sets_log_level_ = read_word("log_level", kLogLevels, config_.log_level);
    read_word("durability", kDurabilities, config_.durability);
    read_policy();
    read_optional_path("policy_file", config_.policy_file);
    read_optional_path("plugins_file", config_.plugins_file);
    if (const auto strict = reader_.boolean("strict_plugins")) config_.strict_plugins = *strict;
    read_number("invoke_timeout_ms", config_.invoke_timeout_ms, 1, limits::kInvokeTimeoutMsMax);
    read_number("ready_timeout_ms", config_.ready_timeout_ms, 1, kReadyTimeoutMsMax);
    read_number("stop_grace_ms", config_.stop_grace_ms, 0, kStopGraceMsMax);
    read_number("busy_poll_us", config_.busy_poll_us, 0, kBusyPollUsMax);
    read_path("python_interpreter", config_.python_interpreter, kPathBytesMax);
    read_path("node_interpreter", config_.node_interpreter, kPathBytesMax);
    read_number("log_segment_bytes", config_.log_segment_bytes, kLogSegmentBytesMin, kLogSegmentBytesMax);
    read_number("log_retention_bytes_max", config_.log_retention_bytes_max, 0, kLogRetentionBytesMaxMax);
    read_age("log_retention_age_max", config_.log_retention_age_max_s);
    read_number("log_payload_bytes_max", config_.log_payload_bytes_max, 0, limits::kEventPayloadBytesMaxMax);
    read_number("snapshot_every_events", config_.snapshot_every_events, kSnapshotEveryEventsMin,
                kSnapshotEveryEventsMax);
    read_number("snapshot_every_bytes", config_.snapshot_every_bytes, kSnapshotEveryBytesMin, kSnapshotEveryBytesMax);
    read_number("log_checkpoint_interval_ms", config_.log_checkpoint_interval_ms, kLogCheckpointIntervalMsMin,
                kLogCheckpointIntervalMsMax);
    read_network();
    read_secrets();
    read_program("netgate_path", config_.netgate_path);
    read_program("launcher_path", config_.launcher_path);
    read_uid_range();
    read_allow_degraded();
  }

  template <typename Table, typename Value>
  bool read_word(std::string_view key, const Table& table, Value& target) {
    const std::optional<std::string> word = reader_.text(key, kPathBytesMax);
    if (!word) return false;
    for (const auto& [value, name] : table) {
      if (name != *word) continue;
      target = value;
      return true;
    }
    reader_.fault(*reader_.get(key), key, "`" + *word + "` is not one of " + list_of(table),
                  suggestion(*word, names_in(table), "choose one of them"));
    return false;
  }

  // Every unknown key is a fault here: a setting that silently does nothing is worse than a daemon that says no.
  void refuse_unknown_keys() {
    for (const Fault& fault : reader_.unknown_keys()) faults_.add(fault.line, fault.field, fault.what, fault.remedy);
  }

 private:
  void read_path(std::string_view key, std::string& target, std::size_t bytes_max) {
    const std::optional<std::string> path = reader_.text(key, bytes_max);
    if (!path) return;
    if (!path->starts_with('/')) {
      reader_.fault(*reader_.get(key), key, "`" + *path + "` is not an absolute path", "begin it with /");
      return;
    }
    target = *path;
  }

  // An empty text stands for "beside liongated".
  void read_program(std::string_view key, std::string& target) {
    if (const Node* node = reader_.get(key); node != nullptr && node->text.empty()) {
      target = reader_.text(key, kPathBytesMax).value_or("");
    } else {
      read_path(key, target, kPathBytesMax);
    }
  }

  void read_network() {
    NetworkConfig& network = config_.network;
    read_number("network_flows_max", network.flows_max, 1, limits::kNetworkFlowsMaxMax);
    read_number("network_idle_timeout_ms", network.idle_timeout_ms, 1000, kNetworkIdleTimeoutMsMax);
    read_number("network_flow_bytes_max", network.flow_bytes_max, 0, kNetworkFlowBytesMaxMax);
    if (const auto resolver = reader_.text("network_resolver", kPathBytesMax)) {
      if (are_resolvers(*resolver)) {
        network.resolver = *resolver;
      } else {
        reader_.fault(*reader_.get("network_resolver"), "network_resolver",
                      "`" + *resolver + "` is no list of addresses",
                      "write ADDRESS[:PORT], several with commas between, like \"9.9.9.9,[2620:fe::fe]:53\"");
      }
    }
    const Node* list = reader_.get("network_internal_ranges");
    if (list == nullptr) return;
    if (!list->is(NodeKind::kList) || list->items.size() > limits::kNetworkInternalRangesMax) {
      reader_.fault(*list, "network_internal_ranges",
                    "must be a list of at most " + std::to_string(limits::kNetworkInternalRangesMax) + " ranges",
                    "write [\"10.1.0.0/16\"]");
      return;
    }
    network.internal_ranges.clear();
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      const Node& item = list->items[i];
      if (is_address_range(item.text)) {
        network.internal_ranges.push_back(item.text);
      } else {
        faults_.add(item.line, reader_.field("network_internal_ranges[" + std::to_string(i) + "]"),
                    "`" + item.text + "` is no range of addresses", "write ADDRESS/BITS, like \"10.1.0.0/16\"");
      }
    }
  }

  // As with `policy`, what stands in an environment's part replaces the whole.
  void read_secrets() {
    const Node* table = reader_.table("secrets");
    if (table == nullptr) return;
    config_.secrets.clear();
    if (table->members.size() > limits::kSecretSourcesMax) {
      reader_.fault(*table, "secrets", "must be at most " + std::to_string(limits::kSecretSourcesMax) + " secrets",
                    "give several values in one file where they are used together");
      return;
    }
    for (const Member& member : table->members) {
      const std::string field = reader_.field("secrets." + member.key);
      if (!is_secret_name(member.key)) {
        faults_.add(member.line, field, "is not a name that a permission secret:NAME can have",
                    "use letters, digits, `.`, `_` and `-`");
      } else if (!member.value.is(NodeKind::kTable)) {
        faults_.add(member.line, field, "must be a table, not " + std::string(describe(member.value.kind)),
                    kSecretExample);
      } else {
        read_secret(member, field);
      }
    }
  }

  void read_secret(const Member& member, const std::string& field) {
    TableReader reader(member.value, field + ".", faults_);
    SecretConfig secret;
    int kinds = 0;
    for (const auto& [kind, name] : kSecretKinds) {
      if (reader.get(name) == nullptr) continue;
      ++kinds;
      secret.kind = kind;
    }
    if (kinds != 1) {
      faults_.add(member.line, field, "needs exactly one of " + list_of(kSecretKinds), kSecretExample);
    }
    if (const auto name = reader.text("credential", kPathBytesMax)) {
      secret.credential = *name;
      if (!is_secret_name(*name)) {
        reader.fault(*reader.get("credential"), "credential", "`" + *name + "` is not the name of a credential",
                     "write the ID of LoadCredential=, without a path");
      }
    }
    if (const auto path = reader.text("file", kPathBytesMax)) {
      secret.file = *path;
      refuse_relative(reader, "file", *path);
    }
    read_secret_command(reader, secret);
    if (const auto timeout = reader.integer("timeout_ms", 1, limits::kSecretTimeoutMsMax)) {
      secret.timeout_ms = static_cast<int>(*timeout);
      if (secret.kind != SecretKind::kCommand) {
        reader.fault(*reader.get("timeout_ms"), "timeout_ms", "is of a command only", "remove it");
      }
    }
    for (const Fault& fault : reader.unknown_keys()) faults_.add(fault.line, fault.field, fault.what, fault.remedy);
    config_.secrets[member.key] = std::move(secret);
  }

  static void read_secret_command(TableReader& reader, SecretConfig& secret) {
    if (reader.get("command") == nullptr) return;
    const auto words = reader.texts("command", limits::kSecretCommandWordsMax);
    if (!words) return;
    secret.command = *words;
    if (secret.command.empty()) {
      reader.fault(*reader.get("command"), "command", "is empty", "write [\"/usr/bin/program\", \"argument\"]");
    } else {
      refuse_relative(reader, "command", secret.command.front());
    }
  }

  static void refuse_relative(TableReader& reader, std::string_view key, const std::string& path) {
    if (path.starts_with('/')) return;
    reader.fault(*reader.get(key), key, "`" + path + "` is not an absolute path", "begin it with /");
  }

  template <typename Number>
  void read_number(std::string_view key, Number& target, std::uint64_t min, std::uint64_t max) {
    const std::optional<std::uint64_t> number = reader_.integer(key, min, max);
    if (number) target = static_cast<Number>(*number);
  }

  // "90d", "12h", "30m" or "45s"; "0" for none.
  void read_age(std::string_view key, std::uint64_t& target_s) {
    const std::optional<std::string> text = reader_.text(key, kPathBytesMax);
    if (!text) return;
    std::uint64_t number = 0;
    const char* end = text->data() + text->size();
    const auto [unit, bad] = std::from_chars(text->data(), end, number);
    std::uint64_t seconds = 0;
    if (bad == std::errc() && unit + 1 == end) {
      seconds = *unit == 's' ? 1 : *unit == 'm' ? 60 : *unit == 'h' ? 60 * 60 : *unit == 'd' ? 24 * 60 * 60 : 0;
    }
    const bool is_none = *text == "0";
    if (!is_none && (seconds == 0 || number > kLogRetentionAgeSMax / seconds)) {
      reader_.fault(*reader_.get(key), key, "`" + *text + "` is not a length of time of at most 100 years",
                    "write a whole number and s, m, h or d, like \"90d\"; \"0\" for no bound");
      return;
    }
    target_s = is_none ? 0 : number * seconds;
  }

  void read_uid_range() {
    const std::optional<std::string> range = reader_.text("plugin_uid_range", kPathBytesMax);
    if (!range) return;
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    const char* end = range->data() + range->size();
    const auto [dash, bad_first] = std::from_chars(range->data(), end, first);
    bool is_range = bad_first == std::errc() && dash != end && *dash == '-';
    if (is_range) {
      const auto [rest, bad_last] = std::from_chars(dash + 1, end, last);
      is_range = bad_last == std::errc() && rest == end && first > 0 && first <= last && last <= kUidMax;
    }
    if (!range->empty() && !is_range) {
      reader_.fault(*reader_.get("plugin_uid_range"), "plugin_uid_range", "`" + *range + "` is not a range of user ids",
                    "write FIRST-LAST, like \"600000-665535\"");
      return;
    }
    config_.plugin_uid_range = *range;
  }

  void read_allow_degraded() {
    const Node* list = reader_.get("allow_degraded");
    if (list == nullptr) return;
    std::string known;
    for (const std::string_view name : kDegradableMechanisms) known += (known.empty() ? "" : ", ") + std::string(name);
    if (!list->is(NodeKind::kList)) {
      reader_.fault(*list, "allow_degraded", "must be a list of names", "name some of " + known);
      return;
    }
    config_.allow_degraded.clear();
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      const Node& item = list->items[i];
      const std::string field = reader_.field("allow_degraded[" + std::to_string(i) + "]");
      if (std::ranges::find(kDegradableMechanisms, item.text) == kDegradableMechanisms.end()) {
        faults_.add(item.line, field, "`" + item.text + "` is not a mechanism that can be done without",
                    "name some of " + known);
      } else if (std::ranges::find(config_.allow_degraded, item.text) == config_.allow_degraded.end()) {
        config_.allow_degraded.push_back(item.text);
      }
    }
  }

  void read_policy() {
    const Node* list = reader_.get("policy");
    if (list == nullptr) return;
    if (!list->is(NodeKind::kList) || list->items.size() > kInlineRulesMax) {
      reader_.fault(*list, "policy", "must be a list of at most " + std::to_string(kInlineRulesMax) + " rules",
                    "write - {plugin: \"*\", permission: \"fs_read:/srv/*\", allow: true}");
      return;
    }
    config_.policy.clear();
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      read_rule(list->items[i], reader_.field("policy[" + std::to_string(i) + "]"));
    }
  }

  // An empty text stands for "beside this file".
  void read_optional_path(std::string_view key, std::string& target) {
    if (const Node* node = reader_.get(key); node != nullptr && node->is(NodeKind::kString) && node->text.empty()) {
      target.clear();
    } else {
      read_path(key, target, kPathBytesMax);
    }
  }

  void read_rule(const Node& node, const std::string& field) {
    if (!node.is(NodeKind::kTable)) {
      faults_.add(node.line, field, "must be a rule, not " + std::string(describe(node.kind)),
                  "write {plugin: \"*\", permission: \"fs_read:/srv/*\", allow: true}");
      return;
    }
    TableReader reader(node, field + ".", faults_);
    PolicyRule rule;
    rule.plugin = reader.text("plugin", kPatternBytesMax).value_or("*");
    rule.permissions = {reader.text("permission", kPatternBytesMax).value_or("*")};
    // Its place in this list, which is not the one it has behind the rules of a policy file.
    rule.name = "rule " + std::to_string(config_.policy.size() + 1);
    if (reader.get("allow") == nullptr) {
      faults_.add(node.line, reader.field("allow"), "is missing", "write allow: true or allow: false");
    }
    rule.allow = reader.boolean("allow").value_or(false);
    for (const Fault& fault : reader.unknown_keys()) faults_.add(fault.line, fault.field, fault.what, fault.remedy);
    config_.policy.push_back(std::move(rule));
  }

  TableReader reader_;
  FaultList& faults_;
  DaemonConfig& config_;
  bool sets_log_level_ = false;
};

// Reads `environments`: all of them are checked, so that a fault in one shows before it is needed; one is applied.
// Returns whether that one sets the log level.
bool apply_overrides(const Node& environments, FaultList& faults, DaemonConfig& config) {
  bool sets_log_level = false;
  for (const Member& member : environments.members) {
    const Result<Environment> environment = parse_environment(member.key);
    const std::string field = "environments." + member.key;
    if (!environment) {
      faults.add(member.line, field, "is no environment", environment.error().hint);
    } else if (!member.value.is(NodeKind::kTable)) {
      faults.add(member.line, field, "must be a table, not " + std::string(describe(member.value.kind)),
                 "indent its keys below it");
    } else {
      DaemonConfig scratch = config;
      const bool applies = *environment == config.environment;
      ConfigReader overrides(member.value, field + ".", faults, applies ? config : scratch);
      overrides.read_settings();
      overrides.refuse_unknown_keys();
      sets_log_level = sets_log_level || (applies && overrides.sets_log_level());
    }
  }
  return sets_log_level;
}

}  // namespace

std::string_view name_of(Environment environment) {
  return name_in(kEnvironments, environment);
}
std::string_view name_of(LogLevel level) {
  return name_in(kLogLevels, level);
}
std::string_view name_of(SecretKind kind) {
  return name_in(kSecretKinds, kind);
}
std::string_view name_of(DurabilityMode mode) {
  return name_in(kDurabilities, mode);
}

Result<Environment> parse_environment(std::string_view text) {
  for (const auto& [environment, name] : kEnvironments) {
    if (name == text) return environment;
  }
  return make_error(Reason::kInvalidConfig, "`" + std::string(text) + "` is no environment")
      .with_hint(suggestion(text, names_in(kEnvironments), "the environments are " + list_of(kEnvironments)));
}

LogLevel default_log_level(Environment environment) {
  const bool is_for_developers = environment == Environment::kDevelopment || environment == Environment::kTesting;
  return is_for_developers ? LogLevel::kDebug : LogLevel::kInfo;
}

Result<DaemonConfig> parse_daemon_config(std::string_view text, const std::string& path, DaemonConfig defaults,
                                         std::optional<Environment> environment) {
  FaultList faults(path, Reason::kInvalidConfig);
  if (const DocumentFault fault = check_text(text, kConfigBytesMax); !fault.what.empty()) {
    faults.add(fault.line, "", fault.what, fault.remedy);
    return faults.to_error();
  }
  const Document document = read_yaml(text);
  if (const auto* fault = std::get_if<DocumentFault>(&document)) {
    faults.add(fault->line, "", fault->what, fault->remedy);
    return faults.to_error();
  }
  DaemonConfig config = std::move(defaults);
  ConfigReader root(std::get<Node>(document), "", faults, config);
  root.read_word("environment", kEnvironments, config.environment);
  if (environment) config.environment = *environment;
  root.read_settings();
  bool sets_log_level = root.sets_log_level();
  if (const Node* environments = root.reader().table("environments")) {
    sets_log_level = apply_overrides(*environments, faults, config) || sets_log_level;
  }
  root.refuse_unknown_keys();
  if (!faults.empty()) return faults.to_error();
  if (!sets_log_level) config.log_level = default_log_level(config.environment);
  return config;
}

Result<DaemonConfig> load_daemon_config(const std::string& path, FilePresence presence, DaemonConfig defaults,
                                        std::optional<Environment> environment) {
  Result<std::string> text = read_trusted_file(path, kConfigBytesMax);
  if (!text) {
    const bool is_missing = text.error().sys_errno == ENOENT || text.error().sys_errno == ENOTDIR;
    if (is_missing && presence == FilePresence::kMayBeMissing) {
      return parse_daemon_config("", path, std::move(defaults), environment);
    }
    Error error = std::move(text).error();
    if (error.hint.empty()) error.hint = is_missing ? "name an existing file with --config" : "make it a readable file";
    return error;
  }
  return parse_daemon_config(*text, path, std::move(defaults), environment);
}

}  // namespace liongate::config
