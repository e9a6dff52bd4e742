// Goal: a reload brings new files under the same id and loses no call: the old instance drains, the new one serves.
#include <catch2/catch.hpp>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using namespace std::chrono_literals;
using orchestrator::Orchestrator;

TEST_CASE("a reload keeps the id and brings new files and a new instance") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const v1::Plugin before = kernel.loaded("hello");
  kernel.inspector().digest_now = "digest-2";
  const Result<v1::Plugin> after = kernel.wait(kernel.reload("hello"));
  REQUIRE(after.has_value());
  CHECK(after->plugin_id() == before.plugin_id());
  CHECK(after->instance_id() != before.instance_id());
  CHECK(after->digest_sha256() == "digest-2");
  CHECK(after->state() == v1::PLUGIN_STATE_RUNNING);
}

TEST_CASE("a reload loses no call: what ran finishes on the old instance, what waited runs on the new one") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(1));
  FakePlugin& old = kernel.launcher().last();
  const auto running = kernel.invoke("hello", "old");
  const auto waiting = kernel.invoke("hello", "new");
  REQUIRE(kernel.until([&] { return old.invokes().size() == 1; }));
  kernel.launcher().script = Script();
  REQUIRE(kernel.wait(kernel.reload("hello")).has_value());
  REQUIRE(kernel.until([&] { return waiting->done(); }));
  CHECK(waiting->text() == "echo: new");
  CHECK_FALSE(running->done());
  CHECK_FALSE(old.ended());
  old.answer(running->key, "from the old code");
  REQUIRE(kernel.until([&] { return running->done(); }));
  CHECK(running->text() == "from the old code");
  CHECK(kernel.until([&] { return old.ended(); }));  // drained, it goes
  CHECK(kernel.launcher().running() == 1);
  CHECK(kernel.count_events("InstanceCrashed") == 0);
}

TEST_CASE("a crash of the draining instance ends its own calls and nothing else") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(1));
  FakePlugin& old = kernel.launcher().last();
  const auto running = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return old.invokes().size() == 1; }));
  kernel.launcher().script = Script();
  REQUIRE(kernel.wait(kernel.reload("hello")).has_value());
  old.exit(9);
  REQUIRE(kernel.until([&] { return running->done(); }));
  CHECK(running->reason() == Reason::kPluginCrashed);
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_RUNNING);
  CHECK(kernel.count_events("InstanceCrashed") == 0);
}

TEST_CASE("a call on the draining instance that is cancelled and not ended is killed with it") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(1));
  FakePlugin& old = kernel.launcher().last();
  const auto running = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return old.invokes().size() == 1; }));
  kernel.launcher().script = Script();
  REQUIRE(kernel.wait(kernel.reload("hello")).has_value());
  kernel.orchestrator().cancel(running->key);
  REQUIRE(kernel.until([&] { return running->done(); }));
  CHECK(running->reason() == Reason::kCancelled);
  CHECK(kernel.until([&] { return old.ended(); }));
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_RUNNING);
}

TEST_CASE("new code that does not become Ready changes nothing: the old code goes on") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const v1::Plugin before = kernel.loaded("hello");
  kernel.launcher().script.handshake = Script::Handshake::kOwn;
  kernel.launcher().script.on_hello = [](FakePlugin& plugin) { plugin.exit(1); };
  CHECK(kernel.wait(kernel.reload("hello")).error().reason == Reason::kLoadFailure);
  CHECK(kernel.orchestrator().get("hello")->instance_id() == before.instance_id());
  CHECK(kernel.count_events("PluginReloaded") == 0);
  const auto call = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->succeeded());
}

TEST_CASE("files that are wrong now fail the reload with their reason, and the old code goes on") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  SECTION("a manifest that does not parse") {
    kernel.inspector().inspect_error = make_error(Reason::kInvalidManifest, "line 3: name: missing");
  }
  SECTION("another name") {
    kernel.inspector().adjust = [](v1::PluginLoaded& loaded) { loaded.mutable_manifest()->set_name("other"); };
  }
  CHECK(kernel.wait(kernel.reload("hello")).error().reason == Reason::kInvalidManifest);
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_RUNNING);
}

