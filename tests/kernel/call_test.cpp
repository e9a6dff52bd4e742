// Goal: a call goes to its plugin and its answer comes back once, with its events; side by side up to the concurrency.
#include <catch2/catch.hpp>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using orchestrator::CallRequest;
using orchestrator::Delivery;

TEST_CASE("a call is answered by the plugin") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const v1::Plugin plugin = kernel.loaded("hello");
  const auto call = kernel.invoke("hello", "test");
  REQUIRE(kernel.until([&] { return call->done(); }));
  REQUIRE(call->succeeded());
  CHECK(call->text() == "echo: test");
  CHECK((*call->result)->plugin_id == plugin.plugin_id());
  CHECK(is_uuid((*call->result)->execution_id));
  CHECK((*call->result)->figures.execution_time_ms() > 0);
}

TEST_CASE("a plugin is called by id as well as by name") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const v1::Plugin plugin = kernel.loaded("hello");
  const auto call = kernel.invoke(plugin.plugin_id(), "by id");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->succeeded());
}

TEST_CASE("the plugin sees what was asked") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  CallRequest request;
  request.plugin = "hello";
  request.operation = "greet";
  request.input.set_data("\xFF\x00\x01");
  request.correlation_id = "mine";
  request.timeout = std::chrono::seconds(5);
  const auto call = kernel.invoke(std::move(request));
  REQUIRE(kernel.until([&] { return call->done(); }));
  const v1::Invoke invoke = kernel.launcher().last().invokes().front();
  CHECK(invoke.operation() == "greet");
  CHECK(invoke.input().data() == "\xFF\x00\x01");
  CHECK(invoke.correlation_id() == "mine");
  CHECK(invoke.call_id() == call->key);
  CHECK(invoke.execution_id() == (*call->result)->execution_id);
  CHECK(invoke.time_left_ms() > 0);
  CHECK(invoke.time_left_ms() <= 5000);
  CHECK_FALSE(invoke.stream());
}

TEST_CASE("a call's two events have one correlation id, the caller's or a new one") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  CallRequest request;
  request.plugin = "hello";
  SECTION("given") {
    request.correlation_id = "mine";
  }
  SECTION("assigned") {}
  const std::string given = request.correlation_id;
  const auto call = kernel.invoke(std::move(request));
  REQUIRE(kernel.until([&] { return call->done(); }));
  const std::string& told = (*call->result)->correlation_id;
  CHECK((given.empty() ? is_uuid(told) : told == given));
  CHECK(kernel.last_event("PluginInvoked").correlation_id() == told);
  CHECK(kernel.last_event("PluginResult").correlation_id() == told);
  CHECK(kernel.last_event("PluginResult").plugin_result().execution_id() ==
        kernel.last_event("PluginInvoked").plugin_invoked().execution_id());
}

TEST_CASE("events are numbered without a gap") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  std::vector<std::shared_ptr<CallOutcome>> calls;
  for (int i = 0; i < 50; ++i) calls.push_back(kernel.invoke("hello"));
  REQUIRE(kernel.until([&] { return calls.back()->done(); }));
  EventSeq expected = 0;
  for (const v1::Event& event : kernel.events()) CHECK(event.seq() == ++expected);
}

TEST_CASE("the plugin's own No is PLUGIN_ERROR with its words") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_invoke = [](FakePlugin& plugin, const v1::Invoke& invoke) {
    plugin.fail(invoke.call_id(), "NO_SUCH_CITY", "there is no city of that name");
  };
  kernel.loaded("hello", script);
  const auto call = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->reason() == Reason::kPluginError);
  CHECK(call->result->error().message == "there is no city of that name");
  CHECK(call->result->error().metadata.at("plugin_code") == "NO_SUCH_CITY");
  const auto event = kernel.last_event("PluginError");
  CHECK(event.plugin_error().plugin_code() == "NO_SUCH_CITY");
  CHECK(event.plugin_error().execution_id() == call->result->error().metadata.at("execution_id"));
  CHECK(kernel.state("hello") == v1::PLUGIN_STATE_RUNNING);
}

TEST_CASE("a failure's words are cut at a bound and stay text") {
  TemporaryFolder folder;
  {
    Kernel kernel(folder.path);
    Script script;
    script.on_invoke = [](FakePlugin& plugin, const v1::Invoke& invoke) {
      std::string text = "x";  // odd, so that the bound falls into the middle of a character
      while (text.size() < 20'000) text += "\xC3\xBC";
      plugin.fail(invoke.call_id(), text, text);
    };
    kernel.loaded("hello", script);
    const auto call = kernel.invoke("hello");
    REQUIRE(kernel.until([&] { return call->done(); }));
    CHECK(call->result->error().message.size() < 10'000);
    CHECK_FALSE(kernel.event_types().empty());
  }
  const Kernel next_life(folder.path);  // the log can be read again
}

TEST_CASE("warnings, metadata and log lines of a call come with its answer") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_invoke = [](FakePlugin& plugin, const v1::Invoke& invoke) {
    v1::Frame log;
    log.mutable_log()->set_call_id(invoke.call_id());
    log.mutable_log()->set_level(v1::LOG_LEVEL_WARNING);
    log.mutable_log()->set_message("looked twice");
    plugin.send(log);
    v1::Frame frame;
    frame.mutable_result()->set_call_id(invoke.call_id());
    frame.mutable_result()->mutable_output()->set_text("done");
    frame.mutable_result()->add_warnings("the clock is wrong");
    (*frame.mutable_result()->mutable_metadata())["model"] = "small";
    plugin.send(frame);
  };
  kernel.loaded("hello", script);
  const auto call = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return call->done(); }));
  const orchestrator::CallReply& reply = **call->result;
  CHECK(reply.warnings == std::vector<std::string>{"the clock is wrong"});
  CHECK(reply.metadata.at("model") == "small");
  REQUIRE(reply.logs.size() == 1);
  CHECK(reply.logs[0].text == "looked twice");
  CHECK(reply.logs[0].level == "warning");
  CHECK(reply.logs[0].execution_id == reply.execution_id);
}

