// Goal: a load registers a plugin that said Ready, or nothing; either way the log tells it.
#include <catch2/catch.hpp>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using orchestrator::AfterLoad;
using orchestrator::LoadRequest;
using orchestrator::OnDuplicate;
using orchestrator::Orchestrator;

namespace {

Error load_error_of(Kernel& kernel, const std::string& name, LoadRequest request = {}) {
  const Result<v1::Plugin> result = kernel.wait(kernel.load(name, std::move(request)));
  REQUIRE_FALSE(result.has_value());
  return result.error();
}

LoadRequest replacing() {
  LoadRequest request;
  request.on_duplicate = OnDuplicate::kReplace;
  return request;
}

LoadRequest not_started() {
  LoadRequest request;
  request.after_load = AfterLoad::kLeaveStopped;
  return request;
}

}  // namespace

TEST_CASE("a load that reaches Ready registers a running plugin") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const v1::Plugin plugin = kernel.loaded("hello");
  CHECK(is_uuid(plugin.plugin_id()));
  CHECK(plugin.state() == v1::PLUGIN_STATE_RUNNING);
  CHECK(plugin.concurrency() == 8);
  CHECK(plugin.pid() == 4242);
  CHECK(plugin.posture().mechanisms(0).name() == "seccomp");
  CHECK(kernel.event_types() == std::vector<std::string>{"DaemonStarted", "PluginLoaded", "InstanceCreated",
                                                         "SandboxPosture", "PluginStarted"});
}

TEST_CASE("Hello tells the plugin who it is and what the bounds are") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const v1::Plugin plugin = kernel.loaded("hello");
  const v1::Hello& hello = kernel.launcher().last().received.front().hello();
  CHECK(hello.plugin_id() == plugin.plugin_id());
  CHECK(hello.instance_id() == plugin.instance_id());
  CHECK(hello.plugin_name() == "hello");
  CHECK(hello.config_json() == "{}");
  CHECK(hello.protocol_version_min() <= hello.protocol_version_max());
  CHECK(hello.limits().frame_bytes_max() == limits::kFrameBytesMax);
  CHECK(hello.limits().concurrency_max() == limits::kConcurrencyMax);
}

TEST_CASE("log lines before Ready are kept and do not count as Ready") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.handshake = Script::Handshake::kLogThenReady;
  kernel.loaded("hello", script);
  const auto logs = kernel.orchestrator().read_logs("hello", 0, nullptr);
  REQUIRE(logs->lines.size() == 1);
  CHECK(logs->lines[0].text == "about to be ready");
}

TEST_CASE("a plugin that never says Ready is killed and registers nothing") {
  TemporaryFolder folder;
  orchestrator::Settings settings = Kernel::granting();
  settings.ready_timeout_ms = 30;
  Kernel kernel(folder.path, settings);
  kernel.launcher().script.handshake = Script::Handshake::kSilent;
  CHECK(load_error_of(kernel, "hello").reason == Reason::kLoadFailure);
  CHECK(kernel.launcher().running() == 0);
  CHECK(kernel.orchestrator().list().empty());
  CHECK(kernel.last_event("PluginLoadFailed").plugin_load_failed().reason() == "LOAD_FAILURE");
  CHECK(kernel.count_events("PluginLoaded") == 0);
}

TEST_CASE("a plugin that exits before Ready fails its load with what it wrote last") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script& script = kernel.launcher().script;
  script.handshake = Script::Handshake::kOwn;
  script.on_hello = [](FakePlugin& plugin) {
    plugin.write_stderr("cannot find my config\n");
    plugin.exit(3);
  };
  const Error error = load_error_of(kernel, "hello");
  CHECK(error.reason == Reason::kLoadFailure);
  CHECK(error.message.find("exited with status 3") != std::string::npos);
  CHECK(error.metadata.at("output") == "cannot find my config");
}

