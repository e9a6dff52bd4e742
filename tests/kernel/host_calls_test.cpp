// Goal: whatever a plugin asks of the daemon is answered exactly once, within bounds, and what is refused is recorded
// before it is answered.
#include <catch2/catch.hpp>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;

namespace {

void ask(FakePlugin& plugin, std::uint64_t id, const std::string& request, const std::string& method = "secret",
         std::uint64_t call_id = 0) {
  v1::Frame frame;
  frame.mutable_host_call()->set_host_call_id(id);
  frame.mutable_host_call()->set_call_id(call_id);
  frame.mutable_host_call()->set_method(method);
  frame.mutable_host_call()->set_request(request);
  plugin.send(frame);
}

std::vector<v1::HostReply> replies(const FakePlugin& plugin) {
  std::vector<v1::HostReply> found;
  for (const v1::Frame& frame : plugin.received) {
    if (frame.has_host_reply()) found.push_back(frame.host_reply());
  }
  return found;
}

// The plugin "keeper", which may have `granted`, in a kernel that knows the secrets "api" and "other".
FakePlugin& load_keeper(Kernel& kernel, std::vector<std::string> granted) {
  kernel.secrets().values = {{"api", "value-of-api"}, {"other", "value-of-other"}};
  kernel.inspector().adjust = [granted = std::move(granted)](v1::PluginLoaded& loaded) {
    for (const std::string& name : granted) loaded.mutable_manifest()->add_permissions("secret:" + name);
  };
  kernel.loaded("keeper", open_calls(4));
  return kernel.launcher().last();
}

std::vector<v1::HostReply> wait_replies(Kernel& kernel, const FakePlugin& plugin, std::size_t count) {
  REQUIRE(kernel.until([&] { return replies(plugin).size() >= count; }));
  kernel.settle();
  return replies(plugin);
}

std::size_t refused(const std::vector<v1::HostReply>& replies, const std::string& reason) {
  return static_cast<std::size_t>(std::count_if(
      replies.begin(), replies.end(), [&](const v1::HostReply& reply) { return reply.error_reason() == reason; }));
}

}  // namespace

TEST_CASE("a secret is given as it is at each asking, and each delivery is recorded for the call that it is for") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  FakePlugin& plugin = load_keeper(kernel, {"api"});
  orchestrator::CallRequest request;
  request.plugin = "keeper";
  request.correlation_id = "c-1";
  const auto call = kernel.invoke(request);
  REQUIRE(kernel.until([&] { return plugin.invokes().size() == 1; }));
  ask(plugin, 1, "api", "secret", plugin.invokes()[0].call_id());
  CHECK(wait_replies(kernel, plugin, 1)[0].reply() == "value-of-api");
  CHECK(kernel.last_event("SecretDelivered").correlation_id() == "c-1");
  kernel.secrets().values["api"] = "another value";
  ask(plugin, 2, "api", "secret", 4711);
  const auto second = wait_replies(kernel, plugin, 2)[1];
  CHECK(second.host_call_id() == 2);
  CHECK(second.reply() == "another value");
  const v1::Event event = kernel.last_event("SecretDelivered");
  CHECK(event.correlation_id().empty());
  CHECK(event.actor() == "plugin:keeper");
  CHECK(event.instance_id() == kernel.last_event("InstanceCreated").instance_id());
  CHECK(event.secret_delivered().how() == "host_call");
}

TEST_CASE("what is not granted is refused, recorded first, and only counted when it is asked for again") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  FakePlugin& plugin = load_keeper(kernel, {"api"});
  for (std::uint64_t id = 1; id <= 5; ++id) ask(plugin, id, "other");
  CHECK(refused(wait_replies(kernel, plugin, 5), "PERMISSION_DENIED") == 5);
  CHECK(kernel.secrets().fetched.size() == 1);  // at the start
  CHECK(kernel.count_events("PermissionDenied") == 1);
  const v1::Event first = kernel.last_event("PermissionDenied");
  CHECK(first.permission_denied().permission() == "secret:other");
  CHECK(first.permission_denied().action() == "host call secret");
  CHECK(first.permission_denied().count() == 1);
  plugin.die(9);
  REQUIRE(kernel.until([&] { return kernel.count_events("PermissionDenied") == 2; }));
  CHECK(kernel.last_event("PermissionDenied").permission_denied().count() == 4);
}

TEST_CASE("a plugin that tries every name is told apart only so far") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  FakePlugin& plugin = load_keeper(kernel, {});
  for (std::uint64_t id = 1; id <= limits::kHostCallsPerSecondMax; ++id) ask(plugin, id, "guess" + std::to_string(id));
  wait_replies(kernel, plugin, limits::kHostCallsPerSecondMax);
  CHECK(kernel.count_events("PermissionDenied") == limits::kHostDenialKindsMax);
  CHECK(kernel.last_event("PermissionDenied").permission_denied().permission() == "secret:*");
}

