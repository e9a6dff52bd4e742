// Goal: the value of a declared secret is in no byte of the state folder, wherever a plugin or its caller puts it, and
// reaches both of them unchanged.
#include "kernel/policy/secrets.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "kernel/base/limits.h"
#include "kernel/base/utf8.h"
#include "kernel/registry/state.h"
#include "kernel/snapshot/state_check.h"
#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;

namespace {

constexpr const char* kCanary = "canary-7f3a\"91\\c2";  // a quote and a backslash: JSON spells it otherwise
constexpr const char* kCanaryInJson = "canary-7f3a\\\"91\\\\c2";

v1::Manifest declaring(const std::string& name) {
  v1::Manifest manifest;
  manifest.set_name("hello");
  manifest.mutable_log()->add_secrets(name);
  return manifest;
}

std::optional<std::string> canary(const std::string& name) {
  if (name == "API_KEY") return kCanary;
  if (name == "PIN") return "1234";
  return std::nullopt;
}

// Every file of a folder that holds `bytes` somewhere.
std::vector<std::string> files_with(const std::string& folder, const std::string& bytes) {
  std::vector<std::string> found;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    if (content.find(bytes) != std::string::npos) found.push_back(entry.path());
  }
  return found;
}

}  // namespace

TEST_CASE("a secret is hidden in every text of an event, in lists and maps too") {
  policy::Secrets secrets(canary);
  CHECK(secrets.empty());
  REQUIRE(secrets.learn(declaring("API_KEY")).has_value());
  REQUIRE(secrets.learn(declaring("API_KEY")).has_value());  // again: nothing new
  REQUIRE_FALSE(secrets.empty());
  v1::Event event;
  event.set_correlation_id(kCanary);
  event.set_type("PluginResult");
  v1::PluginResult& result = *event.mutable_plugin_result();
  result.mutable_output()->set_data(std::string("\x00", 1) + kCanary + kCanary);
  result.add_warnings(std::string("said ") + kCanaryInJson);
  (*result.mutable_metadata())[kCanary] = kCanary;
  secrets.hide(event);
  CHECK(event.correlation_id() == "[secret]");
  CHECK(result.output().data() == std::string("\x00", 1) + "[secret][secret]");
  CHECK(result.warnings(0) == "said [secret]");
  CHECK(event.SerializeAsString().find("canary") == std::string::npos);
  CHECK(event.type() == "PluginResult");
}

TEST_CASE("a value too short to be told from other text is refused") {
  policy::Secrets secrets(canary);
  const Result<void> learned = secrets.learn(declaring("PIN"));
  REQUIRE_FALSE(learned.has_value());
  CHECK(learned.error().reason == Reason::kInvalidManifest);
  CHECK(learned.error().message.find("PIN") != std::string::npos);
  CHECK(learned.error().message.find("1234") == std::string::npos);
  CHECK(secrets.learn(declaring("NOT_SET")).has_value());
  CHECK(secrets.empty());
}

TEST_CASE("a value is hidden with and without the blanks around it, and by its lines") {
  policy::Secrets secrets(nullptr);
  const char* const key = "-----BEGIN KEY-----\nMC4CAQAwBQYDK2VwBCIEI\nshort\n-----END KEY-----\n";
  REQUIRE(secrets.learn_value("key", key).has_value());
  REQUIRE(secrets.learn_value("word", " hunter2\n").has_value());
  CHECK(secrets.hidden("it was hunter2, they said") == "it was [secret], they said");
  CHECK(secrets.hidden("MC4CAQAwBQYDK2VwBCIEI and short") == "[secret] and short");
  REQUIRE(secrets.learn_value("bytes", "\xff\xfe\x01 of any kind").has_value());
  CHECK(secrets.hidden(to_utf8("\xff\xfe\x01 of any kind")) == "[secret]");
}

TEST_CASE("a value is hidden as the JSON of other languages spells it") {
  policy::Secrets secrets(nullptr);
  REQUIRE(secrets.learn_value("password", "p\xc3\xa4ss/w\xc3\xb6rt&<1>").has_value());
  for (const char* spelled : {R"(p\u00e4ss/w\u00f6rt&<1>)", R"(p\u00e4ss\/w\u00f6rt&<1>)",
                              "p\xc3\xa4ss\\/w\xc3\xb6rt&<1>", "p\xc3\xa4ss/w\xc3\xb6rt\\u0026\\u003c1\\u003e"}) {
    CHECK(secrets.hidden(std::string("{\"x\": \"") + spelled + "\"}") == "{\"x\": \"[secret]\"}");
  }
}

