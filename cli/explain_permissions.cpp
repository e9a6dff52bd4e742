#include <filesystem>

#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/permission_text.h"
#include "cli/program.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::cli {
namespace {

ExitCode explain_permissions(Context& context, const std::string& plugin, const std::string& manifest) {
  if (plugin.empty() == manifest.empty()) {
    return fail(context, usage_failure(context.verb, "name a loaded plugin, or a manifest with --manifest"));
  }
  v1::ExplainPermissionsRequest request;
  if (manifest.empty()) {
    request.set_plugin(plugin);
  } else {
    std::error_code error;
    const std::filesystem::path absolute = std::filesystem::absolute(manifest, error);
    request.set_manifest_path(error ? manifest : absolute.lexically_normal().string());
  }
  v1::ExplainPermissionsResponse response;
  Connection connection(context);
  const grpc::Status status = connection.call<v1::PluginService>(&v1::PluginService::Stub::ExplainPermissions, request,
                                                                 response, kReadDeadlineMs);
  if (!status.ok()) return fail(context, connection.failure(manifest.empty() ? plugin : manifest, status));
  if (context.json()) {
    print_json(context, response);
  } else {
    print_decision(context, response.plugin_name(), response.decision());
  }
  return finish(context);
}

}  // namespace

void add_explain_permissions(Program& program) {
  auto plugin = std::make_shared<std::string>();
  auto manifest = std::make_shared<std::string>();
  Verb verb = program.add_verb(
      "explain-permissions",
      "Show what the daemon's policy says to each request of a plugin, by which rule, and what would change it",
      "liongatectl explain-permissions --manifest plugins/hello/manifest.toml",
      [&context = program.context(), plugin, manifest] { return explain_permissions(context, *plugin, *manifest); });
  verb.text("-m,--manifest", *manifest, "A manifest instead of a loaded plugin, as if you loaded it",
            {.value = "FILE"});
  verb.text("--plugin-id,--id,ID", *plugin, "Id (UUID) or name of the plugin", {.value = "", .excludes = "--manifest"});
}

}  // namespace liongate::cli
