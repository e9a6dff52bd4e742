#include <ostream>

#include "cli/json_output.h"
#include "cli/manifest_file.h"
#include "cli/program.h"

namespace liongate::cli {
namespace {

ExitCode validate_manifest(Context& context, const std::string& path) {
  const Result<Manifest> manifest = read_manifest(path);
  if (!manifest) return fail(context, failure_of(manifest.error(), path));
  for (const std::string& warning : manifest->warnings) warn(context, warning);
  // A manifest may be valid before its program is built, hence only a warning.
  if (find_entry_point(*manifest, path).empty()) {
    warn(context, path + ": entry_point: there is no file " + manifest->entry_point + " in the manifest's folder");
  }
  if (context.json()) {
    print_json(context, message_of(*manifest));
  } else {
    context.out << path << ": valid: " << manifest->name << ' ' << manifest->version << ", runtime "
                << config::name_of(manifest->runtime) << ", " << manifest->permissions.size() << " permissions\n";
  }
  return finish(context);
}

}  // namespace

void add_validate_manifest(Program& program) {
  auto path = std::make_shared<std::string>();
  Verb verb = program.add_verb("validate-manifest", "Check a manifest and show all its faults; needs no daemon",
                               "liongatectl validate-manifest plugins/hello/manifest.toml",
                               [&context = program.context(), path] { return validate_manifest(context, *path); });
  verb.text("-m,--manifest,FILE", *path, "Manifest: TOML, JSON or YAML",
            {.value = "FILE", .presence = Presence::kRequired});
}

}  // namespace liongate::cli
