// Goal: an observer is shown the log's events in order and at least once, and can do nothing to the kernel.
#include <catch2/catch.hpp>
#include <filesystem>
#include <numeric>
#include <set>

#include "kernel/base/event_types.h"
#include "tests/kernel/observer_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using namespace std::chrono_literals;
using orchestrator::LoadRequest;

TEST_CASE("the list of event types is that of event.proto") {
  const auto* payload = v1::Event::descriptor()->FindOneofByName("payload");
  REQUIRE(payload != nullptr);
  std::set<std::string> types;
  for (int i = 0; i < payload->field_count(); ++i) types.insert(payload->field(i)->message_type()->name());
  types.erase("DaemonConfigChanged");
  types.insert("ConfigChanged");  // named before its message was
  CHECK(types == std::set<std::string>(std::begin(kEventTypes), std::end(kEventTypes)));
}

TEST_CASE("an observer is shown every event behind its registration, in the order of the log") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  const auto observer = observe(kernel, "watcher");
  const EventSeq first = kernel.last_event("PluginStarted").seq();
  call(kernel, 20);
  kernel.settle();
  REQUIRE(kernel.until([&] { return was_shown(*observer, kernel.log().last_seq()); }));
  std::vector<EventSeq> expected(kernel.log().last_seq() - first);
  std::iota(expected.begin(), expected.end(), first + 1);
  CHECK(seqs_of(*observer) == expected);
  CHECK(wait_acknowledged(kernel, "watcher", kernel.log().last_seq()));
}

TEST_CASE("an observer is shown the bytes that are in the log") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  const auto observer = observe(kernel, "watcher", showing({"PluginInvoked"}));
  call(kernel, 1);
  REQUIRE(kernel.until([&] { return !observer->events().empty(); }));
  CHECK(observer->events().front().SerializeAsString() == kernel.last_event("PluginInvoked").SerializeAsString());
}

TEST_CASE("an observer begins where its settings say") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  call(kernel, 5);
  kernel.settle();
  const EventSeq middle = kernel.last_event("PluginResult").seq();

  SECTION("at the beginning") {
    const auto observer = observe(kernel, "watcher", showing({}, "beginning"));
    REQUIRE(kernel.until([&] { return was_shown(*observer, middle); }));
    CHECK(seqs_of(*observer).front() == 1);
  }
  SECTION("at a sequence number, that event included") {
    const auto observer = observe(kernel, "watcher", showing({}, std::to_string(middle - 1)));
    REQUIRE(kernel.until([&] { return was_shown(*observer, middle); }));
    CHECK(seqs_of(*observer).front() == middle - 1);
  }
  SECTION("now") {
    const auto observer = observe(kernel, "watcher", showing({}, "now"));
    call(kernel, 1);
    REQUIRE(kernel.until([&] { return !observer->events().empty(); }));
    CHECK(seqs_of(*observer).front() > middle);
  }
  SECTION("beyond the end of the log means now: what is to come is not skipped") {
    const auto observer = observe(kernel, "watcher", showing({}, "1000000"));
    call(kernel, 1);
    REQUIRE(kernel.until([&] { return !observer->events().empty(); }));
    CHECK(seqs_of(*observer).front() < 1000);
  }
}

TEST_CASE("an observer is shown what its filter lets through") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  kernel.loaded("other");

  SECTION("by type") {
    const auto observer = observe(kernel, "watcher", showing({"PluginResult", "PluginError"}));
    call(kernel, 3);
    REQUIRE(kernel.until([&] { return observer->events().size() == 3; }));
    for (const v1::Event& event : observer->events()) CHECK(event.type() == "PluginResult");
  }
  SECTION("by plugin") {
    v1::ObserverSettings settings;
    settings.set_plugin("other");
    const auto observer = observe(kernel, "watcher", settings);
    call(kernel, 2);
    call(kernel, 2, "other");
    REQUIRE(kernel.until([&] { return observer->events().size() == 4; }));
    for (const v1::Event& event : observer->events()) CHECK(event.plugin_name() == "other");
  }
  SECTION("by correlation") {
    v1::ObserverSettings settings;
    settings.set_correlation_id("mine");
    const auto observer = observe(kernel, "watcher", settings);
    call(kernel, 2);
    orchestrator::CallRequest request;
    request.plugin = "hello";
    request.correlation_id = "mine";
    const auto outcome = kernel.invoke(std::move(request));
    REQUIRE(kernel.until([&] { return outcome->done() && observer->events().size() == 2; }));
    CHECK(observer->events().front().type() == "PluginInvoked");
  }
  // What is not for it does not hold its cursor back.
  kernel.settle();
  const auto end = kernel.log().last_seq();
  CHECK(kernel.until([&] { return status_of(kernel, "watcher").cursor_seq() >= end; }));
}

