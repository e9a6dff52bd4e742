// Goal: where secrets come from is read as it is written, and what cannot be meant is refused with file, line and key.
#include <catch2/catch.hpp>

#include "config/daemon_config.h"
#include "config/manifest_rules.h"

using namespace liongate;
using namespace liongate::config;

namespace {

std::map<std::string, SecretConfig> secrets_of(const std::string& text, Environment environment) {
  auto config = parse_daemon_config(text, "c.yaml", {}, environment);
  INFO((config ? "" : config.error().message));
  REQUIRE(config.has_value());
  return std::move(config)->secrets;
}

std::string fault_of_secrets(const std::string& text) {
  const auto config = parse_daemon_config(text, "c.yaml", {});
  REQUIRE_FALSE(config.has_value());
  CHECK(config.error().reason == Reason::kInvalidConfig);
  return config.error().message;
}

constexpr const char* kAll = R"(
secrets:
  api.key: {credential: api}
  db-password: {file: /etc/liongate/secrets/db}
  token: {command: [/usr/bin/vault, read, "a b"], timeout_ms: 700}
)";

}  // namespace

TEST_CASE("each kind of source is read, and printed so that it is read again") {
  const auto secrets = secrets_of(kAll, Environment::kProduction);
  REQUIRE(secrets.size() == 3);
  CHECK(secrets.at("api.key").kind == SecretKind::kCredential);
  CHECK(secrets.at("api.key").credential == "api");
  CHECK(secrets.at("db-password").file == "/etc/liongate/secrets/db");
  CHECK(secrets.at("token").command == std::vector<std::string>{"/usr/bin/vault", "read", "a b"});
  CHECK(secrets.at("token").timeout_ms == 700);
  DaemonConfig config;
  config.state_dir = "/state";
  config.socket = "/socket";
  config.secrets = secrets;
  CHECK(secrets_of(to_yaml(config), Environment::kProduction) == secrets);
}

TEST_CASE("the sources of an environment take the place of all others") {
  const std::string text = std::string(kAll) + "environments:\n  testing:\n    secrets: {token: {file: /test}}\n";
  CHECK(secrets_of(text, Environment::kTesting).size() == 1);
  CHECK(secrets_of(text, Environment::kStaging).size() == 3);
}

TEST_CASE("what cannot be meant is refused with its line and key") {
  const std::string all = fault_of_secrets(R"(
secrets:
  both: {file: /a, credential: b}
  none: {timeout_ms: 5}
  "no name": {file: /a}
  "..": {file: /a}
  relative: {file: secrets/a}
  path: {credential: ../a}
  shell: {command: "cat /a"}
  empty: {command: []}
  bare: {command: [cat, /a]}
  slow: {command: [/bin/cat], timeout_ms: 60001}
  unknown: {file: /a, mode: 384}
  text: /etc/secret
)");
  for (const char* fault :
       {"c.yaml:3: secrets.both: needs exactly one of credential, file, command",
        "c.yaml:4: secrets.none: needs exactly one", "c.yaml:5: secrets.no name: is not a name",
        "c.yaml:6: secrets...: is not a name", "c.yaml:7: secrets.relative.file: `secrets/a` is not an absolute path",
        "c.yaml:8: secrets.path.credential: `../a` is not the name of a credential",
        "c.yaml:9: secrets.shell.command: must be a list", "c.yaml:10: secrets.empty.command: is empty",
        "c.yaml:11: secrets.bare.command: `cat` is not an absolute path", "c.yaml:12: secrets.slow.timeout_ms:",
        "c.yaml:13: secrets.unknown.mode: unknown key", "c.yaml:14: secrets.text: must be a table"}) {
    INFO(all);
    CHECK(all.find(fault) != std::string::npos);
  }
  CHECK(fault_of_secrets("secrets: [a]\n").find("c.yaml:1: secrets: must be a table") != std::string::npos);
}

TEST_CASE("sources and words of a command are bounded") {
  const auto sources = [](std::size_t count) {
    std::string text = "secrets:\n";
    for (std::size_t i = 0; i < count; ++i) text += "  s" + std::to_string(i) + ": {file: /a}\n";
    return text;
  };
  CHECK(secrets_of(sources(limits::kSecretSourcesMax), Environment::kTesting).size() == limits::kSecretSourcesMax);
  CHECK(fault_of_secrets(sources(limits::kSecretSourcesMax + 1)).find("at most 256 secrets") != std::string::npos);
  const auto words = [](std::size_t count) {
    std::string text = "secrets:\n  s: {command: [/bin/echo";
    for (std::size_t i = 1; i < count; ++i) text += ", word";
    return text + "]}\n";
  };
  CHECK(secrets_of(words(limits::kSecretCommandWordsMax), Environment::kTesting).at("s").command.size() ==
        limits::kSecretCommandWordsMax);
  CHECK(fault_of_secrets(words(limits::kSecretCommandWordsMax + 1)).find("more than 64 entries") != std::string::npos);
}

TEST_CASE("a name of a secret is a file's name") {
  for (const char* name : {"a", "api_key", "API-KEY.2", "...", ".hidden"}) CHECK(is_secret_name(name));
  for (const char* name : {"", ".", "..", "a/b", "a b", "\xc3\xbc"}) CHECK_FALSE(is_secret_name(name));
  CHECK(is_secret_name(std::string(255, 'x')));
  CHECK_FALSE(is_secret_name(std::string(256, 'x')));
}