TEST_CASE("a value that is too short to be hidden is refused without being told") {
  policy::Secrets secrets(nullptr);
  for (const char* value : {"12345", "   12345 \n", "      "}) {
    const Result<void> learned = secrets.learn_value("pin", value);
    REQUIRE_FALSE(learned.has_value());
    CHECK(learned.error().reason == Reason::kInvalidConfig);
    CHECK(learned.error().message.find("12345") == std::string::npos);
  }
  CHECK(secrets.empty());
}

TEST_CASE("of a secret that changes the last values are hidden, and of all so many") {
  policy::Secrets secrets(canary);
  REQUIRE(secrets.learn(declaring("API_KEY")).has_value());
  const auto value = [](const std::string& name, std::size_t number) {
    return "<" + name + " value " + std::to_string(number) + ">";
  };
  REQUIRE(secrets.learn_value("kept", "<in use all the time>").has_value());
  for (std::size_t i = 0; i < limits::kHiddenValuesPerSecretMax; ++i) {
    REQUIRE(secrets.learn_value("api", value("api", i)).has_value());
  }
  CHECK(secrets.hidden(value("api", 0)) == "[secret]");
  REQUIRE(secrets.learn_value("api", value("api", 0)).has_value());  // in use again: the last to be forgotten
  REQUIRE(secrets.learn_value("api", value("api", 99)).has_value());
  CHECK(secrets.hidden(value("api", 1)) == value("api", 1));
  CHECK(secrets.hidden(value("api", 0)) == "[secret]");
  CHECK(secrets.hidden(value("api", 99)) == "[secret]");
  for (std::size_t i = 0; i < limits::kHiddenValuesMax; ++i) {
    REQUIRE(secrets.learn_value("one" + std::to_string(i), value("one", i)).has_value());
  }
  CHECK(secrets.hidden(value("one", 0)) == value("one", 0));  // the variable has its place among them
  CHECK(secrets.hidden(value("one", 1)) == "[secret]");
  CHECK(secrets.hidden(kCanary) == "[secret]");  // a variable stays
}

TEST_CASE("no byte of the state folder holds a declared secret, and nobody misses it") {
  const TemporaryFolder folder;
  KernelOptions options;
  options.settings = Kernel::granting();
  options.snapshot_folder = folder.path + "/snapshots";
  options.environment = canary;
  {
    Kernel kernel(folder.path + "/log", options);
    kernel.inspector().adjust = [](v1::PluginLoaded& loaded) {
      loaded.mutable_manifest()->add_permissions("env:API_KEY");
      loaded.mutable_manifest()->mutable_log()->add_secrets("API_KEY");
    };
    Script script;
    script.concurrency = 4;
    script.on_invoke = [](FakePlugin& plugin, const v1::Invoke& invoke) {
      if (invoke.operation() == "open") return;
      if (invoke.operation() == "fail") {
        plugin.fail(invoke.call_id(), kCanary, std::string("no such key: ") + kCanary);
      } else {
        plugin.answer(invoke, "you said " + invoke.input().text());
      }
    };
    kernel.loaded("hello", script);
    FakePlugin& plugin = kernel.launcher().last();
    kernel.inspector().adjust = nullptr;
    kernel.loaded("other");  // declares nothing
    for (const char* name : {"hello", "other"}) {
      for (const char* operation : {"", "fail"}) {
        orchestrator::CallRequest request;
        request.plugin = name;
        request.operation = operation;
        request.correlation_id = std::string("c-") + kCanary;
        request.input.set_text(std::string("{\"key\": \"") + kCanaryInJson + "\", \"raw\": \"" + kCanary + "\"}");
        const auto call = kernel.invoke(request);
        REQUIRE(kernel.until([&] { return call->done(); }));
        if (call->succeeded() && std::string(name) == "hello") {
          CHECK(call->text() == "you said " + request.input.text());  // the plugin saw it, the caller got it
          CHECK((*call->result)->correlation_id == request.correlation_id);
        }
      }
    }
    orchestrator::CallRequest open;
    open.plugin = "hello";
    open.operation = "open";
    open.correlation_id = std::string("open-") + kCanary;
    const auto call = kernel.invoke(open);
    kernel.settle();
    std::optional<registry::StateCopy> living;
    kernel.orchestrator().copy_state([&](registry::StateCopy state) { living = std::move(state); });
    REQUIRE(kernel.until([&] { return living.has_value(); }));
    CHECK(snapshot::verify_state(kernel.log().view(), nullptr, registry::to_message(*living))->matches());
    plugin.write_stderr(std::string("my key is ") + kCanary + "\n");
    plugin.die(11);
    REQUIRE(kernel.until([&] { return kernel.count_events("InstanceCrashed") == 1; }));
    REQUIRE(kernel.shut_down());
    CHECK(kernel.last_event("PluginInvoked").correlation_id() == "open-[secret]");
  }
  CHECK(files_with(folder.path, kCanary).empty());
  CHECK(files_with(folder.path, kCanaryInJson).empty());
  CHECK(files_with(folder.path, "canary").empty());
  CHECK_FALSE(files_with(folder.path, "[secret]").empty());  // the test looks at the right files
  Kernel kernel(folder.path + "/log", options);
  const auto call = kernel.invoke("other", kCanary);  // known again after a restart
  REQUIRE(kernel.until([&] { return call->done(); }));
  kernel.settle();
  CHECK(files_with(folder.path, "canary").empty());
}

