// Goal: a C++ observer is called for each event in order, acknowledges what it has handled, and survives its author.
#include "liongate/observer.h"

#include <catch2/catch.hpp>
#include <stdexcept>

#include "liongate/v1/event.pb.h"
#include "tests/sdk/conversation.h"

using namespace liongate;
using namespace liongate::tests;
using liongate::plugin::Event;
using liongate::plugin::Gap;
using liongate::plugin::PluginBase;

namespace {

// What a test's observer saw; written on its thread, read when it has ended or acknowledged.
struct Seen {
  std::vector<std::uint64_t> seqs;
  std::vector<std::string> calls;
  std::uint64_t fails_at = 0;
  int fails_times = 1'000'000;
};

class Watcher : public PluginBase {
 public:
  Watcher(std::string plugin_id, std::string config_json, Seen& seen)
      : PluginBase(std::move(plugin_id), std::move(config_json)), seen_(seen) {
    if (this->config_json() == "bad") throw std::runtime_error("no such colour");
  }
  void on_startup() override {
    seen_.calls.push_back("startup " + plugin_id() + " " + config_json());
    if (config_json() == "sick") throw std::runtime_error("no database");
  }
  void on_event(const Event& event) override {
    if (event.seq() == seen_.fails_at && seen_.fails_times-- > 0) throw std::runtime_error("not this one");
    seen_.seqs.push_back(event.seq());
  }
  void on_gap(const Gap& gap) override { seen_.calls.push_back("gap " + std::to_string(gap.count)); }
  void on_shutdown() override { seen_.calls.push_back("shutdown"); }