TEST_CASE("warnings beyond their bound are dropped, and that is said") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_invoke = [](FakePlugin& plugin, const v1::Invoke& invoke) {
    v1::Frame frame;
    frame.mutable_result()->set_call_id(invoke.call_id());
    frame.mutable_result()->mutable_output()->set_text("done");
    for (int i = 0; i < 200; ++i) frame.mutable_result()->add_warnings(std::string(10'000, 'w'));
    plugin.send(frame);
  };
  kernel.loaded("hello", script);
  const auto call = kernel.invoke("hello");
  REQUIRE(kernel.until([&] { return call->done(); }));
  REQUIRE(call->succeeded());
  REQUIRE((*call->result)->warnings.size() == 1);
  CHECK((*call->result)->warnings[0].find("dropped") != std::string::npos);
}

TEST_CASE("parts of a streamed call come before its end and in order") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_invoke = [](FakePlugin& plugin, const v1::Invoke& invoke) {
    CHECK(invoke.stream());
    for (const char* part : {"one", "two", "three"}) plugin.output_part(invoke.call_id(), part);
    plugin.answer(invoke, "end");
  };
  kernel.loaded("hello", script);
  CallRequest request;
  request.plugin = "hello";
  request.delivery = Delivery::kStreamed;
  const auto call = kernel.invoke(std::move(request));
  REQUIRE(kernel.until([&] { return call->done(); }));
  REQUIRE(call->parts.size() == 3);
  CHECK(call->parts[0].text() == "one");
  CHECK(call->parts[2].text() == "three");
  CHECK(call->text() == "end");
}

TEST_CASE("no more calls run at once than the plugin declared; the others wait their turn in order") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(2));
  FakePlugin& plugin = kernel.launcher().last();
  std::vector<std::shared_ptr<CallOutcome>> calls;
  for (int i = 0; i < 5; ++i) calls.push_back(kernel.invoke("hello", std::to_string(i)));
  REQUIRE(kernel.until([&] { return plugin.invokes().size() == 2; }));
  kernel.settle();
  CHECK(plugin.invokes().size() == 2);
  CHECK(kernel.orchestrator().counts().calls_running == 2);
  CHECK(kernel.orchestrator().counts().calls_queued == 3);
  for (std::size_t i = 0; i < 5; ++i) {
    REQUIRE(kernel.until([&] { return plugin.invokes().size() > i; }));
    CHECK(plugin.invokes()[i].input().text() == std::to_string(i));
    plugin.answer(plugin.invokes()[i], "done");
    REQUIRE(kernel.until([&] { return calls[i]->done(); }));
  }
}

TEST_CASE("answers may come in any order; each goes to its own caller") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls(8));
  FakePlugin& plugin = kernel.launcher().last();
  std::vector<std::shared_ptr<CallOutcome>> calls;
  for (int i = 0; i < 8; ++i) calls.push_back(kernel.invoke("hello", std::to_string(i)));
  REQUIRE(kernel.until([&] { return plugin.invokes().size() == 8; }));
  const std::vector<v1::Invoke> invokes = plugin.invokes();
  for (std::size_t i = 8; i-- > 0;) plugin.answer(invokes[i], "for " + invokes[i].input().text());
  for (std::size_t i = 0; i < 8; ++i) {
    REQUIRE(kernel.until([&] { return calls[i]->done(); }));
    CHECK(calls[i]->text() == "for " + std::to_string(i));
    CHECK(calls[i]->times_done == 1);
  }
}

TEST_CASE("one plugin's open calls do not hold up another plugin") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("slow", open_calls(1));
  kernel.loaded("quick");
  const auto waiting = kernel.invoke("slow");
  const auto call = kernel.invoke("quick");
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK_FALSE(waiting->done());
}

TEST_CASE("a call to nobody is PLUGIN_NOT_FOUND and leaves no event") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  const auto call = kernel.invoke("nobody");
  REQUIRE(call->done());
  CHECK(call->reason() == Reason::kPluginNotFound);
  CHECK(call->key == 0);
  CHECK(kernel.event_types() == std::vector<std::string>{"DaemonStarted"});
}

TEST_CASE("a handler may make the next call from its answer") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  std::shared_ptr<CallOutcome> second;
  const auto first = kernel.invoke("hello");
  first->on_done = [&] { second = kernel.invoke("hello", "again"); };
  REQUIRE(kernel.until([&] { return second && second->done(); }));
  CHECK(second->text() == "echo: again");
}
