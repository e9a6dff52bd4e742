#include <ostream>

#include "cli/connection.h"
#include "cli/event_text.h"
#include "cli/json_output.h"
#include "cli/plain_text.h"
#include "cli/program.h"
#include "cli/table.h"
#include "liongate/v1/event_service.grpc.pb.h"

namespace liongate::cli {
namespace {

struct Options {
  std::uint64_t after_seq = 0;
  std::string plugin;
  std::vector<std::string> types;
  std::string correlation_id;
  std::string since;
  std::string until;
  std::uint64_t limit = 0;
  bool follow = false;
  bool summary = false;
};

v1::EventFilter filter_of(const Options& options) {
  v1::EventFilter filter;
  filter.set_after_seq(options.after_seq);
  filter.set_plugin(options.plugin);
  for (const std::string& type : options.types) filter.add_types(type);
  filter.set_correlation_id(options.correlation_id);
  if (!options.since.empty()) *filter.mutable_since() = *parse_time(options.since);
  if (!options.until.empty()) *filter.mutable_until() = *parse_time(options.until);
  return filter;
}

ExitCode summarize(Context& context, const Options& options) {
  v1::SummarizeEventsRequest request;
  *request.mutable_filter() = filter_of(options);
  v1::SummarizeEventsResponse response;
  Connection connection(context);
  const grpc::Status status =
      connection.call<v1::EventService>(&v1::EventService::Stub::SummarizeEvents, request, response, kChangeDeadlineMs);
  if (!status.ok()) return fail(context, connection.failure(context.verb, status));
  if (context.json()) {
    print_json(context, response);
  } else {
    context.out << (response.total() == 0 ? std::string(kNoEvents) + "\n" : summary_text(response));
  }
  return finish(context);
}

// Lines of a stream: widths are the usual ones, so that a following table does not jump.
class EventPrinter {
 public:
  explicit EventPrinter(Context& context)
      : context_(context), table_({"SEQ", "TIME", "TYPE", "PLUGIN", "CORRELATION", "DETAIL"}, {5, 23, 15, 12, 12}) {}

  void print(const v1::ReplayEventsResponse& batch) {
    if (batch.events().empty()) return;
    count_ += static_cast<std::uint64_t>(batch.events_size());
    for (const v1::Event& event : batch.events()) {
      if (context_.json()) {
        context_.out << json_of(event) << '\n';
      } else {
        const std::string& plugin = event.plugin_name().empty() ? event.plugin_id() : event.plugin_name();
        table_.add({std::to_string(event.seq()), time_text(event.time()), event.type(), plugin, event.correlation_id(),
                    event_detail(event)});
      }
    }
    if (!context_.json()) table_.flush(context_);
    context_.out.flush();
  }

  std::uint64_t count() const { return count_; }

 private:
  Context& context_;
  Table table_;
  std::uint64_t count_ = 0;
};

ExitCode replay(Context& context, const Options& options) {
  v1::ReplayEventsRequest request;
  *request.mutable_filter() = filter_of(options);
  request.set_limit(options.limit);
  request.set_follow(options.follow);
  Connection connection(context);
  if (!connection.status().ok()) return fail(context, connection.failure(context.verb, connection.status()));
  grpc::ClientContext call;
  const CallGuard guard(call);
  const auto stub = v1::EventService::NewStub(connection.channel());
  const auto reader = stub->ReplayEvents(&call, request);
  EventPrinter printer(context);
  v1::ReplayEventsResponse batch;
  while (context.out.good() && reader->Read(&batch)) printer.print(batch);
  if (!context.out.good()) call.TryCancel();
  const grpc::Status status = reader->Finish();
  if (!context.out.good()) return finish(context);
  // Ctrl-C is how one leaves --follow.
  if (options.follow && guard.was_interrupted()) return finish(context);
  if (!status.ok()) return fail(context, connection.failure(context.verb, status));
  if (printer.count() == 0 && !context.json()) context.out << kNoEvents << '\n';
  return finish(context);
}

std::string check_time(const std::string& text) {
  return parse_time(text) ? "" : "'" + text + "' is no time; write 2026-01-31T12:00:00Z, or 10m for ten minutes ago";
}

}  // namespace

void add_replay_log(Program& program) {
  auto options = std::make_shared<Options>();
  Verb verb = program.add_verb("replay-log", "Show the events of the log, in order",
                               "liongatectl replay-log --plugin hello --since 10m -o json",
                               [&context = program.context(), options] {
                                 return options->summary ? summarize(context, *options) : replay(context, *options);
                               });
  verb.count("--after-seq", options->after_seq, "Only events behind this sequence number");
  verb.text("--plugin,--plugin-id,--id", options->plugin, "Only this plugin's, by id or name", {.value = "ID"});
  verb.texts("--type", options->types, "Only events of this type, like PluginInvoked; may be repeated",
             {.value = "TYPE"});
  verb.text("--correlation-id", options->correlation_id, "Only events of one call or chain of calls", {.value = "ID"});
  verb.text("--since", options->since, "Only events from this time on (RFC 3339, or 10m for ten minutes ago)",
            {.value = "TIME", .check = check_time});
  verb.text("--until", options->until, "Only events up to this time", {.value = "TIME", .check = check_time});
  verb.count("--limit", options->limit, "At most N events; all if not given");
  verb.flag("-f,--follow", options->follow, "Go on with what is to come, until Ctrl-C");
  verb.flag("--summary", options->summary, "Print counts instead of events", {.excludes = "--follow"});
}

}  // namespace liongate::cli