TEST_CASE("a reload asks the policy again") {
  TemporaryFolder folder;
  orchestrator::Settings settings = Kernel::granting();
  settings.policy.otherwise = policy::Default::kRefuse;
  Kernel kernel(folder.path, settings);
  kernel.loaded("hello");
  kernel.inspector().adjust = [](v1::PluginLoaded& loaded) { loaded.mutable_manifest()->add_permissions("process"); };
  CHECK(kernel.wait(kernel.reload("hello")).error().reason == Reason::kPermissionDenied);
  CHECK(kernel.orchestrator().get("hello")->manifest().permissions().empty());
}

TEST_CASE("a reload that asks for more is refused without consent, and the old code goes on") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  kernel.inspector().adjust = [](v1::PluginLoaded& loaded) {
    loaded.mutable_manifest()->add_permissions("process");
    loaded.mutable_manifest()->add_permissions("env:HOME");
  };
  SECTION("by reload") {
    const Result<v1::Plugin> refused = kernel.wait(kernel.reload("hello"));
    REQUIRE_FALSE(refused);
    CHECK(refused.error().reason == Reason::kPermissionDenied);
    CHECK(refused.error().metadata.at("added") == "process, env:HOME");
    CHECK(refused.error().hint.find("--accept-permissions") != std::string::npos);
  }
  SECTION("by replacing it") {
    orchestrator::LoadRequest request;
    request.on_duplicate = orchestrator::OnDuplicate::kReplace;
    CHECK(kernel.wait(kernel.load("hello", request)).error().reason == Reason::kPermissionDenied);
  }
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_RUNNING);
  CHECK(kernel.orchestrator().get("hello")->manifest().permissions().empty());
  CHECK(kernel.last_event("PermissionDenied").permission_denied().rule() == "consent");
}

TEST_CASE("consent to what is new is on record, and asked for again only for what is new again") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  kernel.inspector().adjust = [](v1::PluginLoaded& loaded) { loaded.mutable_manifest()->add_permissions("process"); };
  REQUIRE(kernel.wait(kernel.reload("hello", orchestrator::Consent::kGiven)).has_value());
  const v1::Event event = kernel.last_event("PluginReloaded");
  CHECK(event.actor() == "uid:1000");
  const v1::PluginLoaded& loaded = event.plugin_reloaded().loaded();
  REQUIRE(loaded.accepted_permissions_size() == 1);
  CHECK(loaded.accepted_permissions(0) == "process");
  CHECK(loaded.caller() == "uid:1000");
  REQUIRE(loaded.grants_size() == 1);
  CHECK(loaded.grants(0).rule() == "default");
  CHECK(kernel.wait(kernel.reload("hello")).has_value());
  CHECK(kernel.last_event("PluginReloaded").plugin_reloaded().loaded().accepted_permissions().empty());
}

TEST_CASE("asking for less needs no consent") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.inspector().adjust = [](v1::PluginLoaded& loaded) { loaded.mutable_manifest()->add_permissions("process"); };
  kernel.loaded("hello");
  kernel.inspector().adjust = nullptr;
  CHECK(kernel.wait(kernel.reload("hello")).has_value());
}

TEST_CASE("a start under another policy records what is granted now, and lives on with it") {
  TemporaryFolder folder;
  orchestrator::Settings settings = Kernel::granting();
  {
    Kernel kernel(folder.path, settings);
    kernel.inspector().adjust = [](v1::PluginLoaded& loaded) { loaded.mutable_manifest()->add_permissions("process"); };
    kernel.loaded("hello");
    REQUIRE(kernel.wait(kernel.tell(&Orchestrator::restart, "hello")).has_value());
    CHECK(kernel.count_events("PermissionsGranted") == 0);  // nothing differs
    PolicyRule rule{.permissions = {"process"}, .allow = true, .limits = {{"processes_max", 4}}, .name = "p.yaml:2"};
    settings.policy.rules = {rule};
    v1::DaemonConfigChanged changed;
    changed.add_changed_keys("policy_file");
    REQUIRE(kernel.orchestrator().set_settings(settings, changed, "uid:0").has_value());
    REQUIRE(kernel.wait(kernel.tell(&Orchestrator::restart, "hello")).has_value());
    const v1::PermissionsGranted granted = kernel.last_event("PermissionsGranted").permissions_granted();
    REQUIRE(granted.grants_size() == 1);
    CHECK(granted.grants(0).rule() == "p.yaml:2");
    CHECK(granted.limits().processes_max() == 4);
    CHECK(kernel.orchestrator().get("hello")->manifest().limits().processes_max() == 4);
    REQUIRE(kernel.shut_down());
  }
  Kernel again(folder.path, settings);
  CHECK(again.orchestrator().get("hello")->manifest().limits().processes_max() == 4);
  CHECK(again.count_events("PermissionsGranted") == 1);  // the replayed state is the one that was
}