TEST_CASE("more than the bound at once, or in a second, is answered QUEUE_FULL") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  FakePlugin& plugin = load_keeper(kernel, {"api"});
  kernel.secrets().hold = true;
  for (std::uint64_t id = 1; id <= limits::kHostCallsInFlightMax + 3; ++id) ask(plugin, id, "api");
  CHECK(refused(wait_replies(kernel, plugin, 3), "QUEUE_FULL") == 3);
  kernel.secrets().release();
  const auto all = wait_replies(kernel, plugin, limits::kHostCallsInFlightMax + 3);
  CHECK(refused(all, "") == limits::kHostCallsInFlightMax);
  for (std::uint64_t id = 100; id < 100 + limits::kHostCallsPerSecondMax; ++id) ask(plugin, id, "", "nothing");
  const auto flood = wait_replies(kernel, plugin, all.size() + limits::kHostCallsPerSecondMax);
  CHECK(refused(flood, "UNIMPLEMENTED") + limits::kHostCallsInFlightMax == limits::kHostCallsPerSecondMax);
  CHECK(kernel.state("keeper") == v1::PLUGIN_STATE_RUNNING);
}

TEST_CASE("a request over the bound is INPUT_TOO_LARGE") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  FakePlugin& plugin = load_keeper(kernel, {});
  ask(plugin, 1, std::string(limits::kHostCallRequestBytesMax + 1 - 6, 'x'));
  ask(plugin, 2, std::string(limits::kHostCallRequestBytesMax - 6, 'x'));
  const auto all = wait_replies(kernel, plugin, 2);
  CHECK(all[0].error_reason() == "INPUT_TOO_LARGE");
  CHECK(all[1].error_reason() == "PERMISSION_DENIED");
  CHECK(kernel.last_event("PermissionDenied").permission_denied().permission().size() < 300);
}

TEST_CASE("a plugin that makes host calls and does not read is ended: it could not be answered") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script = open_calls(16);
  script.reads_frames = false;
  kernel.loaded("deaf", script);
  FakePlugin& plugin = kernel.launcher().last();
  orchestrator::CallRequest request;
  request.plugin = "deaf";
  request.durability = orchestrator::Durability::kBatch;
  std::vector<std::shared_ptr<CallOutcome>> calls;
  for (std::size_t bytes = 0; bytes <= limits::kFrameWriteBacklogBytesMax; bytes += limits::kInputBytesMax) {
    request.input.set_data(std::string(limits::kInputBytesMax, 'x'));
    calls.push_back(kernel.invoke(request));
    kernel.settle();  // as much as fits is in the pipe, the rest waits
    REQUIRE_FALSE(calls.back()->done());
  }
  ask(plugin, 1, "", "nothing");
  for (const auto& call : calls) {
    REQUIRE(kernel.until([&] { return call->done(); }));
    CHECK(call->reason() == Reason::kPluginProtocolError);
  }
}

TEST_CASE("a permission that is revoked while the value is on its way is not used any more") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  FakePlugin& plugin = load_keeper(kernel, {"api"});
  kernel.secrets().hold = true;
  ask(plugin, 1, "api");
  REQUIRE(kernel.until([&] { return !kernel.secrets().held.empty(); }));
  REQUIRE(kernel.wait(kernel.override_permission("keeper", "secret:api", policy::Override::kRevoke)).has_value());
  kernel.secrets().release();
  const auto all = wait_replies(kernel, plugin, 1);
  CHECK(all[0].error_reason() == "PERMISSION_DENIED");
  CHECK(all[0].reply().empty());
  CHECK(kernel.count_events("SecretDelivered") == 1);  // at the start
}

TEST_CASE("an answer for a process that has gone is dropped") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  FakePlugin& plugin = load_keeper(kernel, {"api"});
  kernel.secrets().hold = true;
  ask(plugin, 1, "api");
  REQUIRE(kernel.until([&] { return !kernel.secrets().held.empty(); }));
  plugin.die(9);
  REQUIRE(kernel.until([&] { return kernel.count_events("InstanceCrashed") == 1; }));
  const auto deliveries = kernel.count_events("SecretDelivered");
  kernel.secrets().release();
  kernel.settle();
  CHECK(kernel.count_events("SecretDelivered") == deliveries);
  REQUIRE(kernel.shut_down());
}

TEST_CASE("what keeps a secret from being had is told to who asked, and never a value") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  FakePlugin& plugin = load_keeper(kernel, {"api"});
  kernel.secrets().error = make_error(Reason::kLoadFailure, "secret api: its command ended with exit code 1");
  ask(plugin, 1, "api");
  const auto first = wait_replies(kernel, plugin, 1)[0];
  CHECK(first.error_reason() == "LOAD_FAILURE");
  CHECK(first.error_message() == "secret api: its command ended with exit code 1");
  kernel.secrets().error.reset();
  kernel.secrets().values["api"] = "short";
  ask(plugin, 2, "api");
  const auto second = wait_replies(kernel, plugin, 2)[1];
  CHECK(second.error_reason() == "INVALID_CONFIG");
  CHECK(second.error_message().find("shorter than 6 bytes") != std::string::npos);
  CHECK(second.SerializeAsString().find("short;") == std::string::npos);
}
