// Goal: a rule decides by plugin, folder, caller and permission; its ceilings bound limits; what changed needs consent.
#include <catch2/catch.hpp>
#include <chrono>

#include "kernel/base/limits.h"
#include "kernel/policy/policy.h"

using namespace liongate;
using policy::decide;
using policy::Default;
using policy::Policy;

namespace {

v1::PluginLoaded hello_asking(const std::vector<std::string>& permissions,
                              const std::string& folder = "/plugins/hello") {
  v1::PluginLoaded loaded;
  loaded.mutable_manifest()->set_name("hello");
  for (const std::string& permission : permissions) loaded.mutable_manifest()->add_permissions(permission);
  loaded.set_folder(folder);
  loaded.set_caller("uid:1000");
  return loaded;
}

Policy ruled_by(std::vector<PolicyRule> rules) {
  return Policy{std::move(rules), Default::kRefuse, "production", {}};
}

PolicyRule allowing(const std::string& permission, const std::string& name = "") {
  PolicyRule rule;
  rule.permissions = {permission};
  rule.allow = true;
  rule.name = name;
  return rule;
}

PolicyRule bounding(const std::string& permission, const std::string& limit, std::uint64_t value) {
  PolicyRule rule = allowing(permission);
  rule.limits = {{limit, value}};
  return rule;
}

bool grants(const PolicyRule& rule, const v1::PluginLoaded& loaded) {
  return decide(ruled_by({rule}), loaded).granted();
}

// What becomes of one limit under one rule with a ceiling.
v1::LimitDecision limit_under(const PolicyRule& rule, const v1::PluginLoaded& loaded) {
  const v1::PolicyDecision decision = decide(ruled_by({rule}), loaded);
  REQUIRE(decision.limits_size() == 1);
  return decision.limits(0);
}

}  // namespace

TEST_CASE("a rule is for the folders its path names") {
  PolicyRule rule = allowing("process");
  rule.path = "/plugins/*";
  CHECK(grants(rule, hello_asking({"process"})));
  CHECK_FALSE(grants(rule, hello_asking({"process"}, "/home/me/hello")));
}

TEST_CASE("a rule is for the callers it names") {
  PolicyRule rule = allowing("process");
  rule.caller = "uid:0";
  CHECK_FALSE(grants(rule, hello_asking({"process"})));
  rule.caller = "uid:1*";
  CHECK(grants(rule, hello_asking({"process"})));
}

TEST_CASE("a plugin from a log without callers is met by rules for any caller alone") {
  v1::PluginLoaded old = hello_asking({"process"});
  old.clear_caller();
  PolicyRule rule = allowing("process");
  CHECK(grants(rule, old));
  rule.caller = "uid:*";
  CHECK_FALSE(grants(rule, old));
}

TEST_CASE("one of a rule's permissions is enough") {
  PolicyRule rule = allowing("kv");
  rule.permissions = {"kv", "env:L*"};
  CHECK(grants(rule, hello_asking({"kv", "env:LANG"})));
  CHECK_FALSE(grants(rule, hello_asking({"kv", "env:HOME"})));
}

TEST_CASE("a decision tells of every permission, not only of the first that is refused") {
  const v1::PolicyDecision decision =
      decide(ruled_by({allowing("kv", "p.yaml:3")}), hello_asking({"process", "kv", "env:HOME"}));
  CHECK_FALSE(decision.granted());
  CHECK(decision.environment() == "production");
  REQUIRE(decision.permissions_size() == 3);
  CHECK(decision.permissions(0).permission() == "process");
  CHECK_FALSE(decision.permissions(0).granted());
  CHECK(decision.permissions(0).rule() == "no rule");
  CHECK(decision.permissions(0).remedy().find(R"({plugin: "hello", permission: "process", allow: true})") !=
        std::string::npos);
  CHECK(decision.permissions(1).granted());
  CHECK(decision.permissions(1).rule() == "p.yaml:3");
  CHECK_FALSE(decision.permissions(2).granted());
}

