// Goal: a process has the secrets that its plugin was granted, as they are when it starts, or it does not start; and
// whatever happens while they are on their way ends as it does without them.
#include <catch2/catch.hpp>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;

namespace {

using Secrets = std::map<std::string, std::string>;

void grant(Kernel& kernel, const std::string& name) {
  kernel.inspector().adjust = [name](v1::PluginLoaded& loaded) {
    loaded.mutable_manifest()->add_permissions("secret:" + name);
  };
}

Script printing_its_input() {
  Script script;
  script.on_command = [](const std::string& input, const std::string&) { return CommandEnd{input, "", 0, 0}; };
  return script;
}

// A call of the command "sorter" that waits for its secrets.
std::shared_ptr<CallOutcome> call_that_waits(Kernel& kernel, std::optional<std::chrono::milliseconds> timeout = {}) {
  kernel.secrets().values["api"] = "value-of-api";
  grant(kernel, "api");
  kernel.loaded_command("sorter", printing_its_input());
  kernel.secrets().hold = true;
  orchestrator::CallRequest request;
  request.plugin = "sorter";
  request.timeout = timeout;
  auto call = kernel.invoke(request);
  REQUIRE(kernel.until([&] { return !kernel.secrets().held.empty(); }));
  return call;
}

bool ended(Kernel& kernel, const std::shared_ptr<CallOutcome>& call) {
  return kernel.until([&] { return call->done(); });
}

}  // namespace

TEST_CASE("a process finds the secrets of its plugin, as they are when it starts") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.secrets().values = {{"api", "first value"}, {"other", "not granted"}};
  grant(kernel, "api");
  kernel.loaded("keeper");
  CHECK(kernel.launcher().last().secrets == Secrets{{"api", "first value"}});
  kernel.secrets().values["api"] = "second value";
  REQUIRE(kernel.wait(kernel.tell(&orchestrator::Orchestrator::restart, "keeper")).has_value());
  CHECK(kernel.launcher().last().secrets == Secrets{{"api", "second value"}});
  kernel.secrets().values["api"] = "third value";
  REQUIRE(kernel.wait(kernel.reload("keeper")).has_value());
  CHECK(kernel.launcher().last().secrets == Secrets{{"api", "third value"}});
  kernel.secrets().values["api"] = "fourth value";
  kernel.launcher().last().die(11);
  REQUIRE(kernel.until([&] { return kernel.count_events("PluginStarted") == 4; }));
  CHECK(kernel.launcher().last().secrets == Secrets{{"api", "fourth value"}});
  CHECK(kernel.count_events("SecretDelivered") == 4);
}

TEST_CASE("the record of a delivery precedes the process, and names it") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.secrets().values["api"] = "value-of-api";
  grant(kernel, "api");
  std::uint64_t seq_at_launch = 0;
  kernel.launcher().on_launch = [&] { seq_at_launch = kernel.log().last_seq(); };
  kernel.loaded("keeper");
  const v1::Event event = kernel.last_event("SecretDelivered");
  CHECK(event.seq() == seq_at_launch);
  CHECK(event.secret_delivered().name() == "api");
  CHECK(event.secret_delivered().source() == "file");
  CHECK(event.secret_delivered().how() == "file");
  CHECK(event.plugin_id() == kernel.last_event("PluginLoaded").plugin_id());
  CHECK(event.instance_id() == kernel.last_event("InstanceCreated").instance_id());
  CHECK(event.actor() == "uid:1000");
}

TEST_CASE("each call of a command gets its own") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.secrets().values["api"] = "first value";
  grant(kernel, "api");
  kernel.loaded_command("sorter", printing_its_input());
  CHECK(kernel.count_events("SecretDelivered") == 0);  // nothing runs yet
  for (const char* value : {"second value", "third value"}) {
    kernel.secrets().values["api"] = value;
    const auto call = kernel.invoke("sorter", "input");
    REQUIRE(ended(kernel, call));
    CHECK(call->text() == "input");
    CHECK(kernel.launcher().last().secrets == Secrets{{"api", value}});
  }
  CHECK(kernel.count_events("SecretDelivered") == 2);
}

