#include "daemon/call_messages.h"

#include <algorithm>

#include "kernel/base/utf8.h"

namespace liongate::daemon {

using orchestrator::CallReply;
using orchestrator::CallRequest;

namespace {

Result<void> set_timeout(const v1::InvokePluginRequest& request, const grpc::ServerContext& context,
                         CallRequest& call) {
  if (request.has_timeout()) {
    const auto& given = request.timeout();
    constexpr std::int64_t kSecondsMax = 10'000'000;
    if (given.seconds() < 0 || given.nanos() < 0 || given.nanos() > 999'999'999 || given.seconds() > kSecondsMax ||
        (given.seconds() == 0 && given.nanos() == 0)) {
      return make_error(Reason::kInvalidArgument, "timeout must be above 0").with("field", "timeout");
    }
    // Rounded up: a timeout below a millisecond is short, not absent.
    call.timeout = std::chrono::milliseconds(given.seconds() * 1000 + (given.nanos() + 999'999) / 1'000'000);
  }
  const auto deadline = context.deadline();
  if (deadline != std::chrono::system_clock::time_point::max()) {
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::system_clock::now());
    call.patience =
        std::clamp(left, std::chrono::milliseconds(1), std::chrono::milliseconds(limits::kInvokeTimeoutMsMax));
  }
  return {};
}

std::optional<orchestrator::Durability> durability_of(v1::Durability durability) {
  switch (durability) {
    case v1::DURABILITY_DURABLE:
      return orchestrator::Durability::kDurable;
    case v1::DURABILITY_BEFORE_RUN:
      return orchestrator::Durability::kBeforeRun;
    case v1::DURABILITY_BATCH:
      return orchestrator::Durability::kBatch;
    case v1::DURABILITY_ASYNC:
      return orchestrator::Durability::kAsync;
    default:
      return std::nullopt;
  }
}

}  // namespace

Result<CallRequest> to_call(v1::InvokePluginRequest& request, const grpc::ServerContext& context,
                            const std::string& actor) {
  CallRequest call;
  LG_TRY(set_timeout(request, context, call));
  call.plugin = std::move(*request.mutable_plugin());
  call.operation = std::move(*request.mutable_operation());
  call.correlation_id = std::move(*request.mutable_correlation_id());
  if (request.input_case() == v1::InvokePluginRequest::kData) {
    call.input.set_data(std::move(*request.mutable_data()));
  } else {
    call.input.set_text(std::move(*request.mutable_text()));
  }
  call.durability = durability_of(request.durability());
  call.actor = actor;
  return call;
}

v1::LogEntry to_entry(const supervision::LogLine& line) {
  v1::LogEntry entry;
  entry.mutable_time()->set_seconds(line.wall_ns / 1'000'000'000);
  entry.mutable_time()->set_nanos(static_cast<int>(line.wall_ns % 1'000'000'000));
  entry.set_source(line.source);
  entry.set_level(line.level);
  entry.set_line(to_utf8(line.text));
  entry.set_execution_id(line.execution_id);
  entry.set_dropped_before(line.dropped_before);
  return entry;
}

v1::InvokePluginResponse to_response(CallReply reply) {
  v1::InvokePluginResponse response;
  response.set_execution_id(std::move(reply.execution_id));
  response.set_correlation_id(std::move(reply.correlation_id));
  response.set_plugin_id(std::move(reply.plugin_id));
  if (reply.output.has_data()) {
    response.set_data(std::move(*reply.output.mutable_data()));
  } else {
    response.set_text(std::move(*reply.output.mutable_text()));
  }
  response.set_success(true);
  response.set_execution_time_ms(reply.figures.execution_time_ms());
  response.set_queue_time_ms(reply.figures.queue_time_ms());
  response.set_cpu_time_ms(reply.figures.cpu_time_ms());
  response.set_memory_used_bytes(reply.figures.memory_used_bytes());
  response.set_memory_peak_bytes(reply.figures.memory_peak_bytes());
  *response.mutable_created_files() = std::move(*reply.figures.mutable_created_files());
  response.set_created_files_left_out(reply.figures.created_files_left_out());
  response.set_network_requests(reply.figures.network_requests());
  for (std::string& warning : reply.warnings) response.add_warnings(std::move(warning));
  for (const supervision::LogLine& line : reply.logs) *response.add_logs() = to_entry(line);
  response.mutable_metadata()->insert(reply.metadata.begin(), reply.metadata.end());
  return response;
}

}  // namespace liongate::daemon