TEST_CASE("whoever is refused reads the rule's reason") {
  PolicyRule rule;
  rule.name = "p.yaml:7";
  rule.reason = "ask the platform team";
  const auto refusal = policy::refuse(ruled_by({rule}), hello_asking({"process"}));
  REQUIRE(refusal);
  CHECK(refusal->rule == "p.yaml:7");
  CHECK(refusal->error.message ==
        "permission \"process\" is refused: policy p.yaml:7 (*, *) denies it: ask the platform team");
}

TEST_CASE("development says that it grants by default") {
  Policy policy = ruled_by({});
  policy.otherwise = Default::kGrant;
  policy.environment = "development";
  const v1::PolicyDecision decision = decide(policy, hello_asking({"process"}));
  CHECK(decision.granted());
  CHECK(decision.permissions(0).rule() == "default");
}

TEST_CASE("a limit above its ceiling is refused by name") {
  v1::PluginLoaded loaded = hello_asking({"process"});
  loaded.mutable_manifest()->mutable_limits()->set_memory_bytes_max(2048);
  const PolicyRule rule = bounding("process", "memory_bytes_max", 1024);
  CHECK_FALSE(limit_under(rule, loaded).granted());
  const auto refusal = policy::refuse(ruled_by({rule}), loaded);
  REQUIRE(refusal);
  CHECK(refusal->permission == "limits.memory_bytes_max");
  CHECK(refusal->error.reason == Reason::kPermissionDenied);
  CHECK(refusal->error.message == "limit memory_bytes_max = 2048 is refused: policy rule 1 allows at most 1024");
}

TEST_CASE("a limit at its ceiling is granted as it is") {
  v1::PluginLoaded loaded = hello_asking({"process"});
  loaded.mutable_manifest()->mutable_limits()->set_memory_bytes_max(1024);
  const v1::LimitDecision limit = limit_under(bounding("process", "memory_bytes_max", 1024), loaded);
  CHECK(limit.granted());
  CHECK(limit.effective() == 1024);
}

TEST_CASE("a limit that nobody stated is lowered to the ceiling, and never raised to it") {
  CHECK(limit_under(bounding("process", "processes_max", 4), hello_asking({"process"})).effective() == 4);
  CHECK(limit_under(bounding("process", "processes_max", 4000), hello_asking({"process"})).effective() == 0);
  // It has no default: any ceiling is lower than none.
  CHECK(limit_under(bounding("process", "cpu_percent_max", 400), hello_asking({"process"})).effective() == 400);
}

TEST_CASE("the lowest ceiling of the rules that granted something holds, and of no others") {
  const std::vector<PolicyRule> rules = {bounding("process", "processes_max", 9), bounding("kv", "processes_max", 5),
                                         bounding("jit", "processes_max", 2)};
  const v1::PolicyDecision decision = decide(ruled_by(rules), hello_asking({"process", "kv"}));
  REQUIRE(decision.limits_size() == 1);
  CHECK(decision.limits(0).ceiling() == 5);
  CHECK(decision.limits(0).rule() == "rule 2");
}

TEST_CASE("a plugin that asks for nothing has the ceilings of the first rule for anything") {
  CHECK(limit_under(bounding("*", "processes_max", 5), hello_asking({})).effective() == 5);
  CHECK(decide(ruled_by({bounding("kv", "processes_max", 5)}), hello_asking({})).limits_size() == 0);
}

TEST_CASE("what is granted is written down, and again only when it changes") {
  v1::PluginLoaded loaded = hello_asking({"process"});
  const Policy narrow = ruled_by({bounding("process", "processes_max", 4)});
  CHECK(policy::write_grants(decide(narrow, loaded), loaded));
  REQUIRE(loaded.grants_size() == 1);
  CHECK(loaded.grants(0).permission() == "process");
  CHECK(loaded.grants(0).rule() == "rule 1");
  CHECK(loaded.manifest().limits().processes_max() == 4);
  CHECK(loaded.limits_by_policy(0) == "processes_max");
  CHECK_FALSE(policy::write_grants(decide(narrow, loaded), loaded));
}

