#include "cli/invoke_options.h"
#include "cli/loading.h"
#include "cli/private_daemon.h"
#include "cli/program.h"

namespace liongate::cli {
namespace {

struct RunOptions {
  LoadOptions load;
  InvokeOptions invoke;
};

ExitCode run_plugin(Context& context, const RunOptions& options) {
  Result<std::unique_ptr<PrivateDaemon>> daemon = PrivateDaemon::start();
  if (!daemon) return fail(context, failure_of(daemon.error(), context.verb));
  Context inside = context;
  inside.socket = (*daemon)->socket();
  inside.address.clear();
  v1::LoadPluginResponse loaded;
  const ExitCode code = load_plugin(inside, options.load, loaded);
  if (code != ExitCode::kDone) return code;
  InvokeOptions invoke = options.invoke;
  invoke.plugin = loaded.plugin().name().empty() ? loaded.plugin_id() : loaded.plugin().name();
  return invoke_plugin(inside, invoke);
}

}  // namespace

void add_run_plugin(Program& program) {
  auto options = std::make_shared<RunOptions>();
  Verb verb = program.add_verb("run-plugin", "Load, call and forget a plugin in one go; needs no daemon",
                               "liongatectl run-plugin --manifest plugins/hello/manifest.toml --input test",
                               [&context = program.context(), options] { return run_plugin(context, *options); });
  verb.text("-m,--manifest,MANIFEST", options->load.manifest, "Manifest: TOML, JSON or YAML",
            {.value = "FILE", .presence = Presence::kRequired});
  add_invoke_options(verb, options->invoke);
}

}  // namespace liongate::cli
