// A plugin with a concurrency above 1: handlers run side by side while the reading thread stays free.
#include <atomic>
#include <catch2/catch.hpp>
#include <chrono>
#include <condition_variable>
#include <mutex>
#include <set>
#include <stop_token>
#include <string>
#include <thread>

#include "liongate/plugin.h"
#include "tests/sdk/conversation.h"

using namespace liongate::plugin;
using namespace liongate::tests;

namespace {

constexpr std::uint64_t kCalls = 2000;
constexpr std::uint64_t kCallsAtOnce = 8;

// Sleeps until it is told to stop.
Outcome sleep_until_stopped(Call& call) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait(lock, call.stop_token(), [] { return false; });
  return "stopped";
}

}  // namespace

TEST_CASE("every call is answered once, whatever the order") {
  Plugin plugin({.name = "busy", .concurrency = kCallsAtOnce});
  plugin.on("", [](Call& call) { return call.input(); });
  plugin.on(
      "quick", [](Call& call) { return call.input(); }, Pace::kQuick);
  Conversation daemon(plugin);
  daemon.greet();
  std::uint64_t sent = 0;
  std::set<std::uint64_t> answered;
  while (answered.size() < kCalls) {
    for (; sent < kCalls && sent - answered.size() < kCallsAtOnce; ++sent) {
      daemon.send({invoke_frame(sent + 1, std::to_string(sent + 1), sent % 3 == 0 ? "quick" : "")});
    }
    const auto result = daemon.receive().result();
    CHECK(result.output().text() == std::to_string(result.call_id()));
    CHECK(answered.insert(result.call_id()).second);
  }
}

TEST_CASE("calls run at the same time, and a quick one overtakes them") {
  Plugin plugin({.name = "parallel", .concurrency = kCallsAtOnce});
  std::atomic<int> inside{0};
  plugin.on("", [&](Call& call) {
    ++inside;
    return sleep_until_stopped(call);
  });
  plugin.on(
      "inside", [&](Call&) { return std::to_string(inside.load()); }, Pace::kQuick);
  Conversation daemon(plugin);
  daemon.greet();
  for (std::uint64_t id = 1; id < kCallsAtOnce; ++id) daemon.send({invoke_frame(id, "")});
  while (daemon.call("", "inside").output().text() != std::to_string(kCallsAtOnce - 1)) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (std::uint64_t id = 1; id < kCallsAtOnce; ++id) {
    daemon.send({cancel_frame(id)});
    const auto result = daemon.receive().result();
    CHECK(result.call_id() == id);
    CHECK(result.output().text() == "stopped");
  }
}

TEST_CASE("a reader that stays free answers pings while the only call runs") {
  Plugin plugin({.name = "responsive", .reader = Reader::kStaysFree});
  plugin.on("", [](Call& call) {
    call.log(Level::kInfo, "running");  // a cancel that came before would find a call that never began
    return sleep_until_stopped(call);
  });
  Conversation daemon(plugin);
  CHECK(daemon.greet().concurrency() == 1);
  daemon.send({invoke_frame(1, "")});
  CHECK(daemon.receive().log().message() == "running");
  daemon.send({ping_frame(9)});
  CHECK(daemon.receive().pong().nonce() == 9);
  daemon.send({cancel_frame(1)});
  CHECK(daemon.receive().result().output().text() == "stopped");
}

TEST_CASE("Shutdown waits for the calls that have begun") {
  Plugin plugin({.name = "polite", .concurrency = 4});
  plugin.on("", [](Call& call) {
    std::this_thread::sleep_for(std::chrono::milliseconds(30));
    return call.input();
  });
  Conversation daemon(plugin);
  daemon.greet();
  daemon.send({invoke_frame(1, "a"), invoke_frame(2, "b"), invoke_frame(3, "c"), shutdown_frame()});
  std::set<std::string> answers;
  for (int i = 0; i < 3; ++i) answers.insert(daemon.receive().result().output().text());
  CHECK(answers == std::set<std::string>{"a", "b", "c"});
  CHECK(daemon.exit_code() == 0);
}

TEST_CASE("a broken protocol stops the running calls") {
  Plugin plugin({.name = "abandoned", .concurrency = 4});
  plugin.on("", sleep_until_stopped);
  Conversation daemon(plugin);
  daemon.greet();
  daemon.send({invoke_frame(1, "")});
  daemon.send_bytes(std::string(4, '\0'));
  CHECK(daemon.exit_code() == 76);
}

TEST_CASE("parts of several calls at once stay whole and in order") {
  constexpr int kParts = 200;
  Plugin plugin({.name = "streams", .concurrency = 4});
  plugin.on("", [](Call& call) {
    for (int i = 0; i < kParts; ++i) call.output(std::to_string(i));
    return "end";
  });
  Conversation daemon(plugin);
  daemon.greet();
  daemon.send({invoke_frame(1, ""), invoke_frame(2, ""), invoke_frame(3, ""), invoke_frame(4, "")});
  int next_part[5] = {};
  for (int ended = 0; ended < 4;) {
    const auto frame = daemon.receive();
    if (frame.has_result()) {
      CHECK(next_part[frame.result().call_id()] == kParts);
      ++ended;
    } else {
      CHECK(frame.output().part().text() == std::to_string(next_part[frame.output().call_id()]++));
    }
  }
}