TEST_CASE("what a plugin says before it fails to load is hidden too") {
  const TemporaryFolder folder;
  KernelOptions options;
  options.settings = Kernel::granting();
  options.environment = canary;
  Kernel kernel(folder.path, options);
  kernel.inspector().adjust = [](v1::PluginLoaded& loaded) {
    loaded.mutable_manifest()->mutable_log()->add_secrets("API_KEY");
  };
  Script script;
  script.handshake = Script::Handshake::kOwn;
  script.on_hello = [](FakePlugin& plugin) {
    plugin.write_stderr(std::string("cannot use ") + kCanary + "\n");
    plugin.exit(1);
  };
  kernel.launcher().script = script;
  const Result<v1::Plugin> loaded = kernel.wait(kernel.load("hello"));
  REQUIRE_FALSE(loaded.has_value());
  kernel.settle();
  CHECK(kernel.count_events("PluginLoadFailed") == 1);
  CHECK(files_with(folder.path, "canary").empty());
}

TEST_CASE("paths to redact and the plugin's own bound hold for its events alone") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.inspector().adjust = [](v1::PluginLoaded& loaded) {
    loaded.mutable_manifest()->mutable_log()->add_redact("/password");
    loaded.mutable_manifest()->mutable_log()->set_payload_bytes_max(100);
  };
  Script script;
  script.on_invoke = [](FakePlugin& plugin, const v1::Invoke& invoke) { plugin.answer(invoke, invoke.input().text()); };
  kernel.loaded("hello", script);
  kernel.inspector().adjust = nullptr;
  kernel.loaded("other", script);
  const std::string input = R"({"password":"hunter2-hunter2","user":"ada"})";
  for (const char* name : {"hello", "other"}) {
    const auto call = kernel.invoke(name, input);
    REQUIRE(kernel.until([&] { return call->done(); }));
    CHECK(call->text() == input);
    kernel.settle();
    const bool redacted = std::string(name) == "hello";
    const std::string kept = redacted ? R"({"password":"[redacted]","user":"ada"})" : input;
    CHECK(kernel.last_event("PluginInvoked").plugin_invoked().input().text() == kept);
    CHECK(kernel.last_event("PluginResult").plugin_result().output().text() == kept);
  }
  const auto large = kernel.invoke("hello", std::string(101, 'x'));
  REQUIRE(kernel.until([&] { return large->done(); }));
  CHECK(kernel.last_event("PluginInvoked").plugin_invoked().input().left_out() == "size");
}

TEST_CASE("a change of the settings is recorded with who made it and what it was") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  v1::DaemonConfigChanged changed;
  changed.add_changed_keys("policy");
  REQUIRE(kernel.orchestrator().set_settings(Kernel::granting(), changed, "uid:1000").has_value());
  REQUIRE(kernel.orchestrator().set_settings(Kernel::granting(), {}, "uid:1000").has_value());  // nothing changed
  CHECK(kernel.count_events("ConfigChanged") == 1);
  const v1::Event event = kernel.last_event("ConfigChanged");
  CHECK(event.actor() == "uid:1000");
  CHECK(event.daemon_config_changed().changed_keys(0) == "policy");
}