TEST_CASE("a plugin that says something else instead of Ready fails its load") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script& script = kernel.launcher().script;
  script.handshake = Script::Handshake::kOwn;
  SECTION("a Result") {
    script.on_hello = [](FakePlugin& plugin) { plugin.answer(1, "early"); };
  }
  SECTION("garbage") {
    script.on_hello = [](FakePlugin& plugin) { plugin.send_bytes("Hello, world!\n"); };
  }
  SECTION("a protocol version that nobody offered") {
    script.on_hello = [](FakePlugin& plugin) {
      v1::Frame frame;
      frame.mutable_ready()->set_protocol_version(limits::kProtocolVersionMax + 1);
      plugin.send(frame);
    };
  }
  CHECK(load_error_of(kernel, "hello").reason == Reason::kLoadFailure);
  CHECK(kernel.launcher().running() == 0);
}

TEST_CASE("a Ready too large for any event fails the load: what the log cannot hold is not registered") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script& script = kernel.launcher().script;
  script.handshake = Script::Handshake::kOwn;
  script.on_hello = [](FakePlugin& plugin) {
    v1::Frame frame;
    frame.mutable_ready()->set_protocol_version(1);
    for (int i = 0; i < 1100; ++i) frame.mutable_ready()->add_capabilities()->set_name(std::string(1000, 'c'));
    plugin.send(frame);
  };
  const Result<v1::Plugin> result = kernel.wait(kernel.load("hello"));
  CHECK_FALSE(result.has_value());
  CHECK(kernel.orchestrator().list().empty());
}

TEST_CASE("a declared concurrency is bounded below and above") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.concurrency = 0;
  CHECK(kernel.loaded("zero", script).concurrency() == 1);
  script.concurrency = 1'000'000;
  CHECK(kernel.loaded("many", script).concurrency() == limits::kConcurrencyMax);
}

TEST_CASE("what the files say is wrong fails the load with that reason") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.inspector().inspect_error = make_error(Reason::kUnsafeFolder, "the folder is everybody's");
  LoadRequest request;
  request.source.manifest_path = "/plugins/hello/manifest.toml";
  CHECK(load_error_of(kernel, "hello", request).reason == Reason::kUnsafeFolder);
  CHECK(kernel.launcher().plugins.empty());
  const auto event = kernel.last_event("PluginLoadFailed");
  CHECK(event.plugin_load_failed().reason() == "UNSAFE_FOLDER");
  CHECK(event.plugin_load_failed().manifest_path() == "/plugins/hello/manifest.toml");
}

TEST_CASE("a permission that the policy refuses is an event, and nothing was launched") {
  TemporaryFolder folder;
  orchestrator::Settings settings = Kernel::granting();
  settings.policy.otherwise = policy::Default::kRefuse;
  Kernel kernel(folder.path, settings);
  kernel.inspector().adjust = [](v1::PluginLoaded& loaded) { loaded.mutable_manifest()->add_permissions("env:HOME"); };
  CHECK(load_error_of(kernel, "hello").reason == Reason::kPermissionDenied);
  CHECK(kernel.last_event("PermissionDenied").permission_denied().permission() == "env:HOME");
  CHECK(kernel.last_event("PermissionDenied").permission_denied().action() == "load");
  CHECK(kernel.count_events("PluginLoadFailed") == 1);
  CHECK(kernel.launcher().plugins.empty());
}

TEST_CASE("a host that cannot confine fails the load as SANDBOX_UNAVAILABLE") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  SECTION("there is no launcher") {
    kernel.launcher().launch_error = make_error(Reason::kSandboxUnavailable, "liongate-launcher is gone");
    CHECK(load_error_of(kernel, "hello").reason == Reason::kSandboxUnavailable);
  }
  SECTION("a mandatory step is refused") {
    supervision::PluginExit exit;
    exit.kind = supervision::ExitKind::kSetupFailed;
    exit.step = "make a user namespace";
    exit.step_errno = EPERM;
    exit.host_refuses = true;
    kernel.launcher().setup_end = exit;
    const Error error = load_error_of(kernel, "hello");
    CHECK(error.reason == Reason::kSandboxUnavailable);
    CHECK(error.metadata.at("step") == "make a user namespace");
  }
  SECTION("a command is tried, and never runs") {
    kernel.launcher().host_error = make_error(Reason::kSandboxUnavailable, "no user namespaces");
    LoadRequest request;
    request.source.manifest.set_runtime("command");
    CHECK(load_error_of(kernel, "hello", request).reason == Reason::kSandboxUnavailable);
  }
  CHECK(kernel.orchestrator().list().empty());
}