TEST_CASE("a plugin whose secret cannot be had is not loaded, of either kind") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  grant(kernel, "api");
  for (const char* runtime : {"native", "command"}) {
    orchestrator::LoadRequest request;
    request.source.manifest.set_runtime(runtime);
    const auto loaded = kernel.wait(kernel.load("keeper", std::move(request)));
    REQUIRE_FALSE(loaded.has_value());
    CHECK(loaded.error().reason == Reason::kInvalidConfig);
    CHECK(loaded.error().message == "plugin keeper: secret api: no source");
    CHECK(kernel.last_event("PluginLoadFailed").plugin_load_failed().reason() == "INVALID_CONFIG");
  }
  CHECK(kernel.launcher().plugins.empty());
}

TEST_CASE("a reload whose secret cannot be had leaves the old code at work") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  for (const bool is_command : {false, true}) {
    kernel.inspector().adjust = nullptr;
    const std::string name = is_command ? "sorter" : "keeper";
    is_command ? kernel.loaded_command(name, printing_its_input()) : kernel.loaded(name);
    kernel.inspector().adjust = [is_command](v1::PluginLoaded& loaded) {
      if (is_command) loaded.mutable_manifest()->set_runtime("command");
      loaded.mutable_manifest()->add_permissions("secret:missing");
    };
    const auto reloaded = kernel.wait(kernel.reload(name, orchestrator::Consent::kGiven));
    REQUIRE_FALSE(reloaded.has_value());
    CHECK(reloaded.error().reason == Reason::kInvalidConfig);
    const auto call = kernel.invoke(name);
    REQUIRE(ended(kernel, call));
    CHECK(call->succeeded());
  }
}

TEST_CASE("after a restart of the daemon a source that is not there yet is tried again") {
  TemporaryFolder folder;
  {
    Kernel kernel(folder.path);
    kernel.secrets().values["api"] = "value-of-api";
    grant(kernel, "api");
    kernel.loaded("keeper");
    kernel.loaded_command("sorter", printing_its_input());
  }
  Kernel kernel(folder.path);
  REQUIRE(kernel.until([&] { return kernel.secrets().fetched.size() >= 3; }));  // each once, one of them again
  CHECK(kernel.state("keeper") == v1::PLUGIN_STATE_CREATED);
  kernel.secrets().values["api"] = "here it is";
  REQUIRE(kernel.until([&] {
    return kernel.state("keeper") == v1::PLUGIN_STATE_RUNNING && kernel.state("sorter") == v1::PLUGIN_STATE_RUNNING;
  }));
}

TEST_CASE("one that never comes fails the plugin with the reason") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.secrets().values["api"] = "value-of-api";
  grant(kernel, "api");
  kernel.loaded("keeper");
  kernel.secrets().values.clear();
  const auto restarted = kernel.wait(kernel.tell(&orchestrator::Orchestrator::restart, "keeper"));
  REQUIRE_FALSE(restarted.has_value());
  CHECK(kernel.state("keeper") == v1::PLUGIN_STATE_FAILED);
  CHECK(kernel.last_event("PluginFailed").plugin_failed().reason() == "INVALID_CONFIG");
}

TEST_CASE("a call whose secret cannot be had fails, and gives its slot back") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const auto first = call_that_waits(kernel);
  kernel.secrets().error = make_error(Reason::kLoadFailure, "secret api: gone");
  kernel.secrets().release();
  REQUIRE(ended(kernel, first));
  CHECK(first->reason() == Reason::kLoadFailure);
  for (std::uint32_t i = 0; i < limits::kCommandConcurrencyMax; ++i) {
    const auto call = kernel.invoke("sorter");
    REQUIRE(ended(kernel, call));
    CHECK(call->reason() == Reason::kLoadFailure);
  }
  kernel.secrets().error.reset();
  const auto last = kernel.invoke("sorter");
  REQUIRE(ended(kernel, last));
  CHECK(last->succeeded());
}

