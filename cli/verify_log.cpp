#include <ostream>

#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "cli/sibling_program.h"
#include "cli/table.h"
#include "liongate/v1/event_service.grpc.pb.h"

namespace liongate::cli {
namespace {

void print_report(Context& context, const v1::VerifyLogResponse& report) {
  context.out << coloured(context, report.intact() ? "intact" : "damaged") << ": " << report.events() << " events in "
              << report.segments() << " segments, sequence " << report.first_seq() << " to " << report.last_seq()
              << '\n';
  if (report.damages().empty()) return;
  Table table({"SEGMENT", "OFFSET", "AFTER SEQ", "KIND", "DETAIL"});
  for (const v1::LogDamage& damage : report.damages()) {
    table.add({damage.segment(), std::to_string(damage.offset()), std::to_string(damage.seq()), damage.kind(),
               damage.message()});
  }
  table.flush(context);
}

ExitCode verify_log(Context& context, const std::string& state_dir) {
  if (!state_dir.empty()) return exec_liongated(context, {"--verify-log", state_dir});
  v1::VerifyLogRequest request;
  v1::VerifyLogResponse response;
  Connection connection(context);
  Progress progress(context, "verifying the log", error_terminal());
  const grpc::Status status =
      connection.call<v1::EventService>(&v1::EventService::Stub::VerifyLog, request, response, kChangeDeadlineMs);
  progress.end();
  if (!status.ok()) return fail(context, connection.failure(context.verb, status));
  if (context.json()) {
    print_json(context, response);
  } else {
    print_report(context, response);
  }
  const ExitCode code = finish(context);
  return code == ExitCode::kDone && !response.intact() ? ExitCode::kFailure : code;
}

}  // namespace

void add_verify_log(Program& program) {
  auto state_dir = std::make_shared<std::string>();
  Verb verb = program.add_verb("verify-log", "Check every record of the log; exit 1 for any damage",
                               "liongatectl verify-log --state-dir /var/lib/liongate",
                               [&context = program.context(), state_dir] { return verify_log(context, *state_dir); });
  verb.text("--state-dir", *state_dir, "Check this folder, without a daemon", {.value = "DIR"});
}

}  // namespace liongate::cli