TEST_CASE("an observer is not shown events about itself, nor flows of any observer") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  const auto first = observe(kernel, "first");
  const auto second = observe(kernel, "second");
  v1::Event flow;
  flow.set_type("NetworkFlowOpened");
  flow.mutable_network_flow_opened()->set_host("example.org");
  for (const char* name : {"first", "hello"}) {
    flow.set_plugin_name(name);
    flow.set_plugin_id(kernel.orchestrator().get(name)->plugin_id());
    kernel.orchestrator().record_network_flow(flow);
  }
  call(kernel, 1);
  kernel.settle();
  const EventSeq end = kernel.log().last_seq();
  REQUIRE(kernel.until([&] { return was_shown(*first, end) && was_shown(*second, end); }));
  for (const v1::Event& event : first->events()) CHECK(event.plugin_name() != "first");
  for (const v1::Event& event : second->events()) {
    CHECK_FALSE((event.type() == "NetworkFlowOpened" && event.plugin_name() == "first"));
  }
  const auto events = second->events();
  CHECK(std::any_of(events.begin(), events.end(), [](const v1::Event& event) {
    return event.type() == "NetworkFlowOpened" && event.plugin_name() == "hello";
  }));
}

TEST_CASE("what was not acknowledged is sent again to the next instance") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  Script script;
  script.acknowledges = false;
  const auto observer = observe(kernel, "watcher", showing({"PluginResult"}), script);
  call(kernel, 4);
  REQUIRE(kernel.until([&] { return observer->events().size() == 4; }));
  observer->acknowledge(seqs_of(*observer)[1]);
  REQUIRE(wait_acknowledged(kernel, "watcher", seqs_of(*observer)[1]));
  const std::vector<EventSeq> sent = seqs_of(*observer);
  const std::vector<EventSeq> rest(sent.begin() + 2, sent.end());
  kernel.launcher().script = Script{};
  observer->die(9);
  REQUIRE(kernel.until([&] { return kernel.launcher().last().events().size() == 2; }));
  CHECK(seqs_of(kernel.launcher().last()) == rest);
}

TEST_CASE("the next life of the daemon goes on at the cursor") {
  const TemporaryFolder folder;
  std::vector<EventSeq> before;
  {
    Kernel kernel(folder.path);
    kernel.loaded("hello");
    const auto observer = observe(kernel, "watcher", showing({"PluginResult"}));
    call(kernel, 5);
    kernel.settle();
    REQUIRE(wait_acknowledged(kernel, "watcher", kernel.last_event("PluginResult").seq()));
    before = seqs_of(*observer);
  }  // kill -9
  Kernel kernel(folder.path);
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_RUNNING; }));
  call(kernel, 1);
  FakePlugin* observer = nullptr;
  REQUIRE(kernel.until([&] {
    for (const auto& plugin : kernel.launcher().plugins) {
      if (plugin->loaded().manifest().role() == "observer") observer = plugin.get();
    }
    return observer != nullptr && !observer->events().empty();
  }));
  CHECK(observer->events().front().seq() > before.back());
  CHECK(observer->events().size() == 1);
}

