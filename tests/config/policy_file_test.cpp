// Goal: a policy file means what it says; every fault of it is told at once with file, line, field and remedy.
#include "config/policy_file.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <map>

#include "config/document.h"
#include "config/manifest_rules.h"
#include "kernel/base/sys.h"

using namespace liongate;
using namespace liongate::config;

namespace {

std::vector<PolicyRule> rules_of(std::string_view text, Environment environment = Environment::kProduction) {
  Result<std::vector<PolicyRule>> rules = parse_policy_file(text, "p.yaml", environment);
  INFO((rules ? "" : rules.error().message));
  REQUIRE(rules);
  return std::move(rules).value();
}

std::string faults_of(std::string_view text) {
  const Result<std::vector<PolicyRule>> rules = parse_policy_file(text, "p.yaml", Environment::kProduction);
  REQUIRE_FALSE(rules);
  CHECK(rules.error().reason == Reason::kInvalidConfig);
  return rules.error().message;
}

// A folder of one test, gone with it.
class Folder {
 public:
  Folder() {
    std::string name = std::filesystem::temp_directory_path() / "policy-XXXXXX";
    path_ = ::mkdtemp(name.data());
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;

  std::string path(const std::string& name) const { return path_ + "/" + name; }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path(name)) << text; }

 private:
  std::string path_;
};

std::string many_rules(std::size_t count) {
  std::string text = "rules:\n";
  for (std::size_t i = 0; i < count; ++i) {
    text += "  - {plugin: \"p" + std::to_string(i) + "\", permission: [\"kv\", \"env:A*\"], path: \"/srv/*\"," +
            " allow: true, limits: {processes_max: 4}}\n";
  }
  return text;
}

}  // namespace

TEST_CASE("an empty policy file has no rules") {
  CHECK(rules_of("").empty());
  CHECK(rules_of("rules: []\nenvironments: {}\n").empty());
}

TEST_CASE("a rule that says only allow is for everything") {
  const std::vector<PolicyRule> rules = rules_of("rules:\n  - allow: true\n");
  REQUIRE(rules.size() == 1);
  CHECK(rules[0] == PolicyRule{.allow = true, .name = "p.yaml:2"});
}

TEST_CASE("every key of a rule is read, and the rule is named by its line") {
  const std::vector<PolicyRule> rules = rules_of(R"(# first line
rules:
  - plugin: "report-*"
    path: "/usr/lib/*"
    caller: "uid:0"
    permission: ["fs_read:/srv/*", "kv"]
    allow: true
    limits: {memory_bytes_max: 1048576, processes_max: 2}
  - {permission: "process", allow: false, reason: "not here"}
)");
  REQUIRE(rules.size() == 2);
  CHECK(rules[0] == PolicyRule{.plugin = "report-*",
                               .permissions = {"fs_read:/srv/*", "kv"},
                               .allow = true,
                               .path = "/usr/lib/*",
                               .caller = "uid:0",
                               .limits = {{"memory_bytes_max", 1048576}, {"processes_max", 2}},
                               .name = "p.yaml:3"});
  CHECK(rules[1] == PolicyRule{.permissions = {"process"}, .reason = "not here", .name = "p.yaml:9"});
}

TEST_CASE("an environment's rules come first, in that environment alone") {
  constexpr std::string_view kText =
      "rules:\n  - {plugin: common, allow: true}\n"
      "environments:\n  staging:\n    rules:\n      - {plugin: staged, allow: true}\n";
  const std::vector<PolicyRule> staging = rules_of(kText, Environment::kStaging);
  REQUIRE(staging.size() == 2);
  CHECK(staging[0].plugin == "staged");
  CHECK(staging[1].plugin == "common");
  CHECK(rules_of(kText, Environment::kProduction).size() == 1);
}

