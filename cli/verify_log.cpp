#include <ostream>

#include "cli/connection.h"
#include "cli/evidence_file.h"
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
  if (report.checkpoints() > 0) {
    context.out << "signed: " << report.checkpoints() << " checkpoints, up to event " << report.signed_seq() << '\n';
  }
  if (report.checkpoint_verdict() == "extends") context.out << "proved: the log extends the checkpoint\n";
  for (const std::string& note : report.notes()) context.out << "note: " << note << '\n';
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
  std::string checkpoint;
  std::string key;
  bool check_state = false;
};

ExitCode exit_code_of(const v1::VerifyLogResponse& report) {
  if (!report.intact() || (report.has_state() && !report.state().matches())) return ExitCode::kFailure;
  return report.checkpoint_verdict() == "not_provable" ? ExitCode::kInvalid : ExitCode::kDone;
}

ExitCode verify_offline(Context& context, const VerifyOptions& options) {
  std::vector<std::string> words{"--verify-log", options.state_dir};
  if (!options.checkpoint.empty()) words.insert(words.end(), {"--checkpoint", options.checkpoint});
  if (!options.key.empty()) words.insert(words.end(), {"--key", options.key});
  if (options.check_state) words.emplace_back("--state");
  return exec_liongated(context, std::move(words));
}

ExitCode verify_log(Context& context, const VerifyOptions& options) {
  if (!options.state_dir.empty()) return verify_offline(context, options);
  Result<std::string> checkpoint = read_evidence(options.checkpoint);
  if (!checkpoint) return fail(context, failure_of(checkpoint.error(), context.verb));
  Result<std::string> key = read_evidence(options.key);
  if (!key) return fail(context, failure_of(key.error(), context.verb));
  v1::VerifyLogRequest request;
  request.set_checkpoint(*checkpoint);
  request.set_key(*key);
  request.set_check_state(options.check_state);
  v1::VerifyLogResponse response;
  Connection connection(context);
  Progress progress(context, "verifying the log", error_terminal());
  const grpc::Status status =
      connection.call<v1::EventService>(&v1::EventService::Stub::VerifyLog, request, response, kChangeDeadlineMs);
  progress.end();
  if (!status.ok()) {
    const std::string& subject = options.checkpoint.empty() ? context.verb : options.checkpoint;
    return fail(context, connection.failure(subject, status));
  }
  if (context.json()) {
    print_json(context, response);
  } else {
    print_report(context, response);
  }
  const ExitCode code = finish(context);
  return code == ExitCode::kDone ? exit_code_of(response) : code;
}

}  // namespace

void add_verify_log(Program& program) {
  auto options = std::make_shared<VerifyOptions>();
  Verb verb =
      program.add_verb("verify-log", "Check every record of the log; exit 1 for any damage",
                       "liongatectl verify-log --state-dir /var/lib/liongate --checkpoint /mnt/elsewhere/checkpoint",
                       [&context = program.context(), options] { return verify_log(context, *options); });
  verb.text("--state-dir", options->state_dir, "Check this folder, without a daemon", {.value = "DIR"});
  verb.text("--checkpoint", options->checkpoint, "The log must extend this checkpoint (see export-checkpoint)",
            {.value = "FILE"});
  verb.text("--key", options->key, "Trust this public key (see export-log-key) instead of the first one beside the log",
            {.value = "FILE"});
  verb.flag("--state", options->check_state, "Also replay it and compare the state it makes with the daemon's");
}

}  // namespace liongate::cli