TEST_CASE("an acknowledgement for what was not sent ends the observer") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.acknowledges = false;
  const auto observer = observe(kernel, "watcher", {}, script);

  SECTION("ahead of what was sent") {
    observer->acknowledge(1'000'000);
  }
  SECTION("behind an earlier one") {
    kernel.loaded("hello");
    call(kernel, 3);
    REQUIRE(kernel.until([&] { return observer->events().size() >= 6; }));
    const std::vector<EventSeq> seqs = seqs_of(*observer);
    observer->acknowledge(seqs[4]);
    observer->acknowledge(seqs[2]);
  }
  REQUIRE(kernel.until([&] { return kernel.count_events("InstanceCrashed") > 0; }));
  CHECK(kernel.last_event("InstanceCrashed").instance_crashed().message().find("it acknowledged event") !=
        std::string::npos);
}

TEST_CASE("a plugin that is no observer and acknowledges breaks the protocol") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  kernel.launcher().last().acknowledge(1);
  REQUIRE(kernel.until([&] { return kernel.count_events("InstanceCrashed") > 0; }));
  CHECK(kernel.last_event("InstanceCrashed").instance_crashed().message().find("an Ack of a plugin") !=
        std::string::npos);
}

TEST_CASE("an observer that acknowledges nothing for too long is started again") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  Script script;
  script.acknowledges = false;
  v1::ObserverSettings settings = showing({"PluginResult"});
  settings.set_ack_timeout_ms(100);
  const auto observer = observe(kernel, "watcher", settings, script);
  call(kernel, 1);
  kernel.launcher().script = Script{};
  REQUIRE(kernel.until([&] { return kernel.count_events("InstanceCrashed") > 0; }));
  CHECK(kernel.last_event("InstanceCrashed").instance_crashed().message() ==
        "observer watcher: it acknowledged nothing for 100 ms with 1 events sent");
  REQUIRE(kernel.until([&] { return kernel.launcher().last().events().size() == 1; }));
  CHECK(wait_acknowledged(kernel, "watcher", seqs_of(kernel.launcher().last()).back()));
}

TEST_CASE("the same acknowledgement once more is no sign of life") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  Script script;
  script.acknowledges = false;
  v1::ObserverSettings settings = showing({"PluginResult"});
  settings.set_ack_timeout_ms(200);
  const auto observer = observe(kernel, "watcher", settings, script);
  call(kernel, 2);
  REQUIRE(kernel.until([&] { return observer->events().size() == 2; }));
  const EventSeq first = seqs_of(*observer)[0];
  REQUIRE(kernel.until([&] {
    if (kernel.count_events("InstanceCrashed") == 0) observer->acknowledge(first);
    return kernel.count_events("InstanceCrashed") > 0;
  }));
}

TEST_CASE("no more is sent than the window, whatever there is") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  Script script;
  script.acknowledges = false;
  const auto observer = observe(kernel, "watcher", {}, script);
  for (std::size_t sent = 0; sent < limits::kObserverWindowEventsMax; sent += 128) {
    std::vector<std::shared_ptr<CallOutcome>> outcomes;
    for (int i = 0; i < 128; ++i) outcomes.push_back(kernel.invoke("hello"));
    REQUIRE(kernel.until([&] { return outcomes.back()->done(); }));
  }
  kernel.settle();
  REQUIRE(kernel.until([&] { return observer->events().size() == limits::kObserverWindowEventsMax; }));
  kernel.run_for(50ms);
  CHECK(observer->events().size() == limits::kObserverWindowEventsMax);
  observer->acknowledge(seqs_of(*observer)[9]);
  REQUIRE(kernel.until([&] { return observer->events().size() == limits::kObserverWindowEventsMax + 10; }));
  CHECK(status_of(kernel, "watcher").lag_events() > 0);
}

