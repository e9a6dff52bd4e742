#include "daemon/module_finder.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "config/manifest_parser.h"
#include "config/plugins_file.h"
#include "kernel/registry/role.h"

namespace liongate::daemon {

namespace fs = std::filesystem;
using config::ModuleKind;
using config::ModuleName;
using sandbox::OpenKind;

namespace {

std::string with_slashes(std::string dotted) {
  std::ranges::replace(dotted, '.', '/');
  return dotted;
}

Result<ModuleName> name_in(const v1::PluginListing& listing) {
  return config::parse_module_name(listing.module(), fs::path(listing.file()).parent_path().string());
}

// Where a dotted module may be in `folder`: as a file, or as a package.
std::vector<std::string> files_for(const std::string& folder, const std::string& dotted) {
  const std::string stem = folder + "/" + with_slashes(dotted);
  return {stem + ".py", stem + "/__init__.py"};
}

// The folder that belongs to the plugin: of a package the outermost, else the file's own.
std::string folder_of(const std::string& module_folder, const std::string& dotted, const std::string& file) {
  const std::string first = dotted.substr(0, dotted.find('.'));
  const bool is_lone = file == module_folder + "/" + dotted + ".py";
  return is_lone ? module_folder : module_folder + "/" + first;
}

Error not_found(const v1::PluginListing& listing, const std::vector<std::string>& places) {
  std::string all;
  for (const std::string& place : places) all += (all.empty() ? "" : ", ") + place;
  return make_error(Reason::kModuleNotFound,
                    "plugin " + listing.id() + ": module `" + listing.module() + "` is not there; looked for " + all)
      .with_hint("put it there, or name its folder in module_path of " + listing.file());
}

// The manifest that a class without one has.
registry::PluginSource make_source(const registry::PluginSource& source, const std::string& folder,
                                   const std::string& file) {
  const v1::PluginListing& listing = *source.listing;
  registry::PluginSource made = source;
  made.folder = folder;
  made.manifest.set_name(listing.id());
  made.manifest.set_version("0.0.0");
  made.manifest.set_entry_point("./" + fs::path(file).lexically_relative(folder).string());
  made.manifest.set_runtime("python");
  made.manifest.set_role("observer");
  return made;
}

}  // namespace

Result<registry::PluginSource> find_module(FileOpener& opener, const registry::PluginSource& source) {
  const v1::PluginListing& listing = *source.listing;
  LG_ASSIGN(const ModuleName name, name_in(listing));
  if (name.kind == ModuleKind::kManifest) {
    if (!opener.open(name.path, OpenKind::kFile)) return not_found(listing, {name.path});
    registry::PluginSource found = source;
    found.manifest_path = name.path;
    return found;
  }
  if (name.kind == ModuleKind::kFileSymbol) {
    if (!opener.open(name.path, OpenKind::kFile)) return not_found(listing, {name.path});
    return make_source(source, fs::path(name.path).parent_path().string(), name.path);
  }
  std::vector<std::string> places;
  for (const std::string& folder : listing.module_folders()) {
    for (const std::string& file : files_for(folder, name.path)) {
      if (opener.open(file, OpenKind::kFile)) return make_source(source, folder_of(folder, name.path, file), file);
      places.push_back(file);
    }
  }
  return not_found(listing, places);
}

Result<void> apply_listing(const v1::PluginListing& listing, v1::PluginLoaded& loaded) {
  v1::Manifest& manifest = *loaded.mutable_manifest();
  if (!registry::is_observer(manifest)) {
    return make_error(Reason::kNotAPlugin, "plugin " + listing.id() + ": " + listing.module() +
                                               " is of role callable, and plugins.yaml lists observers")
        .with_hint("load it with `liongatectl load-plugin`; of an observer the manifest says role = \"observer\"");
  }
  manifest.set_name(listing.id());
  for (const std::string& text : listing.permissions()) {
    LG_ASSIGN(const Permission permission, config::parse_permission(text));
    const std::string canonical = config::canonical_text(permission);
    const auto& present = manifest.permissions();
    if (std::ranges::find(present, canonical) == present.end()) manifest.add_permissions(canonical);
  }
  manifest.mutable_limits()->MergeFrom(listing.limits());  // what is 0 there is not said
  if (!listing.description().empty()) manifest.set_description(listing.description());
  const v1::ObserverSettings& said = listing.observer();
  v1::ObserverSettings& settings = *manifest.mutable_observer();
  if (said.types_size() > 0) *settings.mutable_types() = said.types();
  if (!said.plugin().empty()) settings.set_plugin(said.plugin());
  if (!said.correlation_id().empty()) settings.set_correlation_id(said.correlation_id());
  if (!said.start().empty()) settings.set_start(said.start());
  if (said.ack_timeout_ms() != 0) settings.set_ack_timeout_ms(said.ack_timeout_ms());
  if (said.retries() != 0) settings.set_retries(said.retries());
  if (!said.on_error().empty()) settings.set_on_error(said.on_error());
  *loaded.mutable_listing() = listing;
  return {};
}

bool is_lone_module(const v1::PluginListing& listing, const std::string& folder) {
  const Result<ModuleName> name = name_in(listing);
  if (!name || name->kind == ModuleKind::kManifest) return false;
  std::error_code ignored;
  const auto is_folder = [&](const std::string& one) { return fs::weakly_canonical(one, ignored).string() == folder; };
  return std::ranges::any_of(listing.module_folders(), is_folder);
}

std::vector<std::string> module_words(const v1::PluginLoaded& loaded) {
  if (!loaded.has_listing()) return {};
  const Result<ModuleName> name = name_in(loaded.listing());
  if (!name || name->kind == ModuleKind::kManifest) return {};
  if (name->kind == ModuleKind::kFileSymbol) {
    return {"--observer", "", fs::path(name->path).stem().string(), name->symbol};
  }
  const std::string package = loaded.is_lone_file() ? "" : name->path.substr(0, name->path.find('.'));
  return {"--observer", package, name->path, name->symbol};
}

std::string merged_json(const std::string& first, const std::string& second) {
  auto merged = nlohmann::ordered_json::parse(first, nullptr, false);
  const auto over = nlohmann::ordered_json::parse(second, nullptr, false);
  if (!merged.is_object()) merged = nlohmann::ordered_json::object();
  if (over.is_object()) merged.update(over);
  return merged.dump();
}

}  // namespace liongate::daemon
