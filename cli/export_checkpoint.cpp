#include "cli/connection.h"
#include "cli/evidence_file.h"
#include "cli/program.h"
#include "cli/sibling_program.h"
#include "liongate/v1/event_service.grpc.pb.h"

namespace liongate::cli {
namespace {

ExitCode export_checkpoint(Context& context, const std::string& state_dir, const std::string& file) {
  if (!state_dir.empty()) return exec_liongated(context, {"--export-checkpoint", state_dir});
  v1::ExportCheckpointRequest request;
  v1::ExportCheckpointResponse response;
  Connection connection(context);
  const grpc::Status status =
      connection.call<v1::EventService>(&v1::EventService::Stub::ExportCheckpoint, request, response, kReadDeadlineMs);
  if (!status.ok()) return fail(context, connection.failure(context.verb, status));
  return deliver_evidence(context, file, response.checkpoint(), response);
}

}  // namespace

void add_export_checkpoint(Program& program) {
  auto state_dir = std::make_shared<std::string>();
  auto file = std::make_shared<std::string>();
  Verb verb = program.add_verb(
      "export-checkpoint",
      "Print a signed checkpoint of the log, to be kept where nobody who can write the log can write",
      "liongatectl export-checkpoint --file /mnt/elsewhere/checkpoint",
      [&context = program.context(), state_dir, file] { return export_checkpoint(context, *state_dir, *file); });
  verb.text("--file", *file, "Write it to this file", {.value = "FILE"});
  verb.text("--state-dir", *state_dir, "Print the last one in this folder, without a daemon",
            {.value = "DIR", .excludes = "--file"});
}

}  // namespace liongate::cli