TEST_CASE("no more is sent than the window's bytes") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  Script script;
  script.acknowledges = false;
  const auto observer = observe(kernel, "watcher", showing({"PluginInvoked"}), script);
  constexpr std::size_t kInput = 60'000;  // stored whole
  for (std::size_t i = 0; i < 2 * limits::kObserverWindowBytesMax / kInput; ++i) {
    const auto outcome = kernel.invoke("hello", std::string(kInput, 'x'));
    REQUIRE(kernel.until([&] { return outcome->done(); }));
  }
  const std::size_t fits = limits::kObserverWindowBytesMax / kInput + 1;
  REQUIRE(kernel.until([&] { return observer->events().size() >= fits - 1; }));
  kernel.run_for(50ms);
  CHECK(observer->events().size() <= fits);
}

TEST_CASE("an observer that does not read holds nobody up, and is asked how it is all the same") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  Script script;
  script.handshake = Script::Handshake::kReady;
  script.reads_frames = false;
  const auto observer = observe(kernel, "watcher", {}, script);
  call(kernel, 400);
  std::optional<Result<orchestrator::PluginHealth>> health;
  kernel.orchestrator().check_health("watcher",
                                     [&](Result<orchestrator::PluginHealth> said) { health = std::move(said); });
  REQUIRE(kernel.until([&] { return health.has_value(); }));
  CHECK_FALSE((*health)->healthy);
  CHECK(kernel.wait(kernel.tell(&orchestrator::Orchestrator::stop, "watcher")).has_value());
}

TEST_CASE("an observer takes no calls") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  observe(kernel, "watcher");
  const auto outcome = kernel.invoke("watcher");
  REQUIRE(kernel.until([&] { return outcome->done(); }));
  CHECK(outcome->reason() == Reason::kInvalidArgument);
  CHECK(outcome->result->error().message == "plugin watcher is an observer: it takes no calls");
}

TEST_CASE("what an observer asks of the daemon is refused, and recorded once in a while") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  const auto observer = observe(kernel, "watcher");
  v1::Frame frame;
  frame.mutable_host_call()->set_method("invoke");
  for (std::uint64_t id = 1; id <= 50; ++id) {
    frame.mutable_host_call()->set_host_call_id(id);
    observer->send(frame);
  }
  REQUIRE(kernel.until([&] { return observer->count(v1::Frame::kHostReply) == 50; }));
  for (const v1::Frame& received : observer->received) {
    if (received.has_host_reply()) CHECK(received.host_reply().error_reason() == "PERMISSION_DENIED");
  }
  kernel.settle();
  CHECK(kernel.count_events("PermissionDenied") == 1);
  const v1::Event denied = kernel.last_event("PermissionDenied");
  CHECK(denied.permission_denied().action() == "host call invoke");
  CHECK(denied.actor() == "plugin:watcher");
}

TEST_CASE("an observer that does not declare on_event is not loaded") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.launcher().script.declares_on_event = false;
  const Result<v1::Plugin> loaded = kernel.wait(kernel.load("watcher", observer_request()));
  REQUIRE_FALSE(loaded);
  CHECK(loaded.error().reason == Reason::kLoadFailure);
  CHECK(loaded.error().message == "plugin watcher is an observer, and its Ready does not declare on_event");
}

TEST_CASE("a plugin that cannot start says why") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.launcher().script.handshake = Script::Handshake::kOwn;
  std::string reason;
  kernel.launcher().script.on_hello = [&](FakePlugin& plugin) {
    v1::Frame frame;
    frame.mutable_refusal()->set_reason(reason);
    frame.mutable_refusal()->set_message("no class of that name");
    plugin.send(frame);
  };
  for (const auto& [said, meant] :
       std::vector<std::pair<std::string, Reason>>{{"SYMBOL_NOT_FOUND", Reason::kSymbolNotFound},
                                                   {"MODULE_NOT_FOUND", Reason::kModuleNotFound},
                                                   {"NOT_A_PLUGIN", Reason::kNotAPlugin},
                                                   {"PERMISSION_DENIED", Reason::kLoadFailure},  // not its to say
                                                   {"", Reason::kLoadFailure}}) {
    reason = said;
    const Result<v1::Plugin> loaded = kernel.wait(kernel.load("watcher", observer_request()));
    REQUIRE_FALSE(loaded);
    CHECK(loaded.error().reason == meant);
    CHECK(loaded.error().message == "no class of that name");
  }
}