TEST_CASE("what an operator grants or revokes is on record, lives on, and is carried over by a reload") {
  TemporaryFolder folder;
  orchestrator::Settings settings = Kernel::granting();
  const auto has = [](Kernel& kernel) {
    const v1::Plugin plugin = kernel.orchestrator().get("hello").value();
    return std::vector<std::string>(plugin.manifest().permissions().begin(), plugin.manifest().permissions().end());
  };
  const auto adjust = [](v1::PluginLoaded& loaded) { loaded.mutable_manifest()->add_permissions("kv"); };
  {
    Kernel kernel(folder.path, settings);
    kernel.inspector().adjust = adjust;
    kernel.loaded("hello");
    REQUIRE(kernel.wait(kernel.override_permission("hello", "process", policy::Override::kGrant)).has_value());
    REQUIRE(kernel.wait(kernel.override_permission("hello", "kv", policy::Override::kRevoke)).has_value());
    CHECK(has(kernel) == std::vector<std::string>{"process"});
    const v1::Event event = kernel.last_event("PermissionOverridden");
    CHECK(event.actor() == "uid:0");
    CHECK(event.permission_overridden().permission() == "kv");
    CHECK(kernel.wait(kernel.override_permission("hello", "kv", policy::Override::kRevoke)).error().reason ==
          Reason::kInvalidArgument);
    CHECK(kernel.wait(kernel.override_permission("hello", "forbidden", policy::Override::kGrant)).error().reason ==
          Reason::kPermissionDenied);
    CHECK(kernel.last_event("PermissionDenied").permission_denied().action() == "grant");
    REQUIRE(kernel.wait(kernel.reload("hello")).has_value());
    CHECK(has(kernel) == std::vector<std::string>{"process"});
    REQUIRE(kernel.shut_down());
  }
  Kernel again(folder.path, settings);
  again.inspector().adjust = adjust;
  CHECK(has(again) == std::vector<std::string>{"process"});
  REQUIRE(again.wait(again.override_permission("hello", "kv", policy::Override::kGrant)).has_value());
  CHECK(has(again) == std::vector<std::string>{"process", "kv"});
}

TEST_CASE("a permission that is revoked while a plugin is reloaded stays revoked") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.inspector().adjust = [](v1::PluginLoaded& loaded) { loaded.mutable_manifest()->add_permissions("kv"); };
  kernel.loaded("hello");
  Script slow;
  slow.handshake = Script::Handshake::kSilent;
  kernel.launcher().script = slow;
  const auto restart = kernel.tell(&Orchestrator::restart, "hello");
  const auto revoked = kernel.override_permission("hello", "kv", policy::Override::kRevoke);
  // It is asked about now, and its turn comes behind the revocation.
  const auto reload = kernel.reload("hello");
  REQUIRE(kernel.until([&] { return kernel.launcher().plugins.size() == 2; }));
  kernel.settle();
  kernel.launcher().script = Script();
  kernel.launcher().last().say_ready();
  REQUIRE(kernel.wait(restart).has_value());
  REQUIRE(kernel.wait(revoked).has_value());
  CHECK(kernel.wait(reload).error().reason == Reason::kIllegalTransition);
  CHECK(kernel.orchestrator().get("hello")->manifest().permissions().empty());
  CHECK(kernel.wait(kernel.reload("hello")).has_value());
  CHECK(kernel.orchestrator().get("hello")->manifest().permissions().empty());
}