TEST_CASE("faults of a policy file name line, field and remedy") {
  struct Fault {
    const char* text;
    const char* expected;
  };
  const auto fault = GENERATE(
      Fault{"rule: []", "p.yaml:1: rule: unknown key; did you mean `rules`?"},
      Fault{"rules: 7", "p.yaml:1: rules: must be a list of rules, not"},
      Fault{"rules:\n  - 7", "p.yaml:2: rules[0]: must be a rule, not"},
      Fault{"rules:\n  - plugin: a", "p.yaml:2: rules[0].allow: is missing; write allow: true or allow: false"},
      Fault{"rules:\n  - {allow: yes please}", "p.yaml:2: rules[0].allow: must be true or false"},
      Fault{"rules:\n  - {allow: true, plugins: a}", "p.yaml:2: rules[0].plugins: unknown key; did you mean `plugin`?"},
      Fault{"rules:\n  - {allow: true, plugin: \"\"}", "p.yaml:2: rules[0].plugin: is empty and matches nothing"},
      Fault{"rules:\n  - {allow: true, plugin: 7}", "p.yaml:2: rules[0].plugin: must be text"},
      Fault{"rules:\n  - {allow: true, path: srv/*}", "p.yaml:2: rules[0].path: `srv/*` matches no folder"},
      Fault{"rules:\n  - {allow: true, permission: fs_raed:*}",
            "p.yaml:2: rules[0].permission: `fs_raed:*` names no kind of permission; did you mean `fs_read`?"},
      Fault{"rules:\n  - {allow: true, permission: \"net:*\"}",
            "p.yaml:2: rules[0].permission: `net:*` never matches: the canonical spelling counts; write `network:*`"},
      Fault{"rules:\n  - {allow: true, permission: \"process:x\"}", "`process` has no argument; write `process`"},
      Fault{"rules:\n  - {allow: true, permission: env}", "`env` has an argument; write `env:*`"},
      Fault{"rules:\n  - {allow: true, permission: forbidden}", "`forbidden` is refused whatever a rule says"},
      Fault{"rules:\n  - {allow: true, permission: []}", "rules[0].permission: is an empty list and matches nothing"},
      Fault{"rules:\n  - allow: true\n    permission:\n      - kv\n      - kw",
            "p.yaml:5: rules[0].permission: `kw` names no kind of permission; did you mean `kv`?"},
      Fault{"rules:\n  - {allow: true, reason: why}", "rules[0].reason: contradicts allow: true"},
      Fault{"rules:\n  - {allow: false, reason: \"a\\nb\"}", "rules[0].reason: has a control character"},
      Fault{"rules:\n  - {allow: false, limits: {processes_max: 2}}", "rules[0].limits: contradicts allow: false"},
      Fault{"rules:\n  - {allow: true, limits: {}}", "rules[0].limits: must be a table of limits"},
      Fault{"rules:\n  - {allow: true, limits: {process_max: 2}}",
            "rules[0].limits.process_max: unknown key; did you mean `processes_max`?"},
      Fault{"rules:\n  - {allow: true, limits: {processes_max: 0}}",
            "rules[0].limits.processes_max: 0 is out of range; give a number from 1 to 4096"},
      Fault{"environments:\n  live:\n    rules: []", "p.yaml:2: environments.live: is no environment"},
      Fault{"environments:\n  staging: 7", "p.yaml:2: environments.staging: must be a table"},
      Fault{"environments:\n  staging:\n    policy: []", "p.yaml:3: environments.staging.policy: unknown key"},
      Fault{"rules: [", "p.yaml:1: not valid YAML"});
  INFO(fault.text);
  const std::string faults = faults_of(fault.text);
  INFO(faults);
  CHECK(faults.find(fault.expected) != std::string::npos);
}