TEST_CASE("a loaded plugin keeps its role") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  LoadRequest request = observer_request();
  request.on_duplicate = orchestrator::OnDuplicate::kReplace;
  const Result<v1::Plugin> replaced = kernel.wait(kernel.load("hello", std::move(request)));
  REQUIRE_FALSE(replaced);
  CHECK(replaced.error().reason == Reason::kInvalidManifest);
}

TEST_CASE("an entry of plugins.yaml is registered before it is started") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  const PluginId id = listed(kernel, "watcher");
  CHECK(kernel.state("watcher") == v1::PLUGIN_STATE_RUNNING);
  const std::vector<std::string> types = kernel.event_types();
  const auto loaded = std::find(types.begin(), types.end(), "PluginLoaded");
  const auto created = std::find(types.begin(), types.end(), "InstanceCreated");
  REQUIRE(loaded != types.end());
  CHECK(loaded < created);
  CHECK(kernel.orchestrator().list_listed().front().id == id);
}

TEST_CASE("an entry that does not start is in the list, as FAILED, with its reason") {
  const TemporaryFolder folder;
  Result<v1::Plugin> outcome = v1::Plugin();
  Kernel kernel(folder.path);

  SECTION("because its files are not there") {
    kernel.inspector().inspect_error = make_error(Reason::kModuleNotFound, "module `a.B` is not there");
    listed(kernel, "watcher", &outcome);
    CHECK(outcome.error().reason == Reason::kModuleNotFound);
    CHECK(kernel.orchestrator().get("watcher")->state_reason() == "MODULE_NOT_FOUND");
  }
  SECTION("because it never says Ready") {
    kernel.launcher().script.declares_on_event = false;
    listed(kernel, "watcher", &outcome);
    CHECK(outcome.error().reason == Reason::kLoadFailure);
    CHECK(kernel.orchestrator().get("watcher")->state_reason() == "LOAD_FAILURE");
  }
  CHECK(kernel.state("watcher") == v1::PLUGIN_STATE_FAILED);
  // It stays so in the next life, and can be taken out.
  CHECK(kernel.wait(kernel.tell(&orchestrator::Orchestrator::unload, "watcher")).has_value());
}

TEST_CASE("the next life starts an entry again when it is known to be one still") {
  const TemporaryFolder folder;
  { listed(*std::make_unique<Kernel>(folder.path), "watcher"); }
  Kernel kernel(folder.path);
  kernel.settle();
  CHECK(kernel.launcher().plugins.empty());
  kernel.orchestrator().resume_listed("watcher");
  CHECK(kernel.until([&] { return kernel.state("watcher") == v1::PLUGIN_STATE_RUNNING; }));
}

TEST_CASE("an entry whose name a plugin has that somebody loaded is refused, and that plugin stays") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  Result<v1::Plugin> outcome = v1::Plugin();
  listed(kernel, "hello", &outcome);
  REQUIRE_FALSE(outcome);
  CHECK(outcome.error().reason == Reason::kDuplicatePlugin);
  call(kernel, 1);
}

TEST_CASE("what startup went wrong with is kept with the plugin that observes all the same") {
  const TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.launcher().script.handshake = Script::Handshake::kOwn;
  kernel.launcher().script.on_hello = [](FakePlugin& plugin) {
    v1::Frame frame;
    frame.mutable_ready()->set_protocol_version(1);
    frame.mutable_ready()->add_features("on_event");
    frame.mutable_ready()->set_startup_error("on_startup: ValueError: no");
    plugin.send(frame);
  };
  REQUIRE(kernel.wait(kernel.load("watcher", observer_request())).has_value());
  CHECK(kernel.state("watcher") == v1::PLUGIN_STATE_RUNNING);
  CHECK(status_of(kernel, "watcher").startup_error() == "on_startup: ValueError: no");
  kernel.settle();
  CHECK(kernel.last_event("PluginStarted").plugin_started().startup_error() == "on_startup: ValueError: no");
}
