// Goal: the next life of a daemon is what the log says: the same plugins under the same ids, and no call left hanging.
#include <catch2/catch.hpp>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using orchestrator::AfterLoad;
using orchestrator::Orchestrator;

namespace {

// Events as if by a daemon that was broken: written to the log without a kernel.
void write_log(const std::string& folder, std::vector<v1::Event> events) {
  const SystemClock clock;
  event_log::Options options;
  options.folder = folder;
  const auto log = event_log::EventLog::open(options, {}, clock).value();
  for (v1::Event& event : events) {
    REQUIRE(log->append(event, event_log::SyncClass::kNow, event_log::RecordUse::kTerminal).has_value());
  }
  REQUIRE(log->close().has_value());
}

}  // namespace

TEST_CASE("a killed daemon's plugins run again under their ids, and calls reach them") {
  TemporaryFolder folder;
  std::string id;
  {
    Kernel kernel(folder.path);
    id = kernel.loaded("hello").plugin_id();
    const auto call = kernel.invoke("hello");
    REQUIRE(kernel.until([&] { return call->done(); }));
  }
  Kernel kernel(folder.path);
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_CREATED);
  const auto call = kernel.invoke("hello", "again");  // waits for the start
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->text() == "echo: again");
  const Result<v1::Plugin> plugin = kernel.orchestrator().get("hello");
  CHECK(plugin->plugin_id() == id);
  CHECK(plugin->statistics().calls_started() == 2);
  CHECK(plugin->statistics().calls_completed() == 2);
}

TEST_CASE("the log goes on where it ended, without a gap") {
  TemporaryFolder folder;
  EventSeq last = 0;
  {
    Kernel kernel(folder.path);
    kernel.loaded("hello");
    last = kernel.log().last_seq();
  }
  Kernel kernel(folder.path);
  const std::vector<v1::Event> events = kernel.events();
  REQUIRE(events.size() > last);
  CHECK(events[last].seq() == last + 1);
  CHECK(events[last].type() == "DaemonStarted");
  CHECK(events[last].daemon_started().version() == "test");
}

TEST_CASE("a call that was cut gets its one end: DAEMON_RESTARTED") {
  TemporaryFolder folder;
  std::string correlation_id;
  {
    Kernel kernel(folder.path);
    Script script;
    script.on_invoke = leave_open;
    kernel.loaded("hello", script);
    orchestrator::CallRequest request;
    request.plugin = "hello";
    request.correlation_id = "cut";
    request.durability = orchestrator::Durability::kBeforeRun;
    kernel.invoke(request);
    REQUIRE(kernel.until([&] { return kernel.launcher().last().invokes().size() == 1; }));
  }
  for (int life = 2; life <= 3; ++life) {  // told once, not in every life
    Kernel kernel(folder.path);
    CHECK(kernel.count_events("PluginError") == 1);
    const auto event = kernel.last_event("PluginError");
    CHECK(event.plugin_error().reason() == "DAEMON_RESTARTED");
    CHECK(event.correlation_id() == "cut");
    CHECK(event.plugin_error().execution_id() == kernel.last_event("PluginInvoked").plugin_invoked().execution_id());
    CHECK(kernel.orchestrator().get("hello")->statistics().calls_failed() == 1);
  }
}

TEST_CASE("calls that were cut are told in the order in which they began") {
  TemporaryFolder folder;
  {
    Kernel kernel(folder.path);
    Script script;
    script.on_invoke = leave_open;
    kernel.loaded("hello", script);
    for (int i = 0; i < 5; ++i) kernel.invoke("hello");
    kernel.settle();
  }
  Kernel kernel(folder.path);
  std::vector<std::string> invoked;
  std::vector<std::string> cut;
  for (const v1::Event& event : kernel.events()) {
    if (event.has_plugin_invoked()) invoked.push_back(event.plugin_invoked().execution_id());
    if (event.has_plugin_error()) cut.push_back(event.plugin_error().execution_id());
  }
  CHECK(cut.size() == 5);
  CHECK(cut == invoked);
}

TEST_CASE("a plugin that was stopped stays stopped, one that was not started stays so") {
  TemporaryFolder folder;
  {
    Kernel kernel(folder.path);
    kernel.loaded("stopped");
    REQUIRE(kernel.wait(kernel.tell(&Orchestrator::stop, "stopped")).has_value());
    orchestrator::LoadRequest request;
    request.after_load = AfterLoad::kLeaveStopped;
    REQUIRE(kernel.wait(kernel.load("idle", request)).has_value());
  }
  Kernel kernel(folder.path);
  kernel.settle();
  CHECK(kernel.state("stopped") == v1::PLUGIN_STATE_STOPPED);
  CHECK(kernel.state("idle") == v1::PLUGIN_STATE_CREATED);
  CHECK(kernel.launcher().plugins.empty());
}

