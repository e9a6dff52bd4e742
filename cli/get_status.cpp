#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/plain_text.h"
#include "cli/program.h"
#include "cli/table.h"
#include "liongate/v1/system_service.grpc.pb.h"

namespace liongate::cli {
namespace {

void print_status(Context& context, const v1::GetStatusResponse& status) {
  Sheet sheet;
  sheet.add("version", status.version());
  sheet.add("environment", status.environment());
  sheet.add("pid", std::to_string(status.pid()));
  sheet.add("since", time_text(status.start_time()));
  sheet.add("node", status.node_id());
  sheet.add("state folder", status.state_dir());
  sheet.add("socket", status.socket_path());
  sheet.add("rootless", status.rootless() ? "yes" : "no");
  sheet.add("plugins", std::to_string(status.plugins_running()) + " running of " + std::to_string(status.plugins()));
  sheet.add("calls",
            std::to_string(status.calls_running()) + " running, " + std::to_string(status.calls_queued()) + " queued");
  sheet.add("last event", std::to_string(status.last_seq()) + ", on disk " + std::to_string(status.durable_seq()));
  sheet.add("log", status.log_read_only() ? "read-only: " + status.log_read_only_reason() : "takes events");
  sheet.add("memory", bytes_text(status.memory_used_bytes()));
  sheet.write(context);
}

ExitCode get_status(Context& context) {
  v1::GetStatusRequest request;
  v1::GetStatusResponse response;
  Connection connection(context);
  const grpc::Status status =
      connection.call<v1::SystemService>(&v1::SystemService::Stub::GetStatus, request, response, kReadDeadlineMs);
  if (!status.ok()) return fail(context, connection.failure(context.verb, status));
  if (context.json()) {
    print_json(context, response);
  } else {
    print_status(context, response);
  }
  return finish(context);
}

}  // namespace

void add_get_status(Program& program) {
  program.add_verb("get-status", "Show the daemon itself", "liongatectl get-status",
                   [&context = program.context()] { return get_status(context); });
}

}  // namespace liongate::cli
