#include <filesystem>

#include "cli/connection.h"
#include "cli/json_output.h"
#include "cli/loading.h"
#include "cli/program.h"
#include "config/manifest_parser.h"
#include "kernel/base/limits.h"
#include "kernel/base/sys.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::cli {
namespace {

// The daemon only refuses; what a manifest says in vain (unknown keys) is told here, where someone reads it.
void print_warnings(Context& context, const std::string& path) {
  const Result<std::string> text = sys::read_file(path, limits::kManifestBytesMax);
  if (!text) return;
  const Result<Manifest> manifest = config::parse_manifest(*text, config::format_of(path), path);
  if (!manifest) return;
  for (const std::string& warning : manifest->warnings) warn(context, warning);
}

}  // namespace

ExitCode load_plugin(Context& context, const LoadOptions& options, v1::LoadPluginResponse& response) {
  v1::LoadPluginRequest request;
  std::error_code error;
  const std::filesystem::path absolute = std::filesystem::absolute(options.manifest, error);
  const std::string path = error ? options.manifest : absolute.lexically_normal().string();
  request.set_manifest_path(path);
  request.set_replace(options.replace);
  request.set_no_start(options.no_start);
  request.set_accept_permissions(options.accept_permissions);
  Connection connection(context);
  const grpc::Status status =
      connection.call<v1::PluginService>(&v1::PluginService::Stub::LoadPlugin, request, response, kChangeDeadlineMs);
  if (!status.ok()) return fail(context, connection.failure(path, status));
  print_warnings(context, path);
  return ExitCode::kDone;
}

void add_load_plugin(Program& program) {
  auto options = std::make_shared<LoadOptions>();
  Verb verb = program.add_verb("load-plugin", "Load a plugin and start it; prints its id",
                               "liongatectl load-plugin --manifest plugins/hello/manifest.toml",
                               [&context = program.context(), options] {
                                 v1::LoadPluginResponse response;
                                 const ExitCode code = load_plugin(context, *options, response);
                                 if (code != ExitCode::kDone) return code;
                                 if (context.json()) {
                                   print_json(context, response);
                                 } else {
                                   context.out << response.plugin_id() << '\n';
                                 }
                                 return finish(context);
                               });
  verb.text("-m,--manifest,MANIFEST", options->manifest, "Manifest: TOML, JSON or YAML",
            {.value = "FILE", .presence = Presence::kRequired});
  verb.flag("--replace", options->replace, "Take over the id of a loaded plugin of the same name");
  verb.flag("--no-start", options->no_start, "Register it only");
  verb.flag("--accept-permissions", options->accept_permissions,
            "With --replace: accept permissions that the plugin it replaces did not ask for");
}

}  // namespace liongate::cli