 private:
  Seen& seen_;
};

plugin::ObserverMaker watching(Seen& seen) {
  return [&seen](std::string id, std::string config) {
    return std::make_unique<Watcher>(std::move(id), std::move(config), seen);
  };
}

v1::Event sample(std::uint64_t seq) {
  v1::Event event;
  event.set_seq(seq);
  event.mutable_time()->set_seconds(1'700'000'000);
  event.mutable_time()->set_nanos(5);
  event.set_type("PluginInvoked");
  event.set_plugin_id("6fa3a7b4-0000-4000-8000-000000000001");
  event.set_plugin_name("hello");
  event.set_instance_id("i");
  event.set_correlation_id("c");
  event.set_actor("uid:1000");
  event.mutable_plugin_invoked()->set_operation("greet");
  return event;
}

v1::Frame event_frame(std::uint64_t seq) {
  v1::Frame frame;
  frame.mutable_event()->set_seq(seq);
  frame.mutable_event()->set_event(sample(seq).SerializeAsString());
  return frame;
}

v1::Frame observer_hello(const std::string& config, std::uint32_t retries = 0, bool stop_on_error = false) {
  v1::Frame frame = hello_frame();
  frame.mutable_hello()->set_config_json(config);
  frame.mutable_hello()->mutable_observer()->set_retries(retries);
  frame.mutable_hello()->mutable_observer()->set_stop_on_error(stop_on_error);
  return frame;
}

}  // namespace

TEST_CASE("an event's fields are read from its bytes") {
  const v1::Event message = sample(7);
  const auto event = Event::from_bytes(message.SerializeAsString());
  REQUIRE(event);
  CHECK(event->seq() == 7);
  CHECK(event->time_ns() == 1'700'000'000'000'000'005);
  CHECK(event->type() == "PluginInvoked");
  CHECK(event->plugin_id() == message.plugin_id());
  CHECK(event->plugin_name() == "hello");
  CHECK(event->instance_id() == "i");
  CHECK(event->correlation_id() == "c");
  CHECK(event->actor() == "uid:1000");
  CHECK(event->payload_field() == v1::Event::kPluginInvokedFieldNumber);
  CHECK(event->payload() == message.plugin_invoked().SerializeAsString());
  CHECK(event->bytes() == message.SerializeAsString());
}

TEST_CASE("bytes that are no event are none") {
  const std::string whole = sample(7).SerializeAsString();
  CHECK(Event::from_bytes(""));
  CHECK_FALSE(Event::from_bytes("\xff"));
  for (std::size_t size = 1; size < whole.size(); ++size) {
    if (const auto cut = Event::from_bytes(whole.substr(0, size))) CHECK(cut->bytes().size() == size);
  }
}

TEST_CASE("an observer starts, handles, acknowledges and ends in that order") {
  Seen seen;
  Conversation conversation(watching(seen));
  conversation.send({observer_hello(R"({"a":1})")});
  const v1::Ready ready = conversation.receive().ready();
  REQUIRE(ready.features_size() == 1);
  CHECK(ready.features(0) == "on_event");
  CHECK(ready.startup_error().empty());
  conversation.send({event_frame(3), event_frame(4), event_frame(9)});
  std::uint64_t acknowledged = 0;
  while (acknowledged < 9) acknowledged = conversation.receive().ack().seq();
  conversation.send({shutdown_frame()});
  CHECK(conversation.exit_code() == 0);
  CHECK(seen.seqs == std::vector<std::uint64_t>{3, 4, 9});
  CHECK(seen.calls == std::vector<std::string>{R"(startup tested {"a":1})", "shutdown"});
}

TEST_CASE("an observer's constructor that throws is its refusal") {
  Seen seen;
  Conversation conversation(watching(seen));
  conversation.send({observer_hello("bad")});
  const v1::Frame frame = conversation.receive();
  REQUIRE(frame.has_refusal());
  CHECK(frame.refusal().reason() == "LOAD_FAILURE");
  CHECK(frame.refusal().message() == "the constructor threw: no such colour");
  CHECK(conversation.exit_code() == 1);
}

TEST_CASE("an on_startup that throws is told with Ready, and health says so") {
  Seen seen;
  Conversation conversation(watching(seen));
  conversation.send({observer_hello("sick")});
  CHECK(conversation.receive().log().message() == "tested: on_startup: no database");
  CHECK(conversation.receive().ready().startup_error() == "on_startup: no database");
  conversation.send({event_frame(1)});
  CHECK(conversation.receive().ack().seq() == 1);
  conversation.send({ping_frame(5)});
  const v1::Pong pong = conversation.receive().pong();
  CHECK(pong.nonce() == 5);
  CHECK_FALSE(pong.healthy());
  CHECK(pong.detail() == "on_startup: no database; 1 events handled");
}

TEST_CASE("an event that the observer fails at is logged and passed") {
  Seen seen;
  seen.fails_at = 2;
  Conversation conversation(watching(seen));
  conversation.send({observer_hello("{}")});
  CHECK(conversation.receive().has_ready());
  conversation.send({event_frame(1), event_frame(2), event_frame(3)});
  std::uint64_t acknowledged = 0;
  std::string logged;
  while (acknowledged < 3) {
    const v1::Frame frame = conversation.receive();
    if (frame.has_log()) logged = frame.log().message();
    if (frame.has_ack()) acknowledged = frame.ack().seq();
  }
  CHECK(logged == "tested: on_event: not this one (event 2 PluginInvoked)");
  CHECK(seen.seqs == std::vector<std::uint64_t>{1, 3});
  conversation.send({ping_frame(1)});
  CHECK(conversation.receive().pong().detail().starts_with("1 of 3 events failed; last: on_event: not this one"));
}

TEST_CASE("an event is tried again as often as the settings say") {
  Seen seen;
  seen.fails_at = 2;
  seen.fails_times = 2;
  Conversation conversation(watching(seen));
  conversation.send({observer_hello("{}", 2)});
  CHECK(conversation.receive().has_ready());
  conversation.send({event_frame(2)});
  v1::Frame frame;
  while (!frame.has_ack()) frame = conversation.receive();
  CHECK(seen.seqs == std::vector<std::uint64_t>{2});
}

TEST_CASE("a gap stands in front of the events behind it") {
  Seen seen;
  Conversation conversation(watching(seen));
  conversation.send({observer_hello("{}")});
  CHECK(conversation.receive().has_ready());
  v1::Frame gap;
  gap.mutable_gap()->set_first_missing_seq(1);
  gap.mutable_gap()->set_last_missing_seq(10);
  gap.mutable_gap()->set_count(10);
  conversation.send({gap, event_frame(11)});
  CHECK(conversation.receive().ack().seq() == 11);
  CHECK(seen.calls.back() == "gap 10");
}

TEST_CASE("a frame that no observer takes is a protocol error") {
  Seen seen;
  Conversation conversation(watching(seen));
  conversation.send({observer_hello("{}")});
  CHECK(conversation.receive().has_ready());
  conversation.send({invoke_frame(1, "x")});
  CHECK(conversation.exit_code() == 76);
}
