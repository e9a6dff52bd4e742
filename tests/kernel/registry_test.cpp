// Goal: the registry is what the events say, however they came: lived through or replayed.
#include "kernel/registry/registry.h"

#include <catch2/catch.hpp>

using namespace liongate;
using lifecycle::State;
using registry::PluginRecord;
using registry::Registry;

namespace {

constexpr const char* kId = "7c9e6679-7425-40de-944b-e07fc1f90ae7";
constexpr const char* kOtherId = "00000000-7425-40de-944b-e07fc1f90ae7";

v1::Event event_of(const std::string& id = kId, const std::string& instance = "") {
  v1::Event event;
  event.set_plugin_id(id);
  event.set_instance_id(instance);
  event.mutable_time()->set_seconds(1'700'000'000);
  return event;
}

v1::Event loaded(const std::string& name = "hello", const std::string& id = kId, bool start = true) {
  v1::Event event = event_of(id);
  event.mutable_plugin_loaded()->mutable_manifest()->set_name(name);
  event.mutable_plugin_loaded()->mutable_manifest()->set_version("1.0.0");
  event.mutable_plugin_loaded()->set_start(start);
  return event;
}

v1::Event created(const std::string& instance = "i1", const std::string& id = kId) {
  v1::Event event = event_of(id, instance);
  event.mutable_instance_created();
  return event;
}

v1::Event started(const std::string& instance = "i1", const std::string& id = kId) {
  v1::Event event = event_of(id, instance);
  event.mutable_plugin_started()->set_concurrency(4);
  event.mutable_plugin_started()->add_operations("greet");
  return event;
}

v1::Event stopping() {
  v1::Event event = event_of();
  event.mutable_plugin_stopping();
  return event;
}

v1::Event stopped() {
  v1::Event event = event_of();
  event.mutable_plugin_stopped();
  return event;
}

v1::Event crashed() {
  v1::Event event = event_of();
  event.mutable_instance_crashed()->set_message("was killed by signal 11");
  return event;
}

v1::Event restarted() {
  v1::Event event = event_of();
  event.mutable_instance_restarted()->set_attempt(1);
  return event;
}

v1::Event failed() {
  v1::Event event = event_of();
  event.mutable_plugin_failed()->set_reason("ENTRY_POINT_CHANGED");
  event.mutable_plugin_failed()->set_message("its files changed");
  return event;
}

v1::Event unloaded() {
  v1::Event event = event_of();
  event.mutable_plugin_unloaded();
  return event;
}

v1::Event reloaded(bool running, const std::string& version = "2.0.0") {
  v1::Event event = event_of(kId, running ? "i2" : "");
  event.mutable_plugin_reloaded()->set_running(running);
  event.mutable_plugin_reloaded()->mutable_loaded()->mutable_manifest()->set_name("hello");
  event.mutable_plugin_reloaded()->mutable_loaded()->mutable_manifest()->set_version(version);
  return event;
}

v1::Event daemon_started() {
  v1::Event event;
  event.mutable_daemon_started();
  return event;
}

v1::Event invoked() {
  v1::Event event = event_of();
  event.mutable_plugin_invoked();
  return event;
}

v1::Event result(double execution_time_ms) {
  v1::Event event = event_of();
  event.mutable_plugin_result()->mutable_figures()->set_execution_time_ms(execution_time_ms);
  return event;
}

v1::Event call_failed() {
  v1::Event event = event_of();
  event.mutable_plugin_error()->set_reason("PLUGIN_ERROR");
  return event;
}

void apply(Registry& registry, const std::vector<v1::Event>& events) {
  for (const v1::Event& event : events) {
    const Result<void> applied = registry.apply(event);
    INFO((applied ? std::string() : applied.error().message));
    REQUIRE(applied.has_value());
  }
}

Registry after(const std::vector<v1::Event>& events) {
  Registry registry;
  apply(registry, events);
  return registry;
}

const PluginRecord& hello_of(const Registry& registry) {
  const PluginRecord* record = registry.find("hello");
  REQUIRE(record != nullptr);
  return *record;
}

}  // namespace

TEST_CASE("a loaded plugin is found by id and by name and by nothing else") {
  const Registry registry = after({loaded()});
  REQUIRE(registry.find(kId) != nullptr);
  CHECK(registry.find(kId) == registry.find("hello"));
  CHECK(registry.find(kOtherId) == nullptr);
  CHECK(registry.find("hell") == nullptr);
  CHECK(registry.find("") == nullptr);
}

TEST_CASE("a load registers CREATED with the wish that it was given") {
  CHECK(hello_of(after({loaded()})).state == State::kCreated);
  CHECK(hello_of(after({loaded()})).desired_running);
  CHECK_FALSE(hello_of(after({loaded("hello", kId, false)})).desired_running);
}

TEST_CASE("an id or a name that is taken is refused and changes nothing") {
  Registry registry = after({loaded()});
  CHECK(registry.apply(loaded("other", kId)).error().reason == Reason::kDuplicatePlugin);
  CHECK(registry.apply(loaded("hello", kOtherId)).error().reason == Reason::kDuplicatePlugin);
  CHECK(registry.size() == 1);
  CHECK(registry.find("other") == nullptr);
  CHECK(registry.find(kOtherId) == nullptr);
}

TEST_CASE("a start leads over STARTING to RUNNING and keeps what the instance declared") {
  Registry registry = after({loaded(), created()});
  CHECK(hello_of(registry).state == State::kStarting);
  CHECK(hello_of(registry).instance_id == InstanceId("i1"));
  apply(registry, {started()});
  CHECK(hello_of(registry).state == State::kRunning);
  CHECK(hello_of(registry).started.concurrency() == 4);
  CHECK(hello_of(registry).start_time.seconds() == 1'700'000'000);
}

TEST_CASE("a stop by request takes the wish to run and the instance with it") {
  const Registry registry = after({loaded(), created(), started(), stopping(), stopped()});
  CHECK(hello_of(registry).state == State::kStopped);
  CHECK_FALSE(hello_of(registry).desired_running);
  CHECK(hello_of(registry).instance_id.empty());
  CHECK(hello_of(registry).started.operations().empty());
}

TEST_CASE("a crash keeps the wish to run and says why") {
  const Registry registry = after({loaded(), created(), started(), crashed()});
  CHECK(hello_of(registry).state == State::kCrashed);
  CHECK(hello_of(registry).desired_running);
  CHECK(hello_of(registry).state_reason == "PLUGIN_CRASHED");
  CHECK(hello_of(registry).state_message == "was killed by signal 11");
  CHECK(hello_of(registry).instance_id.empty());
}

TEST_CASE("a restart is counted and clears what was wrong once the plugin runs") {
  const Registry registry =
      after({loaded(), created(), started(), crashed(), restarted(), created("i2"), started("i2")});
  CHECK(hello_of(registry).state == State::kRunning);
  CHECK(hello_of(registry).restart_count == 1);
  CHECK(hello_of(registry).instance_id == InstanceId("i2"));
  CHECK(hello_of(registry).state_reason.empty());
  CHECK(hello_of(registry).state_message.empty());
}

TEST_CASE("a failed plugin does not want to run any more and says why") {
  const Registry registry = after({loaded(), failed()});
  CHECK(hello_of(registry).state == State::kFailed);
  CHECK_FALSE(hello_of(registry).desired_running);
  CHECK(hello_of(registry).state_reason == "ENTRY_POINT_CHANGED");
  CHECK(hello_of(registry).state_message == "its files changed");
}

TEST_CASE("a reload keeps id and statistics and replaces the manifest") {
  Registry registry = after({loaded(), created(), started(), invoked(), result(2), reloaded(true)});
  CHECK(hello_of(registry).id == PluginId(kId));
  CHECK(hello_of(registry).loaded().manifest().version() == "2.0.0");
  CHECK(hello_of(registry).state == State::kRunning);
  CHECK(hello_of(registry).instance_id == InstanceId("i2"));
  CHECK(hello_of(registry).calls_completed == 1);
}

TEST_CASE("a reload of a stopped plugin leaves it stopped") {
  const Registry registry = after({loaded(), created(), started(), stopping(), stopped(), reloaded(false)});
  CHECK(hello_of(registry).state == State::kStopped);
  CHECK_FALSE(hello_of(registry).desired_running);
  CHECK(hello_of(registry).loaded().manifest().version() == "2.0.0");
}

TEST_CASE("a reload heals a failed plugin") {
  const Registry registry = after({loaded(), failed(), reloaded(true)});
  CHECK(hello_of(registry).state == State::kRunning);
  CHECK(hello_of(registry).desired_running);
  CHECK(hello_of(registry).state_reason.empty());
}

TEST_CASE("an unloaded plugin is gone, and its id and name are free again") {
  Registry registry = after({loaded(), unloaded()});
  CHECK(registry.size() == 0);
  CHECK(registry.find("hello") == nullptr);
  CHECK(registry.find(kId) == nullptr);
  CHECK(registry.apply(loaded()).has_value());
}

TEST_CASE("who shares a record sees that it was unloaded") {
  Registry registry = after({loaded()});
  const auto shared = registry.share(PluginId(kId));
  REQUIRE(shared != nullptr);
  apply(registry, {unloaded()});
  CHECK(shared->state == State::kUnloaded);
  CHECK(registry.share(PluginId(kId)) == nullptr);
}

TEST_CASE("DaemonStarted turns what ran into what is to run") {
  Registry registry = after({loaded(), created(), started(), daemon_started()});
  CHECK(hello_of(registry).state == State::kCreated);
  CHECK(hello_of(registry).desired_running);
  CHECK(hello_of(registry).instance_id.empty());
  CHECK(hello_of(registry).start_time.seconds() == 0);
}

TEST_CASE("DaemonStarted leaves stopped and failed plugins as they are and finishes a stop") {
  const auto state_after = [](std::vector<v1::Event> events) {
    events.push_back(daemon_started());
    const Registry registry = after(events);
    CHECK_FALSE(hello_of(registry).desired_running);
    return hello_of(registry).state;
  };
  CHECK(state_after({loaded(), created(), started(), stopping()}) == State::kStopped);
  CHECK(state_after({loaded(), created(), started(), stopping(), stopped()}) == State::kStopped);
  CHECK(state_after({loaded(), failed()}) == State::kFailed);
}

TEST_CASE("a load without start is not started by the next life either") {
  const Registry registry = after({loaded("hello", kId, false), daemon_started()});
  CHECK(hello_of(registry).state == State::kCreated);
  CHECK_FALSE(hello_of(registry).desired_running);
}

TEST_CASE("an event that is illegal in the present state changes nothing") {
  Registry registry = after({loaded(), created(), started()});
  const std::string before = registry::to_message(hello_of(registry)).SerializeAsString();
  CHECK(registry.apply(stopped()).error().reason == Reason::kIllegalTransition);
  CHECK(registry.apply(created("i9")).error().reason == Reason::kIllegalTransition);
  CHECK(registry.apply(reloaded(false)).error().reason == Reason::kIllegalTransition);
  CHECK(registry::to_message(hello_of(registry)).SerializeAsString() == before);
}

TEST_CASE("events of unknown plugins and of none are accepted and ignored") {
  Registry registry;
  CHECK(registry.apply(started()).has_value());
  CHECK(registry.apply(call_failed()).has_value());
  CHECK(registry.apply(v1::Event()).has_value());
  CHECK(registry.size() == 0);
}

TEST_CASE("calls are counted as they begin and end") {
  const Registry registry = after({loaded(), created(), started(), invoked(), result(1.5), invoked(), result(2.5),
                                   invoked(), call_failed(), invoked()});
  CHECK(hello_of(registry).calls_started == 4);
  CHECK(hello_of(registry).calls_completed == 2);
  CHECK(hello_of(registry).calls_failed == 1);
  CHECK(hello_of(registry).execution_time_ms_total == Approx(4.0));
}

TEST_CASE("plugins are listed in the order in which they were loaded") {
  Registry registry;
  for (int i = 0; i < 20; ++i) {
    REQUIRE(registry.apply(loaded("p" + std::to_string(i), "id-" + std::to_string(i))).has_value());
  }
  int expected = 0;
  for (const PluginRecord* record : registry.list()) CHECK(record->name() == "p" + std::to_string(expected++));
  CHECK(expected == 20);
}

TEST_CASE("a recorded sequence replayed gives the state of having lived it") {
  const std::vector<v1::Event> life = {daemon_started(),
                                       loaded(),
                                       created(),
                                       started(),
                                       loaded("other", kOtherId),
                                       created("o1", kOtherId),
                                       invoked(),
                                       result(3),
                                       crashed(),
                                       restarted(),
                                       created("i2"),
                                       started("i2"),
                                       daemon_started(),
                                       created("i3"),
                                       started("i3"),
                                       invoked(),
                                       call_failed(),
                                       reloaded(true),
                                       stopping(),
                                       stopped()};
  Registry lived;
  std::vector<std::string> bytes;  // as the log would keep them
  for (const v1::Event& event : life) {
    REQUIRE(lived.apply(event).has_value());
    bytes.push_back(event.SerializeAsString());
  }
  Registry replayed;
  for (const std::string& one : bytes) {
    v1::Event event;
    REQUIRE(event.ParseFromString(one));
    REQUIRE(replayed.apply(event).has_value());
  }
  REQUIRE(lived.size() == replayed.size());
  for (std::size_t i = 0; i < lived.size(); ++i) {
    const PluginRecord& a = *lived.list()[i];
    const PluginRecord& b = *replayed.list()[i];
    CHECK(registry::to_message(a).SerializeAsString() == registry::to_message(b).SerializeAsString());
    CHECK(a.desired_running == b.desired_running);
  }
}

TEST_CASE("the message shows the record as people see it") {
  const Registry registry = after({loaded(), created(), started(), invoked(), result(7)});
  const v1::Plugin plugin = registry::to_message(hello_of(registry));
  CHECK(plugin.plugin_id() == kId);
  CHECK(plugin.name() == "hello");
  CHECK(plugin.state() == v1::PLUGIN_STATE_RUNNING);
  CHECK(plugin.instance_id() == "i1");
  CHECK(plugin.operations(0) == "greet");
  CHECK(plugin.statistics().calls_completed() == 1);
  CHECK(plugin.statistics().execution_time_ms_total() == Approx(7));
}
