// Unloads one plugin, or all of them: the last that was loaded goes first.
#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/plugin_text.h"
#include "cli/program.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::cli {
namespace {

struct Options {
  std::string plugin;
  bool all = false;
  bool if_loaded = false;
};

// One that is not there (any more) is told and left out.
ExitCode unload(Context& context, Connection& connection, const std::string& plugin, bool may_be_missing) {
  v1::UnloadPluginRequest request;
  request.set_plugin(plugin);
  v1::UnloadPluginResponse response;
  const grpc::Status status = connection.call<v1::PluginService>(&v1::PluginService::Stub::UnloadPlugin, request,
                                                                 response, kChangeDeadlineMs);
  if (!status.ok()) {
    const Failure failure = connection.failure(plugin, status);
    if (!may_be_missing || failure.exit_code != ExitCode::kNotFound) return fail(context, failure);
    context.err << "liongatectl: " << failure.subject << ": " << failure.what << "; nothing to unload\n";
    return ExitCode::kDone;
  }
  if (context.json()) {
    print_json(context, response);
  } else {
    context.out << response.plugin().name() << ": " << state_text(response.plugin().state()) << '\n';
  }
  return ExitCode::kDone;
}

ExitCode unload_all(Context& context) {
  Connection connection(context);
  v1::ListPluginsResponse loaded;
  const grpc::Status status = connection.call<v1::PluginService>(&v1::PluginService::Stub::ListPlugins,
                                                                 v1::ListPluginsRequest(), loaded, kReadDeadlineMs);
  if (!status.ok()) return fail(context, connection.failure(context.verb, status));
  ExitCode first_failure = ExitCode::kDone;
  for (int i = loaded.plugins_size() - 1; i >= 0; --i) {
    // By id: what is loaded under the name in the meantime stays.
    const ExitCode code = unload(context, connection, loaded.plugins(i).plugin_id(), true);
    if (first_failure == ExitCode::kDone) first_failure = code;
  }
  const ExitCode written = finish(context);
  return first_failure == ExitCode::kDone ? written : first_failure;
}

ExitCode unload_plugin(Context& context, const Options& options) {
  if (options.all) return unload_all(context);
  if (options.plugin.empty()) {
    return fail(context, usage_failure(context.verb, "name the plugin, or say --all"));
  }
  Connection connection(context);
  const ExitCode code = unload(context, connection, options.plugin, options.if_loaded);
  return code == ExitCode::kDone ? finish(context) : code;
}

}  // namespace

void add_unload_plugin(Program& program) {
  auto options = std::make_shared<Options>();
  Verb verb = program.add_verb("unload-plugin", "Stop a plugin and forget it; its events stay",
                               "liongatectl unload-plugin hello",
                               [&context = program.context(), options] { return unload_plugin(context, *options); });
  verb.text("--plugin-id,--id,ID", options->plugin, "Id (UUID) or name of the plugin", {.value = ""});
  verb.flag("--all", options->all, "Unload every plugin, the last that was loaded first; entries of plugins.yaml come "
                                   "back when that is read",
            {.excludes = "--plugin-id"});
  verb.flag("--if-loaded", options->if_loaded, "Say so, and no more, where there is no such plugin");
}

}  // namespace liongate::cli