TEST_CASE("a limit that the policy lowered follows the policy, down, up and away") {
  v1::PluginLoaded loaded = hello_asking({"process"});
  for (const std::uint64_t ceiling : {4, 2, 7}) {
    const Policy policy = ruled_by({bounding("process", "processes_max", ceiling)});
    REQUIRE(decide(policy, loaded).granted());
    CHECK(policy::write_grants(decide(policy, loaded), loaded));
    CHECK(loaded.manifest().limits().processes_max() == ceiling);
  }
  CHECK(policy::write_grants(decide(ruled_by({allowing("process")}), loaded), loaded));
  CHECK(loaded.manifest().limits().processes_max() == 0);
  CHECK(loaded.limits_by_policy().empty());
}

TEST_CASE("consent is about what was not asked for before") {
  const auto change =
      policy::compare_permissions(hello_asking({"kv", "process"}), hello_asking({"process", "env:HOME"}));
  CHECK(change.added == std::vector<std::string>{"env:HOME"});
  CHECK(change.removed == std::vector<std::string>{"kv"});
  CHECK(policy::compare_permissions(hello_asking({"kv"}), hello_asking({})).added.empty());
}

TEST_CASE("consent looks at what a path names, not at how it is spelled") {
  const auto added = [](const v1::PluginLoaded& before, const v1::PluginLoaded& after) {
    return policy::compare_permissions(before, after).added.size();
  };
  CHECK(added(hello_asking({"fs_read:./data"}), hello_asking({"fs_read:data/../data"})) == 0);
  CHECK(added(hello_asking({"fs_read:./data"}), hello_asking({"fs_read:./data"}, "/elsewhere/hello")) == 0);
  CHECK(added(hello_asking({"fs_read:../x"}), hello_asking({"fs_read:../x"}, "/elsewhere/hello")) == 1);
}

TEST_CASE("an override and its opposite leave no trace") {
  v1::PluginLoaded loaded = hello_asking({"kv"});
  const std::string before = loaded.SerializeAsString();
  CHECK(policy::override_permission(loaded, "process", policy::Override::kGrant, "uid:0"));
  REQUIRE(loaded.overrides_size() == 1);
  CHECK(loaded.overrides(0).actor() == "uid:0");
  CHECK(loaded.manifest().permissions_size() == 2);
  CHECK_FALSE(policy::override_permission(loaded, "process", policy::Override::kGrant, "uid:0"));
  CHECK(policy::override_permission(loaded, "process", policy::Override::kRevoke, "uid:1"));
  CHECK(loaded.SerializeAsString() == before);
  CHECK(policy::override_permission(loaded, "kv", policy::Override::kRevoke, "uid:0"));
  CHECK(loaded.manifest().permissions().empty());
  CHECK_FALSE(policy::override_permission(loaded, "kv", policy::Override::kRevoke, "uid:0"));
  CHECK(policy::override_permission(loaded, "kv", policy::Override::kGrant, "uid:1"));
  CHECK(loaded.SerializeAsString() == before);
}

TEST_CASE("a path is overridden by what it names") {
  v1::PluginLoaded loaded = hello_asking({"fs_read:./data"});
  CHECK_FALSE(policy::override_permission(loaded, "fs_read:/plugins/hello/data", policy::Override::kGrant, "uid:0"));
  CHECK(policy::override_permission(loaded, "fs_read:/plugins/hello/x/../data", policy::Override::kRevoke, "uid:0"));
  CHECK(loaded.manifest().permissions().empty());
}

