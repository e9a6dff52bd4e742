// Goal: test-policy decides without a daemon and ends as the contract says; the other permission verbs ask and print.
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "fake_daemon.h"

using namespace liongate;
using namespace liongate::test;

namespace {

// A folder with a manifest that asks for `permissions`, and a policy file.
class Desk {
 public:
  explicit Desk(const std::string& policy, const std::string& permissions = R"("env:LANG", "process")",
                const std::string& rest = "") {
    std::string name = std::filesystem::temp_directory_path() / "policy-XXXXXX";
    folder_ = ::mkdtemp(name.data());
    std::ofstream(manifest()) << "name = \"hello\"\nversion = \"0.1.0\"\nentry_point = \"./hello\"\npermissions = ["
                              << permissions << "]\n"
                              << rest;
    std::ofstream(folder_ + "/p.yaml") << policy;
  }
  ~Desk() { std::filesystem::remove_all(folder_); }
  Desk(const Desk&) = delete;
  Desk& operator=(const Desk&) = delete;

  std::string folder() const { return folder_; }
  std::string manifest() const { return folder_ + "/manifest.toml"; }
  Run try_policy(std::vector<std::string> more = {}) const {
    std::vector<std::string> words = {"test-policy", folder_ + "/p.yaml", "--manifest", manifest()};
    words.insert(words.end(), more.begin(), more.end());
    return ctl(words);
  }

 private:
  std::string folder_;
};

bool holds(const std::string& text, const std::string& part) {
  INFO(text);
  CHECK(text.find(part) != std::string::npos);
  return text.find(part) != std::string::npos;
}

constexpr const char* kPolicy = R"(rules:
  - {plugin: "h*", permission: "env:*", allow: true, limits: {processes_max: 8}}
  - {permission: process, allow: false, reason: "ask first"}
environments:
  staging:
    rules:
      - {permission: process, allow: true}
)";

}  // namespace

TEST_CASE("test-policy shows each permission with its rule, and ends with 6 when one is refused") {
  const Desk desk(kPolicy);
  const Run run = desk.try_policy();
  CHECK(run.exit_code == 6);
  CHECK(holds(run.out, "hello: refused in environment production"));
  CHECK(holds(run.out, desk.folder() + "/p.yaml:2"));
  CHECK(holds(run.out, "8, lowered"));
  CHECK(holds(run.err, "p.yaml:3 (*, process) denies it: ask first (PERMISSION_DENIED)"));
  CHECK(holds(run.err, "hint: "));
}

TEST_CASE("test-policy ends with 0 when everything is granted, in the environment that was named") {
  const Desk desk(kPolicy);
  const Run run = desk.try_policy({"--environment", "staging"});
  CHECK(run.exit_code == 0);
  CHECK(run.err.empty());
  CHECK(holds(run.out, "hello: granted in environment staging"));
}

TEST_CASE("test-policy prints the whole decision as JSON") {
  const Desk desk(kPolicy);
  const Run run = desk.try_policy({"-o", "json"});
  CHECK(run.exit_code == 6);
  CHECK(lines_in(run.out) == 1);
  CHECK(holds(run.out, R"("permission":"env:LANG","granted":true)"));
  CHECK(holds(run.out, R"("limit":"processes_max","asked":"0","ceiling":"8")"));
  CHECK(holds(run.err, R"("reason":"PERMISSION_DENIED")"));
}

TEST_CASE("test-policy decides for the caller it is told, else for whoever asks") {
  const Desk desk("rules:\n  - {caller: \"uid:12345\", allow: true}\n");
  CHECK(desk.try_policy({"--caller", "uid:12345"}).exit_code == 0);
  CHECK(desk.try_policy().exit_code == 6);
  const Desk mine("rules:\n  - {caller: \"uid:" + std::to_string(::geteuid()) + "\", allow: true}\n");
  CHECK(mine.try_policy().exit_code == 0);
}

TEST_CASE("test-policy decides for the folder the manifest lies in, and by canonical spelling") {
  const Desk probe("");
  const Desk desk("rules:\n  - {path: \"" + std::filesystem::temp_directory_path().string() +
                      "/*\", permission: [\"network:*\", \"fs_read:./data\"], allow: true}\n",
                  R"("net:example.org", "fs_read:data/")");
  CHECK(desk.try_policy().exit_code == 0);
}

TEST_CASE("test-policy refuses what no rule can grant") {
  const Desk desk("rules:\n  - allow: true\n", R"("env:LD_PRELOAD", "fs_write:./hello")");
  const Run run = desk.try_policy({"--environment", "development"});
  CHECK(run.exit_code == 6);
  CHECK(holds(run.out, "loader variable"));
}

TEST_CASE("test-policy refuses a limit above its ceiling") {
  const Desk desk(kPolicy, R"("env:LANG")", "[limits]\nprocesses_max = 9\n");
  const Run run = desk.try_policy();
  CHECK(run.exit_code == 6);
  CHECK(holds(run.err, "limit processes_max = 9 is refused"));
  CHECK(holds(run.out, "state at most 8"));
}