TEST_CASE("rules that say the opposite of each other are refused with both lines") {
  const std::string faults = faults_of(
      "rules:\n  - {plugin: a, permission: kv, allow: true}\n  - {plugin: a, permission: [jit, kv], allow: false}\n");
  CHECK(faults.find("p.yaml:3: rules[1]: contradicts the rule in line 2, which allows the same (kv)") !=
        std::string::npos);
  // Another plugin, or another environment, is no contradiction: it is an exception.
  CHECK(rules_of("rules:\n  - {plugin: a, permission: kv, allow: true}\n  - {permission: kv, allow: false}\n"
                 "environments:\n  production:\n    rules:\n      - {permission: kv, allow: true}\n")
            .size() == 3);
}

TEST_CASE("all faults of a policy file are told together, those of other environments too") {
  const std::string faults = faults_of(
      "rules:\n  - {allow: 1}\n  - {allow: true, plugn: a}\nenvironments:\n  testing:\n    rules:\n      - {}\n");
  CHECK(faults.find("p.yaml:2: rules[0].allow") != std::string::npos);
  CHECK(faults.find("p.yaml:3: rules[1].plugn") != std::string::npos);
  CHECK(faults.find("p.yaml:7: environments.testing.rules[0].allow") != std::string::npos);
}

TEST_CASE("a policy file has up to ten thousand rules, whatever stands in them") {
  CHECK(rules_of(many_rules(limits::kPolicyRulesMax)).size() == limits::kPolicyRulesMax);
  CHECK(faults_of(many_rules(limits::kPolicyRulesMax + 1)).find("the file has 10001 rules, at most 10000") !=
        std::string::npos);
  // Counted over all environments.
  CHECK(faults_of(many_rules(limits::kPolicyRulesMax) + "environments: {testing: {rules: [{allow: true}]}}\n")
            .find("10001 rules") != std::string::npos);
}

TEST_CASE("a policy file of more than its bytes is refused before it is parsed") {
  CHECK(faults_of("#" + std::string(limits::kPolicyFileBytesMax, 'x')).find("p.yaml:1") != std::string::npos);
}

TEST_CASE("a pattern and a reason have their bounds") {
  const auto rule = [](const std::string& rest) { return "rules:\n  - {" + rest + "}\n"; };
  CHECK(rules_of(rule("allow: true, plugin: " + std::string(limits::kPolicyPatternBytesMax, 'a'))).size() == 1);
  CHECK(faults_of(rule("allow: true, plugin: " + std::string(limits::kPolicyPatternBytesMax + 1, 'a')))
            .find("is longer than 4096 bytes") != std::string::npos);
  CHECK(rules_of(rule("allow: false, reason: " + std::string(limits::kPolicyReasonBytesMax, 'a'))).size() == 1);
  CHECK(faults_of(rule("allow: false, reason: " + std::string(limits::kPolicyReasonBytesMax + 1, 'a')))
            .find("is longer than 512 bytes") != std::string::npos);
  std::string patterns;
  for (std::size_t i = 0; i < limits::kPolicyPatternsPerRuleMax; ++i) patterns += "kv,";
  CHECK(rules_of(rule("allow: true, permission: [" + patterns + "]")).size() == 1);
  CHECK(faults_of(rule("allow: true, permission: [" + patterns + "kv]")).find("has more than 64 entries") !=
        std::string::npos);
}

TEST_CASE("the policy file is the one that is named, else policy.yaml beside the configuration, else none") {
  const Folder folder;
  const std::string config_path = folder.path("liongated.yaml");
  DaemonConfig none;
  REQUIRE(load_policy(config_path, none));
  CHECK(none.policy_file.empty());
  folder.write("policy.yaml", "rules: [{plugin: beside, allow: true}]\n");
  folder.write("other.yaml", "rules: [{plugin: named, allow: true}]\n");
  DaemonConfig beside;
  REQUIRE(load_policy(config_path, beside));
  CHECK(beside.policy_file == folder.path("policy.yaml"));
  CHECK(beside.policy_file_rules.at(0).plugin == "beside");
  DaemonConfig named;
  named.policy_file = folder.path("other.yaml");
  REQUIRE(load_policy(config_path, named));
  CHECK(named.policy_file_rules.at(0).plugin == "named");
}

