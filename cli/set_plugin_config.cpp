#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/plugin_text.h"
#include "cli/program.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::cli {
namespace {

struct ConfigOptions {
  std::string plugin;
  std::string config_json;
};

ExitCode set_plugin_config(Context& context, const ConfigOptions& options) {
  v1::UpdatePluginConfigRequest request;
  request.set_plugin(options.plugin);
  request.set_config_json(options.config_json);
  v1::UpdatePluginConfigResponse response;
  Connection connection(context);
  const grpc::Status status = connection.call<v1::PluginService>(&v1::PluginService::Stub::UpdatePluginConfig, request,
                                                                 response, kChangeDeadlineMs);
  if (!status.ok()) return fail(context, connection.failure(options.plugin, status));
  if (context.json()) {
    print_json(context, response);
  } else {
    context.out << response.plugin().name() << ": configured\n";
  }
  return finish(context);
}

}  // namespace

void add_set_plugin_config(Program& program) {
  auto options = std::make_shared<ConfigOptions>();
  Verb verb =
      program.add_verb("set-plugin-config", "Merge keys into a plugin's configuration",
                       "liongatectl set-plugin-config hello --config '{\"greeting\": \"Hi\"}'",
                       [&context = program.context(), options] { return set_plugin_config(context, *options); });
  verb.selector(options->plugin);
  verb.text("--config", options->config_json, "A JSON object", {.value = "JSON", .presence = Presence::kRequired});
}

}  // namespace liongate::cli