TEST_CASE("test-policy ends with 7 for a policy, a manifest or an environment that is none") {
  const Desk broken("rules:\n  - {alow: true}\n");
  const Run faults = broken.try_policy();
  CHECK(faults.exit_code == 7);
  CHECK(faults.out.empty());
  CHECK(lines_in(faults.err) == 2);  // both faults of the file
  CHECK(holds(faults.err, "p.yaml:2: rules[0].alow: unknown key; did you mean `allow`? (INVALID_CONFIG)"));
  CHECK(Desk("", R"("proces")").try_policy().exit_code == 7);
  CHECK(Desk("").try_policy({"--environment", "live"}).exit_code == 7);
  CHECK(ctl({"test-policy", "/nonexistent/p.yaml", "--manifest", Desk("").manifest()}).exit_code == 7);
}

TEST_CASE("explain-permissions asks about a plugin or a manifest, and prints rule, reason and remedy") {
  FakeDaemon daemon;
  daemon.explanation.set_plugin_name("hello");
  daemon.explanation.mutable_decision()->set_environment("production");
  v1::PermissionDecision& one = *daemon.explanation.mutable_decision()->add_permissions();
  one.set_permission("process");
  one.set_rule("p.yaml:3");
  one.set_why("it denies it");
  one.set_remedy("remove it");
  const Run run = ctl(daemon, {"explain-permissions", "hello"});
  CHECK(run.exit_code == 0);  // to tell why something is refused is no failure
  CHECK(daemon.explain_request.plugin() == "hello");
  CHECK(holds(run.out, "hello: refused in environment production"));
  CHECK(holds(run.out, "process     refused   p.yaml:3  it denies it  remove it"));
  CHECK(ctl(daemon, {"explain-permissions", "--manifest", "a/../m.toml"}).exit_code == 0);
  CHECK(daemon.explain_request.manifest_path() == std::filesystem::current_path().string() + "/m.toml");
  CHECK(holds(ctl(daemon, {"explain-permissions", "hello", "-o", "json"}).out, R"("remedy":"remove it")"));
  CHECK(ctl(daemon, {"explain-permissions"}).exit_code == 2);
  CHECK(ctl(daemon, {"explain-permissions", "hello", "--manifest", "m.toml"}).exit_code == 2);
}

TEST_CASE("list-permissions shows plugin, permission and rule") {
  FakeDaemon daemon;
  v1::ListedPermission& one = *daemon.permissions.add_permissions();
  one.set_plugin_name("hello");
  one.mutable_grant()->set_permission("env:LANG");
  one.mutable_grant()->set_rule("p.yaml:2");
  CHECK(ctl(daemon, {"list-permissions"}).out == "PLUGIN  PERMISSION  RULE\nhello   env:LANG    p.yaml:2\n");
  CHECK(holds(ctl(daemon, {"list-permissions", "-o", "json"}).out, R"("rule":"p.yaml:2")"));
}

TEST_CASE("consent is given by its flag and by nothing else") {
  FakeDaemon daemon;
  CHECK(ctl(daemon, {"reload-plugin", "hello"}).exit_code == 0);
  CHECK_FALSE(daemon.reload_request.accept_permissions());
  CHECK(ctl(daemon, {"reload-plugin", "hello", "--accept-permissions"}).exit_code == 0);
  CHECK(daemon.reload_request.accept_permissions());
  CHECK(ctl(daemon, {"load-plugin", "m.toml", "--replace"}).exit_code == 0);
  CHECK_FALSE(daemon.load_request.accept_permissions());
  CHECK(ctl(daemon, {"load-plugin", "m.toml", "--replace", "--accept-permissions"}).exit_code == 0);
  CHECK(daemon.load_request.accept_permissions());
  CHECK(ctl(daemon, {"stop-plugin", "hello", "--accept-permissions"}).exit_code == 2);
}

TEST_CASE("grant-permission and revoke-permission say from when on it holds") {
  FakeDaemon daemon;
  daemon.plugin.set_name("hello");
  const Run granted = ctl(daemon, {"grant-permission", "hello", "env:LANG"});
  CHECK(granted.exit_code == 0);
  CHECK(granted.out == "hello: env:LANG granted, from its next start or call on\n");
  CHECK(daemon.selector == "hello");
  CHECK(daemon.permission == "+env:LANG");
  daemon.restart_needed = true;
  CHECK(ctl(daemon, {"revoke-permission", "hello", "env:LANG"}).out ==
        "hello: env:LANG revoked; it runs on as before until `liongatectl restart-plugin hello`\n");
  CHECK(daemon.permission == "-env:LANG");
  CHECK(holds(ctl(daemon, {"revoke-permission", "hello", "kv", "-o", "json"}).out, R"("restart_needed":true)"));
  CHECK(ctl(daemon, {"grant-permission", "hello"}).exit_code == 2);
}
