#include "config/policy_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <map>

#include "config/document.h"
#include "config/faults.h"
#include "config/manifest_parser.h"
#include "config/manifest_rules.h"
#include "config/trusted_file.h"
#include "kernel/base/limits.h"
#include "kernel/base/sys.h"

namespace liongate::config {
namespace {

// A rule is a table with a few keys, a list of permissions and one of limits in it at most.
constexpr std::size_t kNodesPerRuleMax = 24;
constexpr std::size_t kPolicyNodesMax = limits::kPolicyRulesMax * kNodesPerRuleMax;

constexpr const char* kExample = R"(write - {plugin: "report-*", permission: "fs_read:/srv/*", allow: true})";

bool has_control_character(std::string_view text) {
  return std::any_of(text.begin(), text.end(),
                     [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7F; });
}

class PolicyReader {
 public:
  PolicyReader(const Node& root, const std::string& path, Environment environment)
      : faults_(path, Reason::kInvalidConfig), root_(root, "", faults_), path_(path), environment_(environment) {}

  Result<std::vector<PolicyRule>> read() {
    std::vector<PolicyRule> rules;
    if (const Node* environments = root_.table("environments")) read_environments(*environments, rules);
    read_rules(root_, rules);
    refuse_unknown_keys(root_);
    if (count_ > limits::kPolicyRulesMax) {
      faults_.add(1, "rules",
                  "the file has " + std::to_string(count_) + " rules, at most " +
                      std::to_string(limits::kPolicyRulesMax) + " are allowed",
                  "let patterns stand for several");
    }
    if (!faults_.empty()) return faults_.to_error();
    return rules;
  }

 private:
  // What a rule looks at and for which permission: two rules that agree in all of it cannot both decide.
  using Key = std::vector<std::string>;
  struct Earlier {
    int line = 0;
    bool allow = false;
  };

  void read_environments(const Node& environments, std::vector<PolicyRule>& in_force) {
    for (const Member& member : environments.members) {
      const Result<Environment> environment = parse_environment(member.key);
      const std::string field = "environments." + member.key;
      if (!environment) {
        faults_.add(member.line, field, "is no environment", environment.error().hint);
      } else if (!member.value.is(NodeKind::kTable)) {
        faults_.add(member.line, field, "must be a table, not " + std::string(describe(member.value.kind)),
                    "write rules: below it");
      } else {
        TableReader reader(member.value, field + ".", faults_);
        std::vector<PolicyRule> rules;
        read_rules(reader, rules);
        refuse_unknown_keys(reader);
        if (*environment == environment_) in_force = std::move(rules);
      }
    }
  }

  void read_rules(TableReader& reader, std::vector<PolicyRule>& rules) {
    const Node* list = reader.get("rules");
    if (list == nullptr) return;
    if (!list->is(NodeKind::kList)) {
      reader.fault(*list, "rules", "must be a list of rules, not " + std::string(describe(list->kind)), kExample);
      return;
    }
    count_ += list->items.size();
    if (count_ > limits::kPolicyRulesMax) return;  // said once for the whole file
    std::map<Key, Earlier> seen;
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      read_rule(list->items[i], reader.field("rules[" + std::to_string(i) + "]"), seen, rules);
    }
  }

  void read_rule(const Node& node, const std::string& field, std::map<Key, Earlier>& seen,
                 std::vector<PolicyRule>& rules) {
    if (!node.is(NodeKind::kTable)) {
      faults_.add(node.line, field, "must be a rule, not " + std::string(describe(node.kind)), kExample);
      return;
    }
    TableReader reader(node, field + ".", faults_);
    PolicyRule rule;
    rule.name = path_ + ":" + std::to_string(node.line);
    read_pattern(reader, "plugin", rule.plugin);
    read_pattern(reader, "path", rule.path);
    read_pattern(reader, "caller", rule.caller);
    if (!rule.path.starts_with('/') && !rule.path.starts_with('*')) {
      reader.fault(*reader.get("path"), "path", "`" + rule.path + "` matches no folder: those are absolute paths",
                   "begin it with / or *");
    }
    read_permissions(reader, rule);
    if (reader.get("allow") == nullptr) {
      faults_.add(node.line, reader.field("allow"), "is missing", "write allow: true or allow: false");
    }
    const std::optional<bool> allow = reader.boolean("allow");
    rule.allow = allow.value_or(false);
    read_reason(reader, rule, allow);
    read_limits(reader, rule, allow);
    refuse_unknown_keys(reader);
    if (allow) refuse_contradiction(node, field, rule, seen);
    rules.push_back(std::move(rule));
  }

  void read_pattern(TableReader& reader, std::string_view key, std::string& target) {
    const std::optional<std::string> text = reader.text(key, limits::kPolicyPatternBytesMax);
    if (!text) return;
    if (text->empty() || has_control_character(*text)) {
      reader.fault(*reader.get(key), key, text->empty() ? "is empty and matches nothing" : "has a control character",
                   text->empty() ? "leave it out, or write \"*\" for any" : "remove it");
      return;
    }
    target = *text;
  }

  void read_permissions(TableReader& reader, PolicyRule& rule) {
    const Node* node = reader.get("permission");
    if (node == nullptr) return;
    if (!node->is(NodeKind::kList)) {
      std::string pattern = "*";
      read_pattern(reader, "permission", pattern);
      check_pattern(reader, *node, pattern);
      rule.permissions = {pattern};
      return;
    }
    const auto patterns = reader.texts("permission", limits::kPolicyPatternsPerRuleMax);
    if (!patterns) return;
    if (patterns->empty()) {
      reader.fault(*node, "permission", "is an empty list and matches nothing", "leave it out for any permission");
      return;
    }
    for (std::size_t i = 0; i < patterns->size(); ++i) check_pattern(reader, node->items[i], (*patterns)[i]);
    rule.permissions = *patterns;
  }

  static void check_pattern(TableReader& reader, const Node& node, const std::string& pattern) {
    if (pattern.empty() || pattern.size() > limits::kPolicyPatternBytesMax || has_control_character(pattern)) {
      reader.fault(
          node, "permission",
          "a pattern has 1 to " + std::to_string(limits::kPolicyPatternBytesMax) + " bytes and no control characters",
          "correct it");
      return;
    }
    const PatternFault fault = check_permission_pattern(pattern);
    if (!fault.what.empty()) reader.fault(node, "permission", fault.what, fault.remedy);
  }

  static void read_reason(TableReader& reader, PolicyRule& rule, std::optional<bool> allow) {
    const std::optional<std::string> reason = reader.text("reason", limits::kPolicyReasonBytesMax);
    if (!reason) return;
    if (has_control_character(*reason)) {
      reader.fault(*reader.get("reason"), "reason", "has a control character", "write one line");
    } else if (allow.value_or(false)) {
      reader.fault(*reader.get("reason"), "reason", "contradicts allow: true: it is shown to whoever is refused",
                   "make it a comment, or write allow: false");
    } else {
      rule.reason = *reason;
    }
  }

  static void check_limits_allowed(TableReader& reader, const Node& node, std::optional<bool> allow) {
    if (allow && !*allow) {
      reader.fault(node, "limits", "contradicts allow: false: what is refused has no limits",
                   "remove it, or write allow: true");
    }
  }

  void read_limits(TableReader& reader, PolicyRule& rule, std::optional<bool> allow) {
    const Node* node = reader.get("limits");
    if (node == nullptr) return;
    check_limits_allowed(reader, *node, allow);
    if (!node->is(NodeKind::kTable) || node->members.empty()) {
      reader.fault(*node, "limits", "must be a table of limits with their ceilings",
                   "write limits: {memory_bytes_max: 268435456}");
      return;
    }
    TableReader ceilings(*node, reader.field("limits") + ".", faults_);
    for (const LimitKey& key : kLimitKeys) {
      const auto value = ceilings.integer(key.name, key.min, key.max);
      if (value) rule.limits.push_back({std::string(key.name), *value});
    }
    refuse_unknown_keys(ceilings);
  }

  void refuse_contradiction(const Node& node, const std::string& field, const PolicyRule& rule,
                            std::map<Key, Earlier>& seen) {
    for (const std::string& permission : rule.permissions) {
      const auto [earlier, is_first] =
          seen.try_emplace(Key{rule.plugin, rule.path, rule.caller, permission}, Earlier{node.line, rule.allow});
      if (is_first || earlier->second.allow == rule.allow) continue;
      faults_.add(node.line, field,
                  "contradicts the rule in line " + std::to_string(earlier->second.line) + ", which " +
                      (earlier->second.allow ? "allows" : "denies") + " the same (" + permission +
                      ") and comes first: it would never decide",
                  "remove one of them");
    }
  }

  void refuse_unknown_keys(const TableReader& reader) {
    for (const Fault& fault : reader.unknown_keys()) faults_.add(fault.line, fault.field, fault.what, fault.remedy);
  }

  FaultList faults_;
  TableReader root_;
  std::string path_;
  Environment environment_;
  std::size_t count_ = 0;
};

Error one_fault(const std::string& path, int line, const std::string& what, const std::string& remedy) {
  FaultList faults(path, Reason::kInvalidConfig);
  faults.add(line, "", what, remedy);
  return faults.to_error();
}

}  // namespace

Result<std::vector<PolicyRule>> parse_policy_file(std::string_view text, const std::string& path,
                                                  Environment environment) {
  if (const DocumentFault fault = check_text(text, limits::kPolicyFileBytesMax); !fault.what.empty()) {
    return one_fault(path, fault.line, fault.what, fault.remedy);
  }
  const Document document = read_yaml(text, kPolicyNodesMax);
  if (const auto* fault = std::get_if<DocumentFault>(&document)) {
    return one_fault(path, fault->line, fault->what, fault->remedy);
  }
  return PolicyReader(std::get<Node>(document), path, environment).read();
}

Result<std::vector<PolicyRule>> load_policy_file(const std::string& path, Environment environment) {
  Result<std::string> text = sys::read_file(path, limits::kPolicyFileBytesMax);
  if (!text) {
    Error error = make_error(Reason::kInvalidConfig, text.error().message);
    error.sys_errno = text.error().sys_errno;
    error.hint = "name a policy file that can be read";
    return error;
  }
  return parse_policy_file(*text, path, environment);
}

namespace {

// The same of a file that a daemon goes by.
Result<std::vector<PolicyRule>> load_own_policy_file(const std::string& path, Environment environment) {
  Result<std::string> text = read_trusted_file(path, limits::kPolicyFileBytesMax);
  if (text) return parse_policy_file(*text, path, environment);
  Error error = std::move(text).error();
  if (error.hint.empty()) error.hint = "name a policy file that can be read";
  return error;
}

}  // namespace

Result<void> load_policy(const std::string& config_path, DaemonConfig& config, const std::string& in_force) {
  // Anything there counts, readable or not, and so does what cannot be looked for: a policy that is silently left out
  // would be none.
  const auto is_there = [](const std::string& path) {
    return ::faccessat(AT_FDCWD, path.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) == 0 || (errno != ENOENT && errno != ENOTDIR);
  };
  if (config.policy_file.empty() && !config_path.empty()) {
    const std::string beside = (std::filesystem::path(config_path).parent_path() / "policy.yaml").string();
    if (is_there(beside)) config.policy_file = beside;
  }
  if (config.policy_file.empty() && !in_force.empty() && !is_there(in_force)) {
    return make_error(Reason::kInvalidConfig, in_force + ": the policy file that is in force is gone")
        .with_hint("put it back (with `rules: []` it has none), or restart the daemon to do without");
  }
  if (config.policy_file.empty()) return {};
  LG_ASSIGN(config.policy_file_rules, load_own_policy_file(config.policy_file, config.environment));
  return {};
}

}  // namespace liongate::config
