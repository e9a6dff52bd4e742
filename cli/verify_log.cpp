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

void print_state(Context& context, const v1::StateVerification& state) {
  for (const v1::StateCheck& check : state.checks()) {
    context.out << "state " << check.subject() << ": " << (check.matches() ? "matches" : "DIFFERS") << " at event "
                << check.seq() << ": " << (check.matches() ? check.sha256() : check.message()) << '\n';
  }
  context.out << "state " << (state.matches() ? "whole" : "DIFFERS") << ": replayed from event " << state.base_seq() + 1
              << " to " << state.seq() << ", hash " << state.replayed_sha256() << '\n';
}

void print_report(Context& context, const v1::VerifyLogResponse& report) {
  context.out << coloured(context, report.intact() ? "intact" : "damaged") << ": " << report.events() << " events in "
              << report.segments() << " segments, sequence " << report.first_seq() << " to " << report.last_seq()
              << '\n';
  if (report.has_state()) print_state(context, report.state());
  if (report.damages().empty()) return;
  Table table({"SEGMENT", "OFFSET", "AFTER SEQ", "KIND", "DETAIL"});
  for (const v1::LogDamage& damage : report.damages()) {
    table.add({damage.segment(), std::to_string(damage.offset()), std::to_string(damage.seq()), damage.kind(),
               damage.message()});
  }
  table.flush(context);
}

struct VerifyOptions {
  std::string state_dir;
  bool check_state = false;
};

ExitCode verify_log(Context& context, const VerifyOptions& options) {
  if (!options.state_dir.empty()) {
    std::vector<std::string> arguments{"--verify-log", options.state_dir};
    if (options.check_state) arguments.emplace_back("--state");
    return exec_liongated(context, std::move(arguments));
  }
  v1::VerifyLogRequest request;
  request.set_check_state(options.check_state);
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
  const bool whole = response.intact() && (!response.has_state() || response.state().matches());
  return code == ExitCode::kDone && !whole ? ExitCode::kFailure : code;
}

}  // namespace

void add_verify_log(Program& program) {
  auto options = std::make_shared<VerifyOptions>();
  Verb verb = program.add_verb("verify-log", "Check every record of the log; exit 1 for any damage",
                               "liongatectl verify-log --state-dir /var/lib/liongate",
                               [&context = program.context(), options] { return verify_log(context, *options); });
  verb.text("--state-dir", options->state_dir, "Check this folder, without a daemon", {.value = "DIR"});
  verb.flag("--state", options->check_state, "Also replay it and compare the state it makes with the daemon's");
}

}  // namespace liongate::cli
