#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/plugin_text.h"
#include "cli/program.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::cli {
namespace {

ExitCode get_plugin(Context& context, const std::string& selector) {
  v1::GetPluginRequest request;
  request.set_plugin(selector);
  v1::GetPluginResponse response;
  Connection connection(context);
  const grpc::Status status =
      connection.call<v1::PluginService>(&v1::PluginService::Stub::GetPlugin, request, response, kReadDeadlineMs);
  if (!status.ok()) return fail(context, connection.failure(selector, status));
  if (context.json()) {
    print_json(context, response);
  } else {
    print_plugin(context, response.plugin());
  }
  return finish(context);
}

}  // namespace

void add_get_plugin(Program& program) {
  auto selector = std::make_shared<std::string>();
  Verb verb = program.add_verb("get-plugin", "Show one plugin, its calls and how it is confined",
                               "liongatectl get-plugin hello",
                               [&context = program.context(), selector] { return get_plugin(context, *selector); });
  verb.selector(*selector);
}

}  // namespace liongate::cli