TEST_CASE("an unloaded plugin stays gone") {
  TemporaryFolder folder;
  {
    Kernel kernel(folder.path);
    kernel.loaded("hello");
    REQUIRE(kernel.wait(kernel.tell(&Orchestrator::unload, "hello")).has_value());
  }
  Kernel kernel(folder.path);
  CHECK(kernel.orchestrator().list().empty());
}

TEST_CASE("files that changed while the daemon was down: ENTRY_POINT_CHANGED, and nothing of them ran") {
  TemporaryFolder folder;
  {
    Kernel kernel(folder.path);
    kernel.loaded("hello");
  }
  {
    Kernel kernel(folder.path);
    kernel.inspector().digest_now = "digest-2";
    REQUIRE(kernel.until([&] { return kernel.state("hello") != v1::PLUGIN_STATE_CREATED; }));
  }
  Kernel kernel(folder.path);
  kernel.settle();
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_FAILED);
  CHECK(kernel.orchestrator().get("hello")->state_reason() == "ENTRY_POINT_CHANGED");
  CHECK(kernel.launcher().plugins.empty());
}

TEST_CASE("a folder that has gone fails its plugin alone") {
  TemporaryFolder folder;
  {
    Kernel kernel(folder.path);
    kernel.loaded("hello");
  }
  Kernel kernel(folder.path);
  kernel.inspector().digest_error = make_error(Reason::kEntryPointNotFound, "/plugins/hello does not exist");
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_FAILED; }));
  CHECK(kernel.orchestrator().get("hello")->state_reason() == "ENTRY_POINT_NOT_FOUND");
}

TEST_CASE("a reload outlasts the daemon") {
  TemporaryFolder folder;
  {
    Kernel kernel(folder.path);
    kernel.loaded("hello");
    kernel.inspector().digest_now = "digest-2";
    REQUIRE(kernel.wait(kernel.reload("hello")).has_value());
  }
  Kernel kernel(folder.path);
  CHECK(kernel.orchestrator().get("hello")->digest_sha256() == "digest-2");
}

TEST_CASE("an orderly life leaves nothing to repair, and its plugins run again too") {
  TemporaryFolder folder;
  {
    Kernel kernel(folder.path);
    kernel.loaded("hello");
    REQUIRE(kernel.shut_down());
  }
  Kernel kernel(folder.path);
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_RUNNING; }));
  CHECK(kernel.count_events("LogRecovered") == 0);
  CHECK(kernel.count_events("PluginError") == 0);
}

TEST_CASE("events that contradict each other are LOG_CORRUPT, with the number of the first that does") {
  TemporaryFolder folder;
  v1::Event loaded;
  loaded.set_type("PluginLoaded");
  loaded.set_plugin_id("7c9e6679-7425-40de-944b-e07fc1f90ae7");
  *loaded.mutable_plugin_loaded() = make_loaded("hello");
  v1::Event stopping = loaded;
  stopping.set_type("PluginStopping");
  stopping.mutable_plugin_stopping();
  write_log(folder.path, {loaded, stopping});

  const SystemClock clock;
  boost::asio::io_context io;
  FakeLauncher launcher(io);
  FakeInspector inspector(io);
  event_log::Options options;
  options.folder = folder.path;
  const auto log = event_log::EventLog::open(options, {}, clock).value();
  Orchestrator orchestrator({io, clock, launcher, inspector, *log}, Kernel::granting());
  const Result<orchestrator::RecoveryReport> recovered = orchestrator.recover({"test", "testing", 1});
  REQUIRE_FALSE(recovered.has_value());
  CHECK(recovered.error().reason == Reason::kLogCorrupt);
  CHECK(recovered.error().message.find("event 2") != std::string::npos);
  launcher.close();
}

TEST_CASE("a state change is told to who follows them, a call is not") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  std::vector<std::string> heard;
  kernel.orchestrator().set_on_state_change([&](const v1::Event& event) { heard.push_back(event.type()); });
  kernel.loaded("hello");
  const auto call = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return call->done(); }));
  REQUIRE(kernel.wait(kernel.tell(&Orchestrator::stop, "hello")).has_value());
  CHECK(std::count(heard.begin(), heard.end(), "PluginStarted") == 1);
  CHECK(std::count(heard.begin(), heard.end(), "PluginStopped") == 1);
  CHECK(std::count(heard.begin(), heard.end(), "PluginInvoked") == 0);
}
