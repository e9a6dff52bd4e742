#include <ostream>

#include "cli/connection.h"
#include "cli/event_printer.h"
#include "cli/event_text.h"
#include "cli/json_output.h"
#include "cli/plain_text.h"
#include "cli/program.h"
#include "cli/progress.h"
#include "liongate/v1/event_service.grpc.pb.h"
#include "liongate/v1/system_service.grpc.pb.h"

namespace liongate::cli {
namespace {

struct ReplayOptions {
  std::uint64_t after_seq = 0;
  std::string plugin;
  std::vector<std::string> types;
  std::string correlation_id;
  std::string actor;
  std::string text;
  std::string since;
  std::string until;
  std::uint64_t limit = 0;
  bool follow = false;
  bool summary = false;
  bool audit = false;
  bool explain = false;
};

v1::EventFilter filter_of(const ReplayOptions& options) {
  v1::EventFilter filter;
  filter.set_after_seq(options.after_seq);
  filter.set_plugin(options.plugin);
  for (const std::string& type : options.audit ? audit_types() : options.types) filter.add_types(type);
  filter.set_correlation_id(options.correlation_id);
  filter.set_actor(options.actor);
  filter.set_text(options.text);
  if (!options.since.empty()) *filter.mutable_since() = *parse_time(options.since);
  if (!options.until.empty()) *filter.mutable_until() = *parse_time(options.until);
  return filter;
}

ExitCode summarize(Context& context, const ReplayOptions& options) {
  v1::SummarizeEventsRequest request;
  *request.mutable_filter() = filter_of(options);
  request.set_explain(options.explain);
  v1::SummarizeEventsResponse response;
  Connection connection(context);
  Progress progress(context, "counting events", error_terminal());
  const grpc::Status status =
      connection.call<v1::EventService>(&v1::EventService::Stub::SummarizeEvents, request, response, kChangeDeadlineMs);
  progress.end();
  if (!status.ok()) return fail(context, connection.failure(context.verb, status));
  if (response.has_cost()) context.err << cost_text(response.cost()) << '\n';
  if (context.json()) {
    print_json(context, response);
  } else {
    context.out << (response.total() == 0 ? std::string(kNoEvents) + "\n" : summary_text(response));
  }
  return finish(context);
}

// Which node's events these are, as CloudEvents tell it.
grpc::Status ask_node_id(Connection& connection, std::string& node_id) {
  v1::GetStatusResponse response;
  const grpc::Status status = connection.call<v1::SystemService>(&v1::SystemService::Stub::GetStatus,
                                                                 v1::GetStatusRequest(), response, kReadDeadlineMs);
  node_id = response.node_id();
  return status;
}

std::string how_far(const v1::ReplayEventsResponse& batch, std::uint64_t after_seq) {
  const std::uint64_t all = batch.last_seq() > after_seq ? batch.last_seq() - after_seq : 1;
  const std::uint64_t done = batch.caught_up_seq() > after_seq ? batch.caught_up_seq() - after_seq : 0;
  return std::to_string(done * 100 / all) + " %, event " + std::to_string(batch.caught_up_seq()) + " of " +
         std::to_string(batch.last_seq());
}

ExitCode replay(Context& context, const ReplayOptions& options) {
  v1::ReplayEventsRequest request;
  *request.mutable_filter() = filter_of(options);
  request.set_limit(options.limit);
  request.set_follow(options.follow);
  request.set_explain(options.explain);
  Connection connection(context);
  if (!connection.status().ok()) return fail(context, connection.failure(context.verb, connection.status()));
  std::string node_id;
  if (context.format == OutputFormat::kCloudEvents) {
    const grpc::Status status = ask_node_id(connection, node_id);
    if (!status.ok()) return fail(context, connection.failure(context.verb, status));
  }
  grpc::ClientContext call;
  const CallGuard guard(call);
  const auto stub = v1::EventService::NewStub(connection.channel());
  const auto reader = stub->ReplayEvents(&call, request);
  EventPrinter printer(context, options.audit ? EventView::kAudit : EventView::kEvents, node_id);
  // Events that scroll by are progress enough.
  const bool quiet = options.follow || context.terminal == Terminal::kYes;
  Progress progress(context, "replaying", quiet ? Terminal::kNo : error_terminal());
  v1::ReplayEventsResponse batch;
  std::uint64_t cursor = options.after_seq;
  while (context.out.good() && reader->Read(&batch)) {
    progress.say(how_far(batch, options.after_seq));
    if (batch.has_cost()) progress.end();
    printer.print(batch);
    if (batch.has_cost()) context.err << cost_text(batch.cost()) << '\n';
    if (batch.caught_up_seq() != 0) cursor = batch.caught_up_seq();
  }
  progress.end();
  if (!context.out.good()) call.TryCancel();
  const grpc::Status status = reader->Finish();
  if (!context.out.good()) return finish(context);
  // Ctrl-C is how one leaves --follow; the cursor tells how to come back.
  if (options.follow && guard.was_interrupted()) {
    if (cursor != 0) context.err << "go on with --after-seq " << cursor << '\n';
    return finish(context);
  }
  if (!status.ok()) return fail(context, connection.failure(context.verb, status));
  if (printer.count() == 0 && !context.json()) context.out << kNoEvents << '\n';
  return finish(context);
}

std::string check_time(const std::string& text) {
  return parse_time(text) ? "" : "'" + text + "' is no time; write 2026-01-31T12:00:00Z, or 10m for ten minutes ago";
}

}  // namespace

void add_replay_log(Program& program) {
  auto options = std::make_shared<ReplayOptions>();
  Verb verb = program.add_verb("replay-log", "Show the events of the log, in order",
                               "liongatectl replay-log --plugin hello --since 10m -o json",
                               [&context = program.context(), options] {
                                 return options->summary ? summarize(context, *options) : replay(context, *options);
                               });
  verb.count("--after-seq", options->after_seq, "Only events behind this sequence number");
  verb.text("--plugin,--plugin-id,--id", options->plugin, "Only this plugin's, by id or name", {.value = "ID"});
  verb.texts("--type", options->types, "Only events of this type, like PluginInvoked; may be repeated",
             {.value = "TYPE"});
  verb.text("--actor", options->actor, "Only what this one asked for, like uid:1000", {.value = "ACTOR"});
  verb.text("--text", options->text, "Only events with this in an input, an output, a message or another text");
  verb.text("--correlation-id", options->correlation_id, "Only events of one call or chain of calls", {.value = "ID"});
  verb.text("--since", options->since, "Only events from this time on (RFC 3339, or 10m for ten minutes ago)",
            {.value = "TIME", .check = check_time});
  verb.text("--until", options->until, "Only events up to this time", {.value = "TIME", .check = check_time});
  verb.count("--limit", options->limit, "At most N events; all if not given");
  verb.flag("-f,--follow", options->follow, "Go on with what is to come, until Ctrl-C");
  verb.flag("--summary", options->summary, "Print counts instead of events", {.excludes = "--follow"});
  verb.flag("--audit", options->audit, "Who did what to which plugin, allowed or denied", {.excludes = "--type"});
  verb.flag("--explain", options->explain, "Tell on stderr how much of the log was read for it");
}

}  // namespace liongate::cli