TEST_CASE("a call that is cancelled, or runs out of time, while its secrets are on their way never runs") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  SECTION("cancelled") {
    const auto call = call_that_waits(kernel);
    kernel.orchestrator().cancel(call->key);
    REQUIRE(ended(kernel, call));
    CHECK(call->reason() == Reason::kCancelled);
  }
  SECTION("deadline") {
    const auto call = call_that_waits(kernel, std::chrono::milliseconds(50));
    REQUIRE(ended(kernel, call));
    CHECK(call->reason() == Reason::kDeadlineExceeded);
    CHECK(call->times_done == 1);
  }
  kernel.secrets().release();
  kernel.settle();
  CHECK(kernel.launcher().plugins.empty());
  CHECK(kernel.count_events("SecretDelivered") == 0);
}

TEST_CASE("what is granted or revoked while a call waits for its secrets counts") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.secrets().values["other"] = "value-of-other";
  const auto call = call_that_waits(kernel);
  REQUIRE(kernel.wait(kernel.override_permission("sorter", "secret:other", policy::Override::kGrant)).has_value());
  REQUIRE(kernel.wait(kernel.override_permission("sorter", "secret:api", policy::Override::kRevoke)).has_value());
  kernel.secrets().release();
  REQUIRE(ended(kernel, call));
  CHECK(kernel.launcher().last().secrets == Secrets{{"other", "value-of-other"}});
}

TEST_CASE("the plugin is stopped, unloaded, or the daemon ends, while secrets are on their way") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  SECTION("a call of a command, and the daemon ends") {
    const auto call = call_that_waits(kernel);
    REQUIRE(kernel.shut_down());
    CHECK(call->done());
  }
  SECTION("a call of a command, and it is unloaded") {
    const auto call = call_that_waits(kernel);
    REQUIRE(kernel.wait(kernel.tell(&orchestrator::Orchestrator::unload, "sorter")).has_value());
    CHECK(call->done());
  }
  SECTION("a start, and the daemon ends") {
    kernel.secrets().values["api"] = "value-of-api";
    grant(kernel, "api");
    kernel.loaded("keeper");
    kernel.secrets().hold = true;
    const auto restarted = kernel.tell(&orchestrator::Orchestrator::restart, "keeper");
    REQUIRE(kernel.until([&] { return !kernel.secrets().held.empty(); }));
    REQUIRE(kernel.shut_down());
    REQUIRE(restarted->done());
    CHECK(restarted->result->error().reason == Reason::kShuttingDown);
  }
  SECTION("a load, and the daemon ends") {
    grant(kernel, "api");
    kernel.secrets().hold = true;
    const auto load = kernel.load("keeper");
    REQUIRE(kernel.until([&] { return !kernel.secrets().held.empty(); }));
    REQUIRE(kernel.shut_down());
    REQUIRE(load->done());
    CHECK(load->result->error().reason == Reason::kShuttingDown);
  }
  kernel.secrets().release();
  kernel.run_for(std::chrono::milliseconds(10));
}

TEST_CASE("no value is in any byte of the state folder, but the record of its delivery is") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.secrets().values["api"] = "canary-77f1\"\n";
  grant(kernel, "api");
  Script script;
  script.on_invoke = [](FakePlugin& plugin, const v1::Invoke& invoke) {
    plugin.write_stderr("my key is canary-77f1\"\n");
    plugin.fail(invoke.call_id(), "", "cannot use canary-77f1\" at all");
  };
  kernel.loaded("keeper", script);
  const auto call = kernel.invoke("keeper", "{\"key\": \"canary-77f1\\\"\"}");
  REQUIRE(ended(kernel, call));
  CHECK(call->result->error().message == "cannot use canary-77f1\" at all");
  REQUIRE(kernel.until([&] { return !kernel.orchestrator().read_logs("keeper", 0, nullptr)->lines.empty(); }));
  CHECK(kernel.orchestrator().read_logs("keeper", 0, nullptr)->lines.back().text == "my key is [secret]");
  for (const v1::Event& event : kernel.events()) {
    INFO(event.DebugString());
    CHECK(event.SerializeAsString().find("canary") == std::string::npos);
  }
  CHECK(kernel.last_event("PluginInvoked").plugin_invoked().input().text() == "{\"key\": \"[secret]\"}");
}
