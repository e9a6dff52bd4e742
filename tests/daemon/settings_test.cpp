// Goal: what the operator wrote is what the kernel gets, and a reload says which keys hold now and which wait.
#include "daemon/settings.h"

#include <algorithm>
#include <catch2/catch.hpp>

using namespace liongate;
using config::DaemonConfig;
using daemon::compare;
using daemon::to_settings;

namespace {

std::vector<std::string> changed(const DaemonConfig& before, const DaemonConfig& after) {
  const v1::ReloadConfigResponse response = compare(before, after);
  CHECK(response.restart_keys().empty());
  return {response.changed_keys().begin(), response.changed_keys().end()};
}

std::vector<std::string> waiting(const DaemonConfig& before, const DaemonConfig& after) {
  const v1::ReloadConfigResponse response = compare(before, after);
  CHECK(response.changed_keys().empty());
  return {response.restart_keys().begin(), response.restart_keys().end()};
}

using Keys = std::vector<std::string>;

}  // namespace

TEST_CASE("the kernel gets what was configured") {
  DaemonConfig config;
  config.invoke_timeout_ms = 1;
  config.ready_timeout_ms = 2;
  config.stop_grace_ms = 3;
  config.durability = config::DurabilityMode::kBatch;
  config.policy = {{"log-*", {"fs_read:*"}, true}, {"*", {"process"}, false}};
  config.state_dir = "/var/lib/liongate";
  config.socket = "/run/liongate/control.sock";
  const orchestrator::Settings settings = to_settings(config);
  CHECK(settings.invoke_timeout_ms == 1);
  CHECK(settings.ready_timeout_ms == 2);
  CHECK(settings.stop_grace_ms == 3);
  CHECK(settings.durability == orchestrator::Durability::kBatch);
  REQUIRE(settings.policy.rules.size() == 2);
  CHECK(settings.policy.rules[0].plugin == "log-*");
  CHECK(settings.policy.rules[0].allow);
  CHECK(settings.policy.rules[1].permissions == Keys{"process"});
  CHECK_FALSE(settings.policy.rules[1].allow);
  CHECK(settings.policy.protected_folders == Keys{"/var/lib/liongate", "/run/liongate/control.sock"});
}

TEST_CASE("only development grants what no rule names") {
  using config::Environment;
  for (const Environment environment :
       {Environment::kDevelopment, Environment::kTesting, Environment::kStaging, Environment::kProduction}) {
    DaemonConfig config;
    config.environment = environment;
    const policy::Policy policy = to_settings(config).policy;
    CHECK(policy.otherwise ==
          (environment == Environment::kDevelopment ? policy::Default::kGrant : policy::Default::kRefuse));
    CHECK(policy.environment == config::name_of(environment));
  }
}

TEST_CASE("every durability mode has its counterpart") {
  using config::DurabilityMode;
  for (const DurabilityMode mode :
       {DurabilityMode::kDurable, DurabilityMode::kBeforeRun, DurabilityMode::kBatch, DurabilityMode::kAsync}) {
    DaemonConfig config;
    config.durability = mode;
    CHECK(orchestrator::name_of(to_settings(config).durability) == config::name_of(mode));
  }
}

TEST_CASE("the same configuration has no changes") {
  DaemonConfig config;
  config.policy = {{"a", {"b"}, true}};
  CHECK(changed(config, config).empty());
}

TEST_CASE("keys that hold at once are told as changed") {
  const DaemonConfig before;
  DaemonConfig after = before;
  after.log_level = config::LogLevel::kDebug;
  after.durability = config::DurabilityMode::kAsync;
  after.invoke_timeout_ms += 1;
  after.ready_timeout_ms += 1;
  after.stop_grace_ms += 1;
  CHECK(changed(before, after) ==
        Keys{"log_level", "durability", "invoke_timeout_ms", "ready_timeout_ms", "stop_grace_ms"});
}

TEST_CASE("any difference between policies is a change: more rules, fewer, another order, another word") {
  DaemonConfig before;
  before.policy = {{"a", {"x"}, true}, {"b", {"y"}, false}};
  for (const std::vector<PolicyRule>& policy :
       std::vector<std::vector<PolicyRule>>{{},
                                            {{"a", {"x"}, true}},
                                            {{"a", {"x"}, true}, {"b", {"y"}, false}, {"c", {"z"}, true}},
                                            {{"b", {"y"}, false}, {"a", {"x"}, true}},
                                            {{"a", {"x"}, true}, {"b", {"y"}, true}},
                                            {{"a", {"x"}, true}, {"b", {"z"}, false}}}) {
    DaemonConfig after = before;
    after.policy = policy;
    CHECK(changed(before, after) == Keys{"policy"});
  }
}

TEST_CASE("what bounds the network is in force at once") {
  const DaemonConfig before;
  DaemonConfig after = before;
  after.network = {"9.9.9.9", {"10.0.0.0/8"}, 1, 2000, 3};
  CHECK(changed(before, after) == Keys{"network_resolver", "network_internal_ranges", "network_flows_max",
                                       "network_idle_timeout_ms", "network_flow_bytes_max"});
}

TEST_CASE("the rules of a policy file come before the others, and a difference in them is a change") {
  DaemonConfig before;
  before.policy = {{"inline", {"x"}, true}};
  before.policy_file = "/etc/liongate/policy.yaml";
  before.policy_file_rules = {{"a", {"x"}, true}};
  const std::vector<PolicyRule> rules = to_settings(before).policy.rules;
  REQUIRE(rules.size() == 2);
  CHECK(rules[0].plugin == "a");
  DaemonConfig after = before;
  CHECK(changed(before, after).empty());
  after.policy_file_rules[0].limits = {{"processes_max", 2}};
  CHECK(changed(before, after) == Keys{"policy_file"});
  after = before;
  after.policy_file = "/etc/liongate/other.yaml";
  CHECK(changed(before, after) == Keys{"policy_file"});
}

TEST_CASE("keys that need a restart are told apart") {
  const DaemonConfig before;
  DaemonConfig after = before;
  after.state_dir = "/elsewhere";
  after.socket = "/elsewhere/sock";
  after.environment = config::Environment::kStaging;
  after.busy_poll_us = 50;
  after.python_interpreter = "/opt/python";
  after.node_interpreter = "/opt/node";
  after.log_segment_bytes = 1 << 20;
  after.log_checkpoint_interval_ms = 1000;
  after.launcher_path = "/opt/launcher";
  after.plugin_uid_range = "1-2";
  CHECK(waiting(before, after) == Keys{"state_dir", "socket", "environment", "busy_poll_us", "python_interpreter",
                                       "node_interpreter", "log_segment_bytes", "log_checkpoint_interval_ms",
                                       "launcher_path", "plugin_uid_range"});
}

TEST_CASE("what bounds the log is in force at once") {
  const DaemonConfig before;
  DaemonConfig after = before;
  after.log_retention_bytes_max = 1 << 30;
  after.log_retention_age_max_s = 3600;
  after.log_payload_bytes_max = 10;
  after.snapshot_every_events = 1000;
  after.snapshot_every_bytes = 1 << 20;
  CHECK(changed(before, after) == Keys{"log_retention_bytes_max", "log_retention_age_max", "log_payload_bytes_max",
                                       "snapshot_every_events", "snapshot_every_bytes"});
  const orchestrator::Settings settings = to_settings(after);
  CHECK(settings.log_retention_bytes_max == 1 << 30);
  CHECK(settings.log_retention_age_max_ms == 3'600'000);
  CHECK(settings.snapshot_every_events == 1000);
  CHECK(settings.snapshot_every_bytes == 1 << 20);
}
