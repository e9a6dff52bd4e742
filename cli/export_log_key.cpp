#include "cli/connection.h"
#include "cli/evidence_file.h"
#include "cli/program.h"
#include "cli/sibling_program.h"
#include "liongate/v1/event_service.grpc.pb.h"

namespace liongate::cli {
namespace {

ExitCode export_log_key(Context& context, const std::string& state_dir, const std::string& file) {
  if (!state_dir.empty()) return exec_liongated(context, {"--export-log-key", state_dir});
  v1::ExportLogKeyRequest request;
  v1::ExportLogKeyResponse response;
  Connection connection(context);
  const grpc::Status status =
      connection.call<v1::EventService>(&v1::EventService::Stub::ExportLogKey, request, response, kReadDeadlineMs);
  if (!status.ok()) return fail(context, connection.failure(context.verb, status));
  return deliver_evidence(context, file, response.key() + "\n", response);
}

}  // namespace

void add_export_log_key(Program& program) {
  auto state_dir = std::make_shared<std::string>();
  auto file = std::make_shared<std::string>();
  Verb verb = program.add_verb(
      "export-log-key", "Print the public key that the log's checkpoints are signed with",
      "liongatectl export-log-key --file /mnt/elsewhere/log.pub",
      [&context = program.context(), state_dir, file] { return export_log_key(context, *state_dir, *file); });
  verb.text("--file", *file, "Write it to this file", {.value = "FILE"});
  verb.text("--state-dir", *state_dir, "Print the one in this folder, without a daemon",
            {.value = "DIR", .excludes = "--file"});
}

}  // namespace liongate::cli
