#include <fcntl.h>
#include <unistd.h>

#include <ostream>

#include "cli/connection.h"
#include "cli/invoke_options.h"
#include "cli/json_output.h"
#include "cli/loading.h"
#include "cli/plugin_text.h"
#include "cli/program.h"
#include "config/document.h"
#include "kernel/base/sys.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::cli {
namespace {

// The daemon ends a call at its timeout; only if it does not answer even then do we give up ourselves.
constexpr std::int64_t kAnswerGraceMs = limits::kCancelGraceMs + 4'000;

constexpr std::pair<std::string_view, v1::Durability> kDurabilities[] = {
    {"durable", v1::DURABILITY_DURABLE},
    {"before_run", v1::DURABILITY_BEFORE_RUN},
    {"batch", v1::DURABILITY_BATCH},
    {"async", v1::DURABILITY_ASYNC},
};

std::string check_durability(const std::string& name) {
  for (const auto& row : kDurabilities) {
    if (row.first == name) return "";
  }
  return "'" + name + "' is no durability; durable, before_run, batch or async";
}

Error too_large() {
  return make_error(Reason::kInputTooLarge,
                    "the input is larger than " + std::to_string(limits::kInputBytesMax) + " bytes")
      .with_hint("pass a path the plugin may read (fs_read) instead of the bytes");
}

Result<std::string> input_of(const InvokeOptions& options) {
  if (options.input_file.empty()) return options.input;
  UniqueFd file;
  if (options.input_file != "-") {
    Result<UniqueFd> opened = sys::open(options.input_file, O_RDONLY);
    if (!opened) return make_errno_error(Reason::kInvalidArgument, "cannot read it", opened.error().sys_errno);
    file = std::move(opened).value();
  }
  Result<std::string> text = sys::read_fd(file ? file.get() : STDIN_FILENO, limits::kInputBytesMax, options.input_file);
  if (text) return text;
  if (text.error().reason == Reason::kInvalidArgument) return too_large();
  return make_errno_error(Reason::kInvalidArgument, "cannot read it", text.error().sys_errno);
}

// The output as it is. On a terminal a missing line end is added, so that the prompt does not stick to the output.
void print_output(Context& context, const std::string& output, Terminal terminal) {
  context.out << output;
  if (terminal == Terminal::kYes && !output.ends_with('\n')) context.out << '\n';
  context.out.flush();
}

void print_log(Context& context, const v1::InvokePluginResponse& response) {
  for (const v1::LogEntry& entry : response.logs()) print_log_entry(context.err, entry);
  for (const std::string& warning : response.warnings()) warn(context, warning);
}

const std::string& output_of(const v1::InvokePluginResponse& response) {
  return response.output_case() == v1::InvokePluginResponse::kData ? response.data() : response.text();
}

ExitCode invoke_once(Context& context, const InvokeOptions& options, const v1::InvokePluginRequest& request) {
  v1::InvokePluginResponse response;
  Connection connection(context);
  const grpc::Status status = connection.call<v1::PluginService>(
      &v1::PluginService::Stub::InvokePlugin, request, response, static_cast<int>(options.timeout_ms + kAnswerGraceMs));
  if (!status.ok()) return fail(context, connection.failure(options.plugin, status));
  if (context.json()) {
    print_json(context, response);
  } else {
    print_output(context, output_of(response), context.terminal);
  }
  if (options.show_log) print_log(context, response);
  return finish(context);
}

ExitCode invoke_streaming(Context& context, const InvokeOptions& options, v1::InvokePluginRequest request) {
  Connection connection(context);
  if (!connection.status().ok()) return fail(context, connection.failure(options.plugin, connection.status()));
  v1::StreamInvokePluginRequest stream_request;
  *stream_request.mutable_invoke() = std::move(request);
  grpc::ClientContext call;
  Connection::set_deadline(call, options.timeout_ms + kAnswerGraceMs);
  const CallGuard guard(call);
  const auto stub = v1::PluginService::NewStub(connection.channel());
  const auto reader = stub->StreamInvokePlugin(&call, stream_request);
  v1::StreamInvokePluginResponse message;
  while (reader->Read(&message)) {
    const bool is_end = message.has_end();
    if (context.json()) {
      print_json(context, message);
    } else if (is_end) {
      print_output(context, output_of(message.end()), context.terminal);
    } else {
      const v1::StreamPart& part = message.part();
      print_output(context, part.part_case() == v1::StreamPart::kData ? part.data() : part.text(), Terminal::kNo);
    }
    if (is_end && options.show_log) print_log(context, message.end());
  }
  const grpc::Status status = reader->Finish();
  if (!status.ok()) return fail(context, connection.failure(options.plugin, status));
  return finish(context);
}

}  // namespace

Result<v1::InvokePluginRequest> invoke_request_of(const InvokeOptions& options) {
  LG_ASSIGN(std::string input, input_of(options));
  if (input.size() > limits::kInputBytesMax) return too_large();
  v1::InvokePluginRequest request;
  request.set_plugin(options.plugin);
  request.set_operation(options.operation);
  request.set_correlation_id(options.correlation_id);
  request.mutable_timeout()->set_seconds(options.timeout_ms / 1000);
  request.mutable_timeout()->set_nanos(static_cast<int>(options.timeout_ms % 1000) * 1'000'000);
  for (const auto& [name, durability] : kDurabilities) {
    if (name == options.durability) request.set_durability(durability);
  }
  // A proto string must be UTF-8; everything else travels as bytes.
  if (config::is_utf8(input)) {
    request.set_text(std::move(input));
  } else {
    request.set_data(std::move(input));
  }
  return request;
}

ExitCode invoke_plugin(Context& context, const InvokeOptions& options) {
  Result<v1::InvokePluginRequest> request = invoke_request_of(options);
  if (!request) {
    return fail(context, failure_of(request.error(), options.input_file.empty() ? options.plugin : options.input_file));
  }
  if (options.stream) return invoke_streaming(context, options, std::move(request).value());
  return invoke_once(context, options, *request);
}

void add_invoke_options(Verb& verb, InvokeOptions& options) {
  verb.text("-i,--input", options.input, "The input");
  verb.text("--input-file", options.input_file, "The input's file; - is stdin",
            {.value = "FILE", .excludes = "--input"});
  verb.text("--operation", options.operation, "Which operation; the default one if not given", {.value = "NAME"});
  verb.text("--correlation-id", options.correlation_id, "Ties this call to others in the log; made up if not given",
            {.value = "ID"});
  verb.duration("--timeout", options.timeout_ms, limits::kInvokeTimeoutMsMax, "When to give up; 30s if not given");
  verb.flag("--stream", options.stream, "Print parts of the output as they come");
  verb.flag("--show-log", options.show_log, "Show what the plugin logged during the call, on stderr");
  verb.text("--durability", options.durability, "durable, before_run, batch or async; the daemon's if not given",
            {.value = "MODE", .check = check_durability});
}

void add_invoke_plugin(Program& program) {
  auto options = std::make_shared<InvokeOptions>();
  Verb verb = program.add_verb("invoke-plugin", "Call a plugin and print its output, as it is",
                               "liongatectl invoke-plugin hello --input test --timeout 5s",
                               [&context = program.context(), options] { return invoke_plugin(context, *options); });
  verb.selector(options->plugin);
  add_invoke_options(verb, *options);
}

}  // namespace liongate::cli