TEST_CASE("a grant at run time stands where no rule speaks, and nowhere else") {
  v1::PluginLoaded loaded = hello_asking({});
  policy::override_permission(loaded, "process", policy::Override::kGrant, "uid:0");
  const v1::PolicyDecision unnamed = decide(ruled_by({}), loaded);
  CHECK(unnamed.granted());
  CHECK(unnamed.permissions(0).rule() == "granted by uid:0");
  CHECK_FALSE(decide(ruled_by({PolicyRule{}}), loaded).granted());  // it denies everything
  CHECK(decide(ruled_by({allowing("process", "p.yaml:1")}), loaded).permissions(0).rule() == "p.yaml:1");
  policy::override_permission(loaded, "fs_read:/proc", policy::Override::kGrant, "uid:0");
  CHECK_FALSE(decide(ruled_by({}), loaded).granted());
}

TEST_CASE("what was revoked is told, and refuses nothing") {
  v1::PluginLoaded loaded = hello_asking({"process"});
  policy::override_permission(loaded, "process", policy::Override::kRevoke, "uid:0");
  const v1::PolicyDecision decision = decide(ruled_by({}), loaded);
  CHECK(decision.granted());
  CHECK(decision.permissions().empty());
  REQUIRE(decision.revoked_size() == 1);
  CHECK(decision.revoked(0).rule() == "revoked by uid:0");
}

TEST_CASE("overrides are carried to what is read anew, where the manifest does not say it by itself") {
  v1::PluginLoaded before = hello_asking({"kv", "jit"});
  policy::override_permission(before, "process", policy::Override::kGrant, "uid:0");
  policy::override_permission(before, "kv", policy::Override::kRevoke, "uid:0");
  v1::PluginLoaded same = hello_asking({"kv", "jit"});
  CHECK_FALSE(policy::carries_overrides(before, same));
  policy::carry_overrides(before, same);
  CHECK(policy::carries_overrides(before, same));
  CHECK(std::vector<std::string>(same.manifest().permissions().begin(), same.manifest().permissions().end()) ==
        std::vector<std::string>{"jit", "process"});
  v1::PluginLoaded other = hello_asking({"process"});
  policy::carry_overrides(before, other);
  CHECK(other.overrides().empty());
  CHECK(policy::carries_overrides(before, other));
  // One that is undone meanwhile shows as well.
  policy::override_permission(before, "process", policy::Override::kRevoke, "uid:0");
  CHECK_FALSE(policy::carries_overrides(before, same));
}

TEST_CASE("an override is no request: consent is about manifests") {
  v1::PluginLoaded before = hello_asking({"kv"});
  policy::override_permission(before, "process", policy::Override::kGrant, "uid:0");
  policy::override_permission(before, "kv", policy::Override::kRevoke, "uid:0");
  CHECK(policy::compare_permissions(before, hello_asking({"kv"})).added.empty());
  CHECK(policy::compare_permissions(before, hello_asking({"kv", "process"})).added ==
        std::vector<std::string>{"process"});
}

TEST_CASE("ten thousand rules and a full manifest are decided at once") {
  std::vector<PolicyRule> rules;
  for (std::size_t i = 0; i < limits::kPolicyRulesMax; ++i) {
    PolicyRule rule = allowing("fs_read:/srv/" + std::to_string(i) + "/*", "p.yaml:" + std::to_string(i));
    rule.plugin = i % 2 == 0 ? "*" : "h*o";
    rules.push_back(rule);
  }
  std::vector<std::string> permissions;
  for (std::size_t i = 0; i < limits::kPermissionsMax; ++i) {
    permissions.push_back("fs_read:/srv/" + std::to_string(limits::kPolicyRulesMax - 1 - i) + "/x");
  }
  const Policy policy = ruled_by(std::move(rules));
  const v1::PluginLoaded loaded = hello_asking(permissions);
  const auto begin = std::chrono::steady_clock::now();
  CHECK(decide(policy, loaded).granted());
  const auto took = std::chrono::steady_clock::now() - begin;
  INFO(std::chrono::duration_cast<std::chrono::milliseconds>(took).count() << " ms");
  CHECK(took < std::chrono::seconds(1));  // some 20 ms; sanitizers and busy machines have room
}