TEST_CASE("a plugin has so many permissions at most, granted ones included") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  for (std::size_t i = 0; i <= limits::kPermissionsMax; ++i) {
    const auto granted =
        kernel.wait(kernel.override_permission("hello", "env:A" + std::to_string(i), policy::Override::kGrant));
    CHECK(granted.has_value() == (i < limits::kPermissionsMax));
  }
}

TEST_CASE("what the policy says is told for a loaded plugin and for a manifest, and nothing is recorded") {
  TemporaryFolder folder;
  orchestrator::Settings settings = Kernel::granting();
  settings.policy.otherwise = policy::Default::kRefuse;
  Kernel kernel(folder.path, settings);
  const v1::Plugin plugin = kernel.loaded("hello");
  const std::size_t before = kernel.events().size();
  std::optional<Result<orchestrator::Explanation>> told;
  const auto keep = [&told](Result<orchestrator::Explanation> explained) { told = std::move(explained); };
  kernel.orchestrator().explain("hello", keep);
  REQUIRE(told);
  CHECK((*told)->plugin_id == plugin.plugin_id());
  CHECK((*told)->decision.granted());
  kernel.orchestrator().explain("nobody", keep);
  CHECK(told->error().reason == Reason::kPluginNotFound);
  told.reset();
  kernel.inspector().adjust = [](v1::PluginLoaded& loaded) { loaded.mutable_manifest()->add_permissions("process"); };
  registry::PluginSource source;
  source.manifest_path = "/plugins/hello/manifest.toml";
  kernel.orchestrator().explain(source, "uid:7", keep);
  REQUIRE(kernel.until([&] { return told.has_value(); }));
  CHECK_FALSE((*told)->decision.granted());
  CHECK((*told)->decision.permissions(0).permission() == "process");
  CHECK(kernel.events().size() == before);
}

TEST_CASE("a stopped plugin takes new files and stays stopped") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  REQUIRE(kernel.wait(kernel.tell(&Orchestrator::stop, "hello")).has_value());
  kernel.inspector().digest_now = "digest-2";
  const Result<v1::Plugin> reloaded = kernel.wait(kernel.reload("hello"));
  REQUIRE(reloaded.has_value());
  CHECK(reloaded->state() == v1::PLUGIN_STATE_STOPPED);
  CHECK(reloaded->digest_sha256() == "digest-2");
  CHECK(kernel.launcher().running() == 0);
  CHECK(kernel.wait(kernel.tell(&Orchestrator::start, "hello")).has_value());
}

TEST_CASE("an unload while an old instance drains ends that instance and its calls, once") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(1));
  FakePlugin& old = kernel.launcher().last();
  const auto running = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return old.invokes().size() == 1; }));
  kernel.launcher().script = Script();
  REQUIRE(kernel.wait(kernel.reload("hello")).has_value());
  REQUIRE(kernel.wait(kernel.tell(&Orchestrator::unload, "hello")).has_value());
  REQUIRE(kernel.until([&] { return running->done(); }, 2s));
  CHECK(running->times_done == 1);
  CHECK(kernel.until([&] { return kernel.launcher().running() == 0; }, 2s));
}

TEST_CASE("a crash of the old instance while the new one starts loses only its own calls") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(1));
  FakePlugin& old = kernel.launcher().last();
  const auto running = kernel.invoke("hello", "running");
  const auto waiting = kernel.invoke("hello", "waiting");
  REQUIRE(kernel.until([&] { return old.invokes().size() == 1; }));
  Script slow;
  slow.handshake = Script::Handshake::kSilent;
  kernel.launcher().script = slow;
  const auto reload = kernel.reload("hello");
  REQUIRE(kernel.until([&] { return kernel.launcher().plugins.size() == 2; }));
  old.exit(1);
  REQUIRE(kernel.until([&] { return running->done(); }));
  kernel.launcher().last().say_ready();
  CHECK(kernel.wait(reload).has_value());
  REQUIRE(kernel.until([&] { return waiting->done(); }));
  CHECK(running->reason() == Reason::kPluginCrashed);
  CHECK(waiting->text() == "echo: waiting");
  kernel.run_for(200ms);  // the restart that was due does not come
  CHECK(kernel.launcher().running() == 1);
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_RUNNING);
}
