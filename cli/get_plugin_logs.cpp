#include <algorithm>
#include <ostream>

#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/plugin_text.h"
#include "cli/program.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::cli {
namespace {

constexpr std::uint64_t kTailLinesMax = 1'000'000;  // more than any log that is kept has

struct LogsOptions {
  std::string plugin;
  bool follow = false;
  std::uint64_t tail_lines = 0;
};

ExitCode get_plugin_logs(Context& context, const LogsOptions& options) {
  v1::GetPluginLogsRequest request;
  request.set_plugin(options.plugin);
  request.set_follow(options.follow);
  request.set_tail_lines(static_cast<std::uint32_t>(std::min<std::uint64_t>(options.tail_lines, kTailLinesMax)));
  Connection connection(context);
  if (!connection.status().ok()) return fail(context, connection.failure(options.plugin, connection.status()));
  grpc::ClientContext call;
  Connection::set_deadline(call, options.follow ? kNoDeadline : kReadDeadlineMs);
  const CallGuard guard(call);
  const auto stub = v1::PluginService::NewStub(connection.channel());
  const auto reader = stub->GetPluginLogs(&call, request);
  v1::GetPluginLogsResponse response;
  while (reader->Read(&response)) {
    for (const v1::LogEntry& entry : response.entries()) {
      if (context.json()) {
        print_json(context, entry);
      } else {
        print_log_entry(context.out, entry);
      }
    }
    context.out.flush();
  }
  const grpc::Status status = reader->Finish();
  // Ctrl-C is how one leaves --follow.
  if (options.follow && guard.was_interrupted()) return finish(context);
  if (!status.ok()) return fail(context, connection.failure(options.plugin, status));
  return finish(context);
}

}  // namespace

void add_get_plugin_logs(Program& program) {
  auto options = std::make_shared<LogsOptions>();
  Verb verb = program.add_verb("get-plugin-logs", "Show what a plugin wrote to stdout and stderr or logged",
                               "liongatectl get-plugin-logs hello --tail 20 --follow",
                               [&context = program.context(), options] { return get_plugin_logs(context, *options); });
  verb.selector(options->plugin);
  verb.flag("-f,--follow", options->follow, "Go on with what is to come, until Ctrl-C");
  verb.count("--tail", options->tail_lines, "Only the last N lines of what is kept");
}

}  // namespace liongate::cli