TEST_CASE("a name that is loaded is refused and its plugin goes on") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const v1::Plugin first = kernel.loaded("hello");
  const Error error = load_error_of(kernel, "hello");
  CHECK(error.reason == Reason::kDuplicatePlugin);
  CHECK(error.metadata.at("plugin_id") == first.plugin_id());
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_RUNNING);
}

TEST_CASE("a name that is being loaded is taken; after a failed load it is free again") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const auto first = kernel.load("hello");
  const auto second = kernel.load("hello");
  CHECK(kernel.wait(second).error().reason == Reason::kDuplicatePlugin);
  CHECK(kernel.wait(first).has_value());

  kernel.launcher().launch_error = make_error(Reason::kSandboxUnavailable, "not now");
  CHECK_FALSE(kernel.wait(kernel.load("other")).has_value());
  kernel.launcher().launch_error.reset();
  CHECK(kernel.wait(kernel.load("other")).has_value());
}

TEST_CASE("replace takes over the id of a loaded plugin and ends its old process") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const v1::Plugin first = kernel.loaded("hello");
  kernel.inspector().digest_now = "digest-2";
  const Result<v1::Plugin> second = kernel.wait(kernel.load("hello", replacing()));
  REQUIRE(second.has_value());
  CHECK(second->plugin_id() == first.plugin_id());
  CHECK(second->instance_id() != first.instance_id());
  CHECK(second->digest_sha256() == "digest-2");
  CHECK(kernel.until([&] { return kernel.launcher().running() == 1; }));
  CHECK(kernel.count_events("PluginReloaded") == 1);
  CHECK(kernel.count_events("PluginLoaded") == 1);
}

TEST_CASE("replace of a plugin that is not loaded is a load") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  CHECK(kernel.wait(kernel.load("hello", replacing())).has_value());
  CHECK(kernel.count_events("PluginLoaded") == 1);
}

TEST_CASE("a load without start launches nothing until it is started") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const Result<v1::Plugin> plugin = kernel.wait(kernel.load("hello", not_started()));
  REQUIRE(plugin.has_value());
  CHECK(plugin->state() == v1::PLUGIN_STATE_CREATED);
  CHECK(kernel.launcher().plugins.empty());
  const auto call = kernel.invoke("hello");
  REQUIRE(call->done());
  CHECK(call->reason() == Reason::kPluginNotRunning);
  CHECK(kernel.wait(kernel.tell(&Orchestrator::start, "hello"))->state() == v1::PLUGIN_STATE_RUNNING);
}

TEST_CASE("plugins load up to the bound, the next is refused") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  std::vector<std::shared_ptr<CommandOutcome>> loads;
  for (std::size_t i = 0; i < limits::kPluginsMax; ++i) {
    loads.push_back(kernel.load("p" + std::to_string(i), not_started()));
  }
  REQUIRE(kernel.until([&] { return loads.back()->done(); }));
  CHECK(std::all_of(loads.begin(), loads.end(),
                    [](const auto& load) { return load->done() && load->result->has_value(); }));
  CHECK(load_error_of(kernel, "one-more", not_started()).reason == Reason::kQueueFull);
  CHECK(kernel.orchestrator().counts().plugins == limits::kPluginsMax);
}

TEST_CASE("names of paths that are not UTF-8 do not spoil the log") {
  TemporaryFolder folder;
  {
    Kernel kernel(folder.path);
    kernel.inspector().adjust = [](v1::PluginLoaded& loaded) { loaded.set_folder("/plugins/gr\xFC\xDF"); };
    static_cast<void>(kernel.wait(kernel.load("hello")).has_value());  // loaded or refused: both would do
    CHECK_FALSE(kernel.event_types().empty());
  }
  const Kernel next_life(folder.path);
}
