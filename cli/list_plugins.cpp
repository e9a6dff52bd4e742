#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/plugin_text.h"
#include "cli/program.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::cli {
namespace {

ExitCode list_plugins(Context& context) {
  v1::ListPluginsRequest request;
  v1::ListPluginsResponse response;
  Connection connection(context);
  const grpc::Status status =
      connection.call<v1::PluginService>(&v1::PluginService::Stub::ListPlugins, request, response, kReadDeadlineMs);
  if (!status.ok()) return fail(context, connection.failure(context.verb, status));
  if (context.json()) {
    print_json(context, response);
  } else {
    print_plugins(context, response.plugins());
  }
  return finish(context);
}

}  // namespace

void add_list_plugins(Program& program) {
  program.add_verb("list-plugins", "Show all loaded plugins", "liongatectl list-plugins -o json",
                   [&context = program.context()] { return list_plugins(context); });
}

}  // namespace liongate::cli