TEST_CASE("a link that leads nowhere is no missing policy") {
  const Folder folder;
  std::filesystem::create_symlink("/nonexistent", folder.path("policy.yaml"));
  DaemonConfig config;
  CHECK(load_policy(folder.path("liongated.yaml"), config).error().reason == Reason::kInvalidConfig);
}

TEST_CASE("a policy file that cannot be read is an error, and so is one that has gone") {
  const Folder folder;
  DaemonConfig missing;
  missing.policy_file = folder.path("missing.yaml");
  CHECK(load_policy("", missing).error().reason == Reason::kInvalidConfig);
  DaemonConfig gone;
  const Result<void> left = load_policy(folder.path("liongated.yaml"), gone, folder.path("policy.yaml"));
  REQUIRE_FALSE(left);
  CHECK(left.error().message.find("is gone") != std::string::npos);
  DaemonConfig folder_instead;
  folder_instead.policy_file = folder.path("");
  CHECK_FALSE(load_policy("", folder_instead));
}

TEST_CASE("the sample that is shipped has no rule and no fault") {
  const auto rules = load_policy_file(std::string(SOURCE_ROOT) + "/config/policy.yaml", Environment::kProduction);
  REQUIRE(rules);
  CHECK(rules->empty());
}

TEST_CASE("the published schema and the parser know the same keys and the same bounds") {
  const auto text = sys::read_file(std::string(SOURCE_ROOT) + "/config/schema/policy.schema.json", 1 << 20);
  REQUIRE(text);
  const Document document = read_json(*text);
  REQUIRE(std::holds_alternative<Node>(document));
  const auto at = [&](std::initializer_list<const char*> path) -> const Node& {
    const Node* node = &std::get<Node>(document);
    for (const char* key : path) {
      INFO(key);
      node = node->find(key);
      REQUIRE(node != nullptr);
    }
    return *node;
  };
  const Node& keys = at({"$defs", "rule", "properties"});
  CHECK(keys.members.size() == 7);
  const std::map<std::string, std::string> samples = {
      {"plugin", "a"}, {"path", "/a"}, {"caller", "uid:1"}, {"permission", "kv"}, {"limits", "{processes_max: 1}"}};
  for (const Member& key : keys.members) {
    INFO(key.key);
    if (key.key == "allow") continue;
    if (key.key == "reason") {
      CHECK(rules_of("rules: [{allow: false, reason: x}]").size() == 1);
    } else {
      CHECK(rules_of("rules: [{allow: true, " + key.key + ": " + samples.at(key.key) + "}]").size() == 1);
    }
  }
  const Node& limits_node = at({"$defs", "rule", "properties", "limits", "properties"});
  REQUIRE(limits_node.members.size() == kLimitKeys.size());
  for (const LimitKey& key : kLimitKeys) {
    INFO(key.name);
    const Node* limit = limits_node.find(key.name);
    REQUIRE(limit != nullptr);
    CHECK(static_cast<std::uint64_t>(limit->find("minimum")->integer) == key.min);
    CHECK(static_cast<std::uint64_t>(limit->find("maximum")->integer) == key.max);
  }
  const auto bound = [&](std::initializer_list<const char*> path) {
    return static_cast<std::size_t>(at(path).integer);
  };
  CHECK(bound({"$defs", "rules", "maxItems"}) == limits::kPolicyRulesMax);
  CHECK(bound({"$defs", "glob", "maxLength"}) == limits::kPolicyPatternBytesMax);
  CHECK(bound({"$defs", "rule", "properties", "reason", "maxLength"}) == limits::kPolicyReasonBytesMax);
  CHECK(static_cast<std::size_t>(
            at({"$defs", "rule", "properties", "permission", "oneOf"}).items.at(1).find("maxItems")->integer) ==
        limits::kPolicyPatternsPerRuleMax);
}
