#include "cli/invoke_options.h"
#include "cli/learn/learn.h"
#include "cli/loading.h"
#include "cli/private_daemon.h"
#include "cli/program.h"

namespace liongate::cli {
namespace {

struct RunOptions {
  LoadOptions load;
  bool learn = false;
  LearnOptions learning;
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
  InvokeOptions invoke = options.learning.invoke;
  invoke.plugin = loaded.plugin().name().empty() ? loaded.plugin_id() : loaded.plugin().name();
  return invoke_plugin(inside, invoke);
}

ExitCode run(Context& context, const RunOptions& options) {
  const bool has_program = !options.learning.program.empty();
  const auto usage = [&context](const char* what) { return fail(context, usage_failure(context.verb, what)); };
  if (has_program && !options.learn) return usage("a program behind -- is for --learn; a plugin has a manifest");
  if (options.load.manifest.empty() != has_program) {
    return usage(options.learn ? "name a manifest, or a program behind --: --learn -- jq . data.json"
                               : "name a manifest");
  }
  if (!options.learn && !options.learning.save.empty()) return usage("--save is for --learn");
  if (!has_program && !options.learning.save.empty()) return usage("--save makes a plugin of a program behind --");
  if (options.learning.rounds_max == 0 || options.learning.rounds_max > kLearnRoundsMax) {
    return usage("--rounds-max is 1 to 100");
  }
  if (!options.learn) return run_plugin(context, options);
  LearnOptions learning = options.learning;
  learning.manifest = options.load.manifest;
  return learn(context, learning);
}

}  // namespace

void add_run_plugin(Program& program) {
  auto options = std::make_shared<RunOptions>();
  Verb verb = program.add_verb("run-plugin", "Load, call and forget a plugin in one go; needs no daemon",
                               "liongatectl run-plugin --manifest plugins/hello/manifest.toml --input test\n"
                               "         liongatectl run-plugin --learn --save jq-plugin -- jq .name data.json",
                               [&context = program.context(), options] { return run(context, *options); });
  verb.text("-m,--manifest,MANIFEST", options->load.manifest, "Manifest: TOML, JSON or YAML", {.value = "FILE"});
  verb.flag("--learn", options->learn,
            "Run it again and again with what it was seen to miss, and print the manifest that it needs. It gets all "
            "it asks for but what looks like a secret: learn from programs that you would run anyway");
  verb.text("--save", options->learning.save, "With --learn and a program: keep the plugin in this new folder",
            {.value = "DIR"});
  verb.count("--rounds-max", options->learning.rounds_max, "With --learn: at most so many runs; 20 if not given");
  add_invoke_options(verb, options->learning.invoke);
  program.take_rest("run-plugin", options->learning.program);
}

}  // namespace liongate::cli
