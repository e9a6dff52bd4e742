// Goal: every bound on calls is reached as a clear error, and what lies at the bound still works.
#include <catch2/catch.hpp>

#include "kernel/base/digest.h"
#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::testing;
using namespace std::chrono_literals;
using orchestrator::CallRequest;
using orchestrator::Durability;

namespace {

CallRequest request_to(const std::string& plugin) {
  CallRequest request;
  request.plugin = plugin;
  request.durability = Durability::kAsync;  // these tests are about bounds, not about disks
  return request;
}

Reason refusal_of(Kernel& kernel, CallRequest request) {
  const auto call = kernel.invoke(std::move(request));
  REQUIRE(call->done());
  CHECK(call->key == 0);
  return call->reason();
}

}  // namespace

TEST_CASE("names and ids of a call are bounded") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  CallRequest request = request_to("hello");
  request.operation = std::string(limits::kOperationBytesMax, 'o');
  request.correlation_id = std::string(limits::kCorrelationIdBytesMax, 'c');
  const auto call = kernel.invoke(request);
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->succeeded());

  CallRequest long_operation = request;
  long_operation.operation.push_back('o');
  CHECK(refusal_of(kernel, long_operation) == Reason::kInvalidArgument);
  CallRequest long_correlation = request;
  long_correlation.correlation_id.push_back('c');
  CHECK(refusal_of(kernel, long_correlation) == Reason::kInvalidArgument);
}

TEST_CASE("a timeout must be above 0 and below its bound") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  for (const auto timeout : {-1ms, 0ms, std::chrono::milliseconds(limits::kInvokeTimeoutMsMax) + 1ms}) {
    CallRequest request = request_to("hello");
    request.timeout = timeout;
    CHECK(refusal_of(kernel, request) == Reason::kInvalidArgument);
  }
  CallRequest longest = request_to("hello");
  longest.timeout = std::chrono::milliseconds(limits::kInvokeTimeoutMsMax);
  const auto call = kernel.invoke(longest);
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->succeeded());
}

TEST_CASE("an input at the bound reaches the plugin, a larger one is refused") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_invoke = [](FakePlugin& plugin, const v1::Invoke& invoke) {
    plugin.answer(invoke, std::to_string(invoke.input().data().size()));
  };
  kernel.loaded("hello", script);
  CallRequest request = request_to("hello");
  request.input.set_data(std::string(limits::kInputBytesMax, 'i'));
  const auto call = kernel.invoke(request);
  REQUIRE(kernel.until([&] { return call->done(); }));
  REQUIRE(call->succeeded());
  CHECK(call->text() == std::to_string(limits::kInputBytesMax));

  request.input.mutable_data()->push_back('i');
  CHECK(refusal_of(kernel, request) == Reason::kInputTooLarge);
}

TEST_CASE("a large input is in the log as its length and digest") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  const std::string at_bound(limits::kEventPayloadBytesMax, 'a');
  const auto whole = kernel.invoke("hello", at_bound);
  REQUIRE(kernel.until([&] { return whole->done(); }));
  CHECK(kernel.last_event("PluginInvoked").plugin_invoked().input().text() == at_bound);

  const std::string larger = at_bound + "a";
  const auto digested = kernel.invoke("hello", larger);
  REQUIRE(kernel.until([&] { return digested->done(); }));
  const v1::Content input = kernel.last_event("PluginInvoked").plugin_invoked().input();
  CHECK(input.kind_case() == v1::Content::KIND_NOT_SET);
  CHECK(input.size_bytes() == larger.size());
  CHECK(input.sha256() == sha256_hex(larger));
}

TEST_CASE("a plugin's queue is bounded; a refused call says when to try again and harms none that wait") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls());
  std::vector<std::shared_ptr<CallOutcome>> calls;
  for (std::size_t i = 0; i < limits::kCallsPerPluginMax; ++i) calls.push_back(kernel.invoke(request_to("hello")));
  for (const auto& call : calls) REQUIRE_FALSE(call->done());
  const auto refused = kernel.invoke(request_to("hello"));
  REQUIRE(refused->done());
  CHECK(refused->reason() == Reason::kQueueFull);
  CHECK(refused->result->error().metadata.contains("retry_delay_ms"));
  FakePlugin& plugin = kernel.launcher().last();
  REQUIRE(kernel.until([&] { return plugin.invokes().size() == 1; }));
  plugin.answer(plugin.invokes()[0], "done");
  REQUIRE(kernel.until([&] { return calls[0]->done(); }));
  CHECK_FALSE(kernel.invoke(request_to("hello"))->done());  // there is room again
}

