// Goal: the daemon's configuration means what it says; what it cannot mean is refused with file, line and key.
#include "config/daemon_config.h"

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>

#include "kernel/base/sys.h"

using namespace liongate;
using namespace liongate::config;

namespace {

DaemonConfig config_of(std::string_view text, std::optional<Environment> environment = std::nullopt) {
  Result<DaemonConfig> config = parse_daemon_config(text, "c.yaml", {}, environment);
  INFO((config ? "" : config.error().message));
  REQUIRE(config);
  return std::move(config).value();
}

std::string config_fault_of(std::string_view text) {
  const Result<DaemonConfig> config = parse_daemon_config(text, "c.yaml", {});
  REQUIRE_FALSE(config);
  CHECK(config.error().reason == Reason::kInvalidConfig);
  return config.error().message;
}

// Sets an environment variable for one test.
class ScopedVariable {
 public:
  ScopedVariable(const char* name, const std::string& value) : name_(name) {
    if (const char* before = std::getenv(name)) before_ = before;
    ::setenv(name, value.c_str(), 1);
  }
  ~ScopedVariable() { before_ ? ::setenv(name_, before_->c_str(), 1) : ::unsetenv(name_); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* name_;
  std::optional<std::string> before_;
};

}  // namespace

TEST_CASE("an empty file is the defaults") {
  const DaemonConfig config = config_of("");
  CHECK(config.environment == Environment::kProduction);
  CHECK(config.invoke_timeout_ms == limits::kInvokeTimeoutMsDefault);
  CHECK_FALSE(config.grants_by_default());
}

TEST_CASE("every key is read") {
  const DaemonConfig config = config_of(R"(
environment: staging
state_dir: /srv/state
socket: /srv/s.sock
log_level: warning
durability: before_run
invoke_timeout_ms: 1000
ready_timeout_ms: 2000
stop_grace_ms: 0
busy_poll_us: 50
python_interpreter: /opt/python
node_interpreter: /opt/node
log_segment_bytes: 1048576
log_retention_bytes_max: 2097152
log_retention_age_max: 12h
log_payload_bytes_max: 0
snapshot_every_events: 5000
snapshot_every_bytes: 1048576
log_checkpoint_interval_ms: 5000
network_resolver: "9.9.9.9,[2620:fe::fe]:5353,127.0.0.1:53"
network_internal_ranges: [10.1.0.0/16, "fd00::/8"]
network_flows_max: 5
network_idle_timeout_ms: 1000
network_flow_bytes_max: 7
netgate_path: /opt/netgate
launcher_path: /opt/launcher
plugin_uid_range: 600000-600100
allow_degraded: [landlock, session_keyring, landlock]
policy:
  - {plugin: hello, permission: "fs_read:/srv/*", allow: true}
  - permission: process
    allow: false
)");
  CHECK(config.environment == Environment::kStaging);
  CHECK(config.state_dir == "/srv/state");
  CHECK(config.socket == "/srv/s.sock");
  CHECK(config.log_level == LogLevel::kWarning);
  CHECK(config.durability == DurabilityMode::kBeforeRun);
  CHECK(config.invoke_timeout_ms == 1000);
  CHECK(config.ready_timeout_ms == 2000);
  CHECK(config.stop_grace_ms == 0);
  CHECK(config.busy_poll_us == 50);
  CHECK(config.python_interpreter == "/opt/python");
  CHECK(config.node_interpreter == "/opt/node");
  CHECK(config.log_segment_bytes == 1'048'576);
  CHECK(config.log_retention_bytes_max == 2'097'152);
  CHECK(config.log_retention_age_max_s == 12 * 60 * 60);
  CHECK(config.log_payload_bytes_max == 0);
  CHECK(config.snapshot_every_events == 5'000);
  CHECK(config.snapshot_every_bytes == 1'048'576);
  CHECK(config.log_checkpoint_interval_ms == 5000);
  CHECK(config.network.resolver == "9.9.9.9,[2620:fe::fe]:5353,127.0.0.1:53");
  CHECK(config.network.internal_ranges == std::vector<std::string>{"10.1.0.0/16", "fd00::/8"});
  CHECK(config.network.flows_max == 5);
  CHECK(config.network.idle_timeout_ms == 1000);
  CHECK(config.network.flow_bytes_max == 7);
  CHECK(config.netgate_path == "/opt/netgate");
  CHECK(config.launcher_path == "/opt/launcher");
  CHECK(config.plugin_uid_range == "600000-600100");
  CHECK(config.allow_degraded == std::vector<std::string>{"landlock", "session_keyring"});
  REQUIRE(config.policy.size() == 2);
  CHECK(config.policy[0].plugin == "hello");
  CHECK(config.policy[0].permissions == std::vector<std::string>{"fs_read:/srv/*"});
  CHECK(config.policy[0].allow);
  CHECK(config.policy[1].plugin == "*");
  CHECK_FALSE(config.policy[1].allow);
}

TEST_CASE("unknown keys are refused with what was meant, together with the other faults") {
  CHECK(config_fault_of("log_levle: info\ninvoke_timeout_ms: fast\nsocket: relative.sock\n") ==
        "c.yaml:1: log_levle: unknown key; did you mean `log_level`?\n"
        "c.yaml:2: invoke_timeout_ms: must be a whole number, not text; give a number from 1 to 86400000\n"
        "c.yaml:3: socket: `relative.sock` is not an absolute path; begin it with /");
}

TEST_CASE("values out of range and of wrong types are refused") {
  for (const char* text : {"environment: prod",
                           "environment: [production]",
                           "log_level: 3",
                           "durability: maybe",
                           "busy_poll_us: -1",
                           "ready_timeout_ms: 0",
                           "log_segment_bytes: 1",
                           "log_retention_age_max: soon",
                           "log_retention_age_max: 5",
                           "log_retention_age_max: 5w",
                           "log_retention_age_max: 101y",
                           "log_retention_age_max: 36501d",
                           "log_retention_age_max: 99999999999999999999d",
                           "log_payload_bytes_max: 786433",
                           "snapshot_every_events: 99",
                           "snapshot_every_bytes: 65535",
                           "log_checkpoint_interval_ms: 99",
                           "log_checkpoint_interval_ms: 86400001",
                           "network_resolver: dns.example",
                           "network_resolver: 9.9.9.9:0",
                           "network_resolver: \"[::1]x\"",
                           "network_internal_ranges: 10.0.0.0/8",
                           "network_internal_ranges: [10.0.0.0]",
                           "network_internal_ranges: [10.0.0.0/33]",
                           "network_flows_max: 0",
                           "network_idle_timeout_ms: 999",
                           "netgate_path: relative",
                           "state_dir: 5",
                           "policy: all",
                           "policy: [x]",
                           "policy: [{plugin: a}]",
                           "policy: [{allow: perhaps}]",
                           "policy: [{allow: true, perm: x}]",
                           "plugin_uid_range: 5",
                           "plugin_uid_range: 9-5",
                           "plugin_uid_range: 0-5",
                           "allow_degraded: landlock",
                           "allow_degraded: [seccomp]",
                           "allow_degraded: [[landlock]]",
                           "environments: 5",
                           "environments: {prod: {}}",
                           "environments: {production: 5}",
                           "environments: {staging: {log_level: loud}}",
                           "environments: {staging: {environment: testing}}",
                           "- a"}) {
    INFO(text);
    CHECK(config_fault_of(text).find("c.yaml:1: ") == 0);
  }
}

TEST_CASE(
    "a mechanism that nobody can do without, or that does not exist, is refused with the names that may be given") {
  const std::string fault = config_fault_of("allow_degraded: [landlock, user_namespace]\n");
  CHECK(fault.find("c.yaml:1: allow_degraded[1]: `user_namespace` is not a mechanism that can be done without") == 0);
  for (const std::string_view name : kDegradableMechanisms) CHECK(fault.find(name) != std::string::npos);
}

TEST_CASE("a socket path longer than the kernel takes is refused here already") {
  CHECK(config_fault_of("socket: /" + std::string(107, 's')).find("socket: is longer than 107 bytes") !=
        std::string::npos);
}

TEST_CASE("overrides of the environment in force are applied, those of others are not") {
  const char* text =
      "invoke_timeout_ms: 10\nenvironments:\n  production: {invoke_timeout_ms: 1000}\n  testing: {invoke_timeout_ms: "
      "5}\n";
  CHECK(config_of(text).invoke_timeout_ms == 1000);
  CHECK(config_of(text, Environment::kTesting).invoke_timeout_ms == 5);
  CHECK(config_of(text, Environment::kStaging).invoke_timeout_ms == 10);
}

TEST_CASE("the command line's environment wins over the file's") {
  CHECK(config_of("environment: staging", Environment::kDevelopment).environment == Environment::kDevelopment);
}

TEST_CASE("a log level that nobody set is the environment's") {
  CHECK(config_of("environment: development").log_level == LogLevel::kDebug);
  CHECK(config_of("environment: production").log_level == LogLevel::kInfo);
  CHECK(config_of("environment: development\nlog_level: error").log_level == LogLevel::kError);
  CHECK(config_of("environment: development\nenvironments: {development: {log_level: warning}}").log_level ==
        LogLevel::kWarning);
}

TEST_CASE("only development grants what no rule names") {
  CHECK(config_of("environment: development").grants_by_default());
  CHECK_FALSE(config_of("environment: testing").grants_by_default());
}

TEST_CASE("what is printed parses back to the same") {
  DaemonConfig config = config_of("environment: staging\nlog_level: error\nstop_grace_ms: 7\n");
  config.state_dir = "/srv/with \"quotes\" and # signs";
  config.socket = "/srv/s.sock";
  config.policy = {{"a*", {"fs_read:/srv/*"}, true}, {"*", {"process"}, false}};
  const std::string yaml = to_yaml(config);
  const DaemonConfig again = config_of(yaml);
  CHECK(to_yaml(again) == yaml);
  CHECK(again.state_dir == config.state_dir);
  CHECK(again.policy.size() == 2);
  CHECK(again.policy[0].allow);
}

TEST_CASE("a policy file is named by an absolute path, or by nothing") {
  CHECK(config_of("policy_file: /etc/p.yaml").policy_file == "/etc/p.yaml");
  CHECK(config_of("policy_file: \"\"").policy_file.empty());
  CHECK(config_fault_of("policy_file: p.yaml").find("policy_file: `p.yaml` is not an absolute path") !=
        std::string::npos);
  CHECK(config_fault_of("policy_file: [a]").find("policy_file: must be text") != std::string::npos);
}

TEST_CASE("rules of the inline list are named by their place in it") {
  const DaemonConfig config = config_of("policy:\n  - {allow: true}\n  - {plugin: a, allow: false}\n");
  CHECK(config.policy[0].name == "rule 1");
  CHECK(config.policy[1].name == "rule 2");
}

TEST_CASE("the default file that is shipped is the defaults") {
  DaemonConfig defaults;
  defaults.state_dir = "/var/lib/liongate";
  defaults.socket = "/run/liongate/control.sock";
  const Result<DaemonConfig> shipped =
      load_daemon_config(std::string(SOURCE_ROOT) + "/config/liongated.yaml", FilePresence::kMustExist, {});
  REQUIRE(shipped);
  CHECK(to_yaml(*shipped) == to_yaml(defaults));
}

TEST_CASE("a missing file is an error only where it was named") {
  CHECK(load_daemon_config("/nonexistent/c.yaml", FilePresence::kMayBeMissing, {}));
  const Result<DaemonConfig> named = load_daemon_config("/nonexistent/c.yaml", FilePresence::kMustExist, {});
  REQUIRE_FALSE(named);
  CHECK(named.error().reason == Reason::kInvalidConfig);
}

TEST_CASE("a folder instead of a file is an error in either case") {
  CHECK_FALSE(load_daemon_config("/tmp", FilePresence::kMayBeMissing, {}));
}

TEST_CASE("an environment that does not exist names those that do") {
  const Result<Environment> environment = parse_environment("live");
  REQUIRE_FALSE(environment);
  CHECK(environment.error().hint.find("development, testing, staging, production") != std::string::npos);
}

TEST_CASE("root's places are the system's, a user's are the XDG folders") {
  const DefaultPaths paths = default_paths();
  if (::geteuid() == 0) {
    CHECK(paths.config_file == "/etc/liongate/liongated.yaml");
    CHECK(paths.state_dir == "/var/lib/liongate");
    CHECK(paths.socket == "/run/liongate/control.sock");
  } else {
    const ScopedVariable config("XDG_CONFIG_HOME", "/x/config");
    const ScopedVariable state("XDG_STATE_HOME", "/x/state");
    const ScopedVariable runtime("XDG_RUNTIME_DIR", "/x/run");
    CHECK(default_paths().config_file == "/x/config/liongate/liongated.yaml");
    CHECK(default_paths().state_dir == "/x/state/liongate");
    CHECK(default_paths().socket == "/x/run/liongate/control.sock");
  }
}

TEST_CASE("the client's socket is the named one, else the user's if it is there, else the system's") {
  {
    const ScopedVariable named("LIONGATE_SOCKET", "/x/named.sock");
    CHECK(client_socket_path() == "/x/named.sock");
  }
  const ScopedVariable unnamed("LIONGATE_SOCKET", "");
  const ScopedVariable runtime("XDG_RUNTIME_DIR", "/nonexistent");
  const ScopedVariable state("XDG_STATE_HOME", "/nonexistent");
  CHECK(client_socket_path() == "/run/liongate/control.sock");
}
