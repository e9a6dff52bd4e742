// A plugin with a concurrency of 1: everything on one thread, and still no cancel and no ping goes unseen.
#include <catch2/catch.hpp>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>

#include "liongate/plugin.h"
#include "tests/sdk/conversation.h"

using namespace liongate::plugin;
using namespace liongate::tests;

namespace {

Outcome wait_for_cancel(Call& call) {
  while (!call.cancelled()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  return "noticed";
}

}  // namespace

TEST_CASE("Ready tells the name, the operations and the granted concurrency") {
  Plugin plugin({.name = "many", .version = "1.2.3", .concurrency = 64});
  plugin.on("", [](Call&) { return ""; }).on("other", [](Call&) { return ""; });
  Conversation daemon(plugin);
  const auto ready = daemon.greet();
  CHECK(ready.protocol_version() == 1);
  CHECK(ready.name() == "many");
  CHECK(ready.version() == "1.2.3");
  CHECK(ready.concurrency() == 8);
  REQUIRE(ready.operations_size() == 2);
  CHECK(ready.operations(1) == "other");
}

TEST_CASE("a handler's outcome becomes the Result") {
  Plugin plugin({.name = "outcomes"});
  plugin.on("text", [](Call& call) { return call.plugin_name() + call.config_json() + std::string(call.input()); });
  plugin.on("data", [](Call& call) { return Data{call.take_input()}; });
  plugin.on("not text", [](Call&) { return "\xFF"; });
  plugin.on("fails", [](Call&) { return Failure{"NO", "because", Retry::kYes}; });
  plugin.on("throws", [](Call&) -> Outcome { throw std::runtime_error("thrown"); });
  plugin.on("throws failure", [](Call&) -> Outcome { throw Failure{"NO", "thrown"}; });
  plugin.on("throws a number", [](Call&) -> Outcome { throw 7; });
  plugin.on("rich", [](Call&) { return std::move(Outcome("x").warn("careful").with_metadata("key", "value")); });
  plugin.on("large", [](Call&) { return std::string(600'000, 'x'); });
  Conversation daemon(plugin);
  daemon.greet();
  CHECK(daemon.call("hi", "text").output().text() == "tested{\"colour\":\"red\"}hi");
  CHECK(daemon.call("hi", "data").output().data() == "hi");
  CHECK(daemon.call("", "not text").output().data() == "\xFF");
  CHECK(daemon.call("", "fails").failure().retryable());
  CHECK(daemon.call("", "throws").failure().code() == "PLUGIN_EXCEPTION");
  CHECK(daemon.call("", "throws").failure().message() == "thrown");
  CHECK(daemon.call("", "throws failure").failure().code() == "NO");
  CHECK(daemon.call("", "throws a number").failure().code() == "PLUGIN_EXCEPTION");
  CHECK(daemon.call("", "rich").warnings(0) == "careful");
  CHECK(daemon.call("", "rich").metadata().at("key") == "value");
  CHECK(daemon.call("", "large").failure().code() == "OUTPUT_TOO_LARGE");
  const auto failure = daemon.call("", "no such").failure();
  CHECK(failure.code() == "UNKNOWN_OPERATION");
  CHECK_THAT(failure.message(), Catch::Contains("\"no such\"") && Catch::Contains("\"rich\""));
}

TEST_CASE("a running handler sees its cancel, and the daemon's ping is answered meanwhile") {
  Plugin plugin({.name = "patient"});
  plugin.on("", wait_for_cancel);
  plugin.on_health([] { return Health{.state = Health::State::kSick, .detail = "tired"}; });
  Conversation daemon(plugin);
  daemon.greet();
  daemon.send({invoke_frame(1, "")});
  daemon.send({ping_frame(5)});
  const auto pong = daemon.receive().pong();
  CHECK(pong.nonce() == 5);
  CHECK_FALSE(pong.healthy());
  CHECK(pong.detail() == "tired");
  daemon.send({cancel_frame(1)});
  CHECK(daemon.receive().result().output().text() == "noticed");
}

TEST_CASE("calls that wait behind a running one are answered in order, cancelled ones without running") {
  Plugin plugin({.name = "patient"});
  plugin.on("", wait_for_cancel).on("echo", [](Call& call) { return call.input(); });
  Conversation daemon(plugin);
  daemon.greet();
  daemon.send({invoke_frame(1, ""), invoke_frame(2, "two", "echo"), invoke_frame(3, "three", "echo")});
  daemon.send({cancel_frame(3), cancel_frame(1), cancel_frame(99)});
  CHECK(daemon.receive().result().output().text() == "noticed");
  CHECK(daemon.receive().result().output().text() == "two");
  const auto third = daemon.receive().result();
  CHECK(third.call_id() == 3);
  CHECK(third.failure().code() == "CANCELLED");
}

TEST_CASE("parts and log lines come before the result, in order") {
  Plugin plugin({.name = "talker"});
  plugin.on("", [](Call& call) {
    call.output("one");
    call.log(Level::kWarning, "careful \xFF");
    call.output(Data{"\xFF"});
    return "done";
  });
  Conversation daemon(plugin);
  daemon.greet();
  daemon.send({invoke_frame(3, "")});
  const auto first = daemon.receive();
  CHECK(first.output().call_id() == 3);
  CHECK(first.output().part().text() == "one");
  const auto line = daemon.receive();
  CHECK(line.log().message() == "careful ?");
  CHECK(line.log().call_id() == 3);
  CHECK(daemon.receive().output().part().data() == "\xFF");
  CHECK(daemon.receive().result().output().text() == "done");
}

TEST_CASE("a changed configuration reaches the callback and later calls") {
  std::string seen;
  Plugin plugin({.name = "configured"});
  plugin.on("", [](Call& call) { return call.config_json(); });
  plugin.on_config_changed([&](const std::string& config_json) { seen = config_json; });
  Conversation daemon(plugin);
  daemon.greet();
  liongate::v1::Frame frame;
  frame.mutable_config_changed()->set_config_json(R"({"colour":"blue"})");
  daemon.send({frame});
  CHECK(daemon.call("").output().text() == R"({"colour":"blue"})");
  CHECK(seen == R"({"colour":"blue"})");
}

TEST_CASE("the end: Shutdown and end of input are both a clean exit, on_shutdown runs once") {
  int goodbyes = 0;
  Plugin plugin({.name = "mortal"});
  plugin.on("", [](Call& call) { return call.input(); }).on_shutdown([&] { ++goodbyes; });
  Conversation daemon(plugin);
  daemon.greet();
  SECTION("Shutdown") {
    daemon.send({invoke_frame(1, "last"), shutdown_frame()});
  }
  SECTION("end of input") {
    daemon.send({invoke_frame(1, "last")});
    daemon.end_input();
  }
  CHECK(daemon.receive().result().output().text() == "last");
  CHECK(daemon.exit_code() == 0);
  CHECK(goodbyes == 1);
}

TEST_CASE("what the protocol forbids ends the plugin with 76") {
  Plugin plugin({.name = "strict"});
  plugin.on("", [](Call&) { return ""; });
  Conversation daemon(plugin);
  SECTION("no Hello") {
    daemon.send({invoke_frame(1, "")});
  }
  SECTION("garbage") {
    daemon.send_bytes(std::string("\x03\0\0\0\xFF\xFF\xFF", 7));
  }
  SECTION("length 0") {
    daemon.send_bytes(std::string(4, '\0'));
  }
  SECTION("a length above the bound") {
    daemon.send_bytes("\xFF\xFF\xFF\xFF");
  }
  SECTION("the end in the middle of a frame") {
    daemon.send_bytes(std::string("\x03\0\0\0\xFF", 5));
    daemon.end_input();
  }
  SECTION("another version") {
    auto hello = hello_frame();
    hello.mutable_hello()->set_protocol_version_min(2);
    hello.mutable_hello()->set_protocol_version_max(3);
    daemon.send({hello});
  }
  SECTION("a second Hello") {
    daemon.send({hello_frame(), hello_frame()});
  }
  SECTION("a frame of the plugin's own kind") {
    liongate::v1::Frame frame;
    frame.mutable_ready();
    daemon.send({hello_frame(), frame});
  }
  SECTION("call id 0") {
    daemon.send({hello_frame(), invoke_frame(0, "")});
  }
  CHECK(daemon.exit_code() == 76);
}

TEST_CASE("a plugin that cannot start logs why and exits with 1") {
  Plugin plugin({.name = "unborn"});
  plugin.on_start([](const std::string&) { throw std::runtime_error("no ink"); });
  Conversation daemon(plugin);
  daemon.send({hello_frame()});
  CHECK(daemon.receive().log().message() == "cannot start: no ink");
  CHECK(daemon.exit_code() == 1);
}

namespace {

Plugin& asking_for_secrets(Plugin& plugin) {
  plugin.on("", [](Call& call) {
    std::string both = call.secret(call.input()) + " ";
    both += call.secret("second");
    return both;
  });
  plugin.on("catches", [](Call& call) -> Outcome {
    try {
      return call.secret("refused");
    } catch (const Failure& failure) {
      return failure.code + ": " + failure.message;
    }
  });
  return plugin;
}

liongate::v1::Frame reply_frame(std::uint64_t id, const std::string& value, const std::string& reason = "") {
  liongate::v1::Frame frame;
  frame.mutable_host_reply()->set_host_call_id(id);
  frame.mutable_host_reply()->set_reply(value);
  frame.mutable_host_reply()->set_error_reason(reason);
  if (!reason.empty()) frame.mutable_host_reply()->set_error_message("because");
  return frame;
}

}  // namespace

TEST_CASE("a handler asks for secrets; what comes meanwhile is handled in its turn, a ping at once") {
  for (const std::uint32_t concurrency : {1U, 4U}) {
    Plugin plugin({.name = "asks", .concurrency = concurrency});
    Conversation daemon(asking_for_secrets(plugin));
    daemon.greet();
    daemon.send({invoke_frame(3, "first")});
    const auto first = daemon.receive().host_call();
    CHECK(first.method() == "secret");
    CHECK(first.request() == "first");
    CHECK(first.call_id() == 3);
    daemon.send({ping_frame(5), reply_frame(4711, "nobody's"), reply_frame(first.host_call_id(), "a\xff")});
    CHECK(daemon.receive().pong().nonce() == 5);
    const auto second = daemon.receive().host_call();
    CHECK(second.host_call_id() != first.host_call_id());
    daemon.send({reply_frame(second.host_call_id(), "b")});
    CHECK(daemon.receive().result().output().data() == "a\xff b");
  }
}

TEST_CASE("a refused secret is a Failure that the handler may catch") {
  Plugin plugin({.name = "asks"});
  Conversation daemon(asking_for_secrets(plugin));
  daemon.greet();
  for (const char* operation : {"", "catches"}) {
    daemon.send({invoke_frame(3, "first", operation)});
    daemon.send({reply_frame(daemon.receive().host_call().host_call_id(), "", "PERMISSION_DENIED")});
    const auto result = daemon.receive().result();
    CHECK((*operation == 0 ? result.failure().code() + ": " + result.failure().message() : result.output().text()) ==
          "PERMISSION_DENIED: because");
  }
}

TEST_CASE("a daemon that goes leaves nobody waiting for a secret") {
  for (const std::uint32_t concurrency : {1U, 4U}) {
    Plugin plugin({.name = "asks", .concurrency = concurrency});
    Conversation daemon(asking_for_secrets(plugin));
    daemon.greet();
    daemon.send({invoke_frame(3, "first")});
    CHECK(daemon.receive().has_host_call());
    daemon.end_input();
    CHECK(daemon.receive().result().failure().code() == "SHUTTING_DOWN");
    CHECK(daemon.exit_code() == 0);
  }
}