TEST_CASE("calls that wait for the disk before they run count in their plugin's queue") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls());
  CallRequest request = request_to("hello");
  request.durability = Durability::kBeforeRun;
  for (std::size_t i = 0; i < limits::kCallsPerPluginMax; ++i) REQUIRE_FALSE(kernel.invoke(request)->done());
  const auto one_more = kernel.invoke(request);
  REQUIRE(one_more->done());
  CHECK(one_more->reason() == Reason::kQueueFull);
}

TEST_CASE("a flood of refused calls does not flood the log") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello", open_calls());
  for (std::size_t i = 0; i < limits::kCallsPerPluginMax; ++i) kernel.invoke(request_to("hello"));
  for (int i = 0; i < 1000; ++i) CHECK(refusal_of(kernel, request_to("hello")) == Reason::kQueueFull);
  CHECK(kernel.count_events("PluginError") >= 1);
  CHECK(kernel.count_events("PluginError") < 10);
}

TEST_CASE("a flood of wrong calls does not flood the log, and the log says how many it left out") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  kernel.loaded("hello");
  CallRequest wrong = request_to("hello");
  wrong.timeout = -1ms;
  constexpr int kMore = 50;
  for (int i = 0; i < limits::kRefusalsRecordedPerSecondMax + kMore; ++i) {
    CHECK(refusal_of(kernel, wrong) == Reason::kInvalidArgument);
  }
  // A second may have begun anew in between, not more.
  CHECK(kernel.count_events("PluginError") >= limits::kRefusalsRecordedPerSecondMax);
  kernel.run_for(1100ms);
  refusal_of(kernel, wrong);
  std::uint64_t left_out = 0;
  std::uint64_t recorded = 0;
  for (const v1::Event& event : kernel.events()) {
    if (event.type() != "PluginError") continue;
    ++recorded;
    CHECK_FALSE(event.correlation_id().empty());
    const auto& metadata = event.plugin_error().metadata();
    const auto found = metadata.find("refusals_not_recorded");
    if (found != metadata.end()) left_out += std::stoull(found->second);
  }
  CHECK(recorded + left_out == limits::kRefusalsRecordedPerSecondMax + kMore + 1);
}

TEST_CASE("all plugins together have a bound on their calls") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  constexpr std::size_t kPlugins = limits::kCallsMax / limits::kCallsPerPluginMax;
  for (std::size_t i = 0; i <= kPlugins; ++i) kernel.loaded("p" + std::to_string(i), open_calls());
  for (std::size_t i = 0; i < limits::kCallsMax; ++i) {
    REQUIRE_FALSE(kernel.invoke(request_to("p" + std::to_string(i % kPlugins)))->done());
  }
  CHECK(refusal_of(kernel, request_to("p" + std::to_string(kPlugins))) == Reason::kQueueFull);
}

TEST_CASE("a plugin that does not read its frames fills a bounded backlog") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script = open_calls(limits::kConcurrencyMax);
  script.reads_frames = false;
  kernel.loaded("hello", script);
  CallRequest request = request_to("hello");
  request.input.set_data(std::string(limits::kInputBytesMax, 'i'));
  std::size_t accepted = 0;
  std::shared_ptr<CallOutcome> call;
  for (int i = 0; i < 10; ++i) {
    call = kernel.invoke(request);
    if (call->done()) break;
    ++accepted;
  }
  REQUIRE(call->done());
  CHECK(call->reason() == Reason::kQueueFull);
  CHECK(accepted * limits::kInputBytesMax <= limits::kFrameWriteBacklogBytesMax + limits::kFrameBytesMax);
}

TEST_CASE("a streamed output is bounded as a whole") {
  TemporaryFolder folder;
  Kernel kernel(folder.path);
  Script script;
  script.on_invoke = [](FakePlugin& plugin, const v1::Invoke& invoke) {
    v1::Frame frame;
    frame.mutable_output()->set_call_id(invoke.call_id());
    frame.mutable_output()->mutable_part()->set_data(std::string(1024 * 1024, 'p'));
    std::string bytes;
    for (std::size_t sent = 0; sent <= limits::kOutputBytesMax; sent += 1024 * 1024) {
      REQUIRE(supervision::append_frame(frame, bytes).has_value());
    }
    plugin.send_bytes(bytes);
  };
  kernel.loaded("hello", script);
  const auto call = kernel.invoke(request_to("hello"));
  REQUIRE(kernel.until([&] { return call->done(); }));
  CHECK(call->reason() == Reason::kLimitExceeded);
  CHECK(call->result->error().metadata.at("limit") == "output_bytes_max");
}
