#include <unistd.h>

#include <filesystem>

#include "cli/json_output.h"
#include "cli/manifest_file.h"
#include "cli/permission_text.h"
#include "cli/program.h"
#include "config/policy_file.h"
#include "kernel/policy/policy.h"

namespace liongate::cli {
namespace {

struct TestOptions {
  std::string policy;
  std::string manifest;
  std::string environment = "production";
  std::string caller = "uid:" + std::to_string(::geteuid());
};

// What the daemon would make of the manifest before it asks its policy (daemon/file_inspector.h).
v1::PluginLoaded plugin_of(const Manifest& manifest, const TestOptions& options) {
  v1::PluginLoaded loaded;
  *loaded.mutable_manifest() = message_of(manifest);
  loaded.mutable_manifest()->clear_permissions();
  for (const Permission& permission : manifest.permissions) {
    loaded.mutable_manifest()->add_permissions(config::canonical_text(permission));
  }
  std::error_code ignored;
  const std::filesystem::path path = std::filesystem::absolute(options.manifest, ignored).lexically_normal();
  std::filesystem::path folder = std::filesystem::canonical(path.parent_path(), ignored);
  if (folder.empty()) folder = path.parent_path();
  loaded.set_folder(folder.string());
  loaded.set_manifest_path(path.string());
  loaded.set_entry_point_path(find_entry_point(manifest, path.string()));
  loaded.set_caller(options.caller);
  return loaded;
}

ExitCode test_policy(Context& context, const TestOptions& options) {
  const Result<config::Environment> environment = config::parse_environment(options.environment);
  if (!environment) return fail(context, failure_of(environment.error(), "--environment"));
  Result<std::vector<PolicyRule>> rules = config::load_policy_file(options.policy, *environment);
  if (!rules) return fail(context, failure_of(rules.error(), options.policy));
  const Result<Manifest> manifest = read_manifest(options.manifest);
  if (!manifest) return fail(context, failure_of(manifest.error(), options.manifest));
  config::DaemonConfig config;
  config.environment = *environment;
  const config::DefaultPaths paths = config::default_paths();
  policy::Policy policy;
  policy.rules = std::move(*rules);
  policy.otherwise = config.grants_by_default() ? policy::Default::kGrant : policy::Default::kRefuse;
  policy.environment = options.environment;
  policy.protected_folders = {paths.state_dir, paths.socket};
  const v1::PolicyDecision decision = policy::decide(policy, plugin_of(*manifest, options));
  if (context.json()) {
    print_json(context, decision);
  } else {
    print_decision(context, manifest->name, decision);
  }
  if (const auto refusal = policy::refusal_in(decision))
    return fail(context, failure_of(refusal->error, manifest->name));
  return finish(context);
}

}  // namespace

void add_test_policy(Program& program) {
  auto options = std::make_shared<TestOptions>();
  Verb verb = program.add_verb(
      "test-policy",
      "Show what a policy file would grant to a plugin, by which rule; needs no daemon. Exit 6 if anything is refused",
      "liongatectl test-policy policy.yaml --manifest plugins/hello/manifest.toml --environment staging",
      [&context = program.context(), options] { return test_policy(context, *options); });
  verb.text("-p,--policy,POLICY", options->policy, "Policy file to try; none is put in force",
            {.value = "FILE", .presence = Presence::kRequired});
  verb.text("-m,--manifest", options->manifest, "Manifest: TOML, JSON or YAML",
            {.value = "FILE", .presence = Presence::kRequired});
  verb.text("--environment", options->environment,
            "development, testing, staging or production (what is assumed unless said)", {.value = "NAME"});
  verb.text("--caller", options->caller, "Who would load it, for rules that look at that; else you",
            {.value = "uid:N"});
}

}  // namespace liongate::cli
