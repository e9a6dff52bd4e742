#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/plugin_text.h"
#include "cli/program.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::cli {
namespace {

ExitCode get_plugin_health(Context& context, const std::string& selector) {
  v1::GetPluginHealthRequest request;
  request.set_plugin(selector);
  v1::GetPluginHealthResponse response;
  Connection connection(context);
  const grpc::Status status =
      connection.call<v1::PluginService>(&v1::PluginService::Stub::GetPluginHealth, request, response, kReadDeadlineMs);
  if (!status.ok()) return fail(context, connection.failure(selector, status));
  if (context.json()) {
    print_json(context, response);
  } else {
    print_health(context, response);
  }
  return finish(context);
}

}  // namespace

void add_get_plugin_health(Program& program) {
  auto selector = std::make_shared<std::string>();
  Verb verb = program.add_verb(
      "get-plugin-health", "Show whether a plugin is well, and its rates", "liongatectl get-plugin-health hello",
      [&context = program.context(), selector] { return get_plugin_health(context, *selector); });
  verb.selector(*selector);
}

}  // namespace liongate::cli
