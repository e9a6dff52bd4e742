#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/program.h"
#include "liongate/v1/system_service.grpc.pb.h"

namespace liongate::cli {
namespace {

ExitCode shut_down(Context& context) {
  v1::ShutdownRequest request;
  v1::ShutdownResponse response;
  Connection connection(context);
  const grpc::Status status =
      connection.call<v1::SystemService>(&v1::SystemService::Stub::Shutdown, request, response, kReadDeadlineMs);
  if (!status.ok()) return fail(context, connection.failure(context.verb, status));
  if (context.json()) print_json(context, response);
  return finish(context);
}

}  // namespace

void add_shutdown(Program& program) {
  program.add_verb("shutdown", "Stop the daemon gracefully", "liongatectl shutdown",
                   [&context = program.context()] { return shut_down(context); });
}

}  // namespace liongate::cli
