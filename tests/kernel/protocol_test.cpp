// Goal: whatever a plugin sends against the protocol ends that plugin, and each of its callers hears it once.
#include <catch2/catch.hpp>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using namespace std::chrono_literals;

namespace {

// Two calls are open; then the plugin misbehaves.
void check_that_it_ends_both(const std::function<void(FakePlugin&)>& misbehave) {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_invoke = leave_open;
  kernel.loaded("hello", script);
  FakePlugin& plugin = kernel.launcher().last();
  const auto first = kernel.invoke("hello");
  const auto second = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return plugin.invokes().size() == 2; }));
  misbehave(plugin);
  REQUIRE(kernel.until([&] { return first->done() && second->done(); }));
  CHECK(first->reason() == Reason::kPluginProtocolError);
  CHECK(second->reason() == Reason::kPluginProtocolError);
  CHECK(plugin.ended());
  REQUIRE(kernel.until([&] { return kernel.state("hello") == v1::PLUGIN_STATE_RUNNING; }));  // it is given a new chance
  CHECK(first->times_done == 1);
  CHECK(second->times_done == 1);
  CHECK(kernel.count_events("PluginError") == 2);
}

void send_kind(FakePlugin& plugin, const std::function<void(v1::Frame&)>& fill) {
  v1::Frame frame;
  fill(frame);
  plugin.send(frame);
}

}  // namespace

TEST_CASE("garbage is a protocol error") {
  check_that_it_ends_both([](FakePlugin& plugin) { plugin.send_bytes("print('hello')\n"); });
}

TEST_CASE("a huge length is a protocol error") {
  check_that_it_ends_both([](FakePlugin& plugin) { plugin.send_bytes("\xFF\xFF\xFF\x7F"); });
}

TEST_CASE("a frame that announces no bytes is a protocol error") {
  check_that_it_ends_both([](FakePlugin& plugin) { plugin.send_bytes(std::string(4, '\0')); });
}

TEST_CASE("an answer to an unknown call is a protocol error") {
  check_that_it_ends_both([](FakePlugin& plugin) { plugin.answer(999, "for nobody"); });
}

TEST_CASE("a part of an unknown call is a protocol error") {
  check_that_it_ends_both([](FakePlugin& plugin) { plugin.output_part(999, "for nobody"); });
}

TEST_CASE("a second Ready is a protocol error") {
  check_that_it_ends_both([](FakePlugin& plugin) { plugin.say_ready(); });
}

TEST_CASE("a kind that only the daemon may send is a protocol error") {
  check_that_it_ends_both(
      [](FakePlugin& plugin) { send_kind(plugin, [](v1::Frame& frame) { frame.mutable_shutdown(); }); });
}

TEST_CASE("a closed pipe of a plugin that lives on is a protocol error") {
  check_that_it_ends_both([](FakePlugin& plugin) { plugin.close_frames(); });
}

TEST_CASE("a second answer to the same call is a protocol error") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_invoke = [](FakePlugin& plugin, const v1::Invoke& invoke) {
    plugin.answer(invoke, "once");
    plugin.answer(invoke, "twice");
  };
  kernel.loaded("hello", script);
  const auto call = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return call->done() && kernel.state("hello") == v1::PLUGIN_STATE_CRASHED; }));
  CHECK(call->text() == "once");
  CHECK(call->times_done == 1);
  CHECK(kernel.last_event("InstanceCrashed").instance_crashed().message().find("not open") != std::string::npos);
}

TEST_CASE("a Result without an outcome fails its call alone") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_invoke = [](FakePlugin& plugin, const v1::Invoke& invoke) {
    send_kind(plugin, [&](v1::Frame& frame) { frame.mutable_result()->set_call_id(invoke.call_id()); });
  };
  kernel.loaded("hello", script);
  const auto call = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->reason() == Reason::kPluginProtocolError);
}

TEST_CASE("half a frame and an end: the calls hear of the end, once") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_invoke = [](FakePlugin& plugin, const v1::Invoke&) {
    plugin.send_bytes(std::string("\x40\x00\x00\x00half", 8));
    plugin.exit(0);
  };
  kernel.loaded("hello", script);
  const auto call = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->reason() == Reason::kPluginCrashed);
  CHECK(call->times_done == 1);
}

TEST_CASE("a host call that this daemon does not offer is answered as UNIMPLEMENTED, and the plugin goes on") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_invoke = [](FakePlugin& plugin, const v1::Invoke& invoke) {
    send_kind(plugin, [](v1::Frame& frame) {
      frame.mutable_host_call()->set_host_call_id(5);
      frame.mutable_host_call()->set_method("teleport");
    });
    plugin.answer(invoke, "done");
  };
  kernel.loaded("hello", script);
  FakePlugin& plugin = kernel.launcher().last();
  const auto call = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return call->done() && plugin.count(v1::Frame::kHostReply) == 1; }));
  CHECK(plugin.received.back().host_reply().host_call_id() == 5);
  CHECK(plugin.received.back().host_reply().error_reason() == "UNIMPLEMENTED");
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_RUNNING);
}

TEST_CASE("a flood of frames that end no call is slowed down, and calls still end") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  FakePlugin& plugin = kernel.launcher().last();
  v1::Frame chatter;
  chatter.mutable_log()->set_message(std::string(4000, 'x'));
  std::string bytes;
  constexpr std::size_t kWindows = 4;
  while (bytes.size() < kWindows * limits::kChatterBytesPerWindowMax) {
    REQUIRE(supervision::append_frame(chatter, bytes).has_value());
  }
  const auto begin = std::chrono::steady_clock::now();
  plugin.send_bytes(bytes);
  const auto call = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->succeeded());
  // All but the first window's share had to wait for its own.
  CHECK(std::chrono::steady_clock::now() - begin > std::chrono::milliseconds(100 * (kWindows - 2)));
}
