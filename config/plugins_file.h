// plugins.yaml: the observers that an operator wants to run, each with its module, its filter and its configuration.
//
// Ownership and thread: plain values and pure functions; load_plugins_file opens the one file it is given. The modules
// are not looked at here (daemon/module_finder.h does). docs/observers.md is the reference,
// config/schema/plugins.schema.json the machine-readable form. Bounds: limits::kPluginsFileBytesMax,
// kPluginsFileEntriesMax, and those of one entry beside them. Errors: every fault of a file together as kInvalidConfig,
// each with file:line, field and plugin id; kBadModulePath where all of them are that.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/daemon_config.h"
#include "kernel/base/manifest.h"
#include "kernel/base/result.h"

namespace liongate::config {

enum class ModuleKind : std::uint8_t {
  kManifest,    // dir/manifest.toml, or .json, .yaml, .yml
  kFileSymbol,  // dir/file.py:Class
  kClass,       // package.module.Class, looked for in the module folders
};

struct ModuleName {
  ModuleKind kind = ModuleKind::kClass;
  std::string path;    // of manifest and file, absolute; of a class the dotted module
  std::string symbol;  // the class; empty for a manifest
};

// Takes a module's name apart; relative paths are relative to `folder`. kBadModulePath says which forms there are.
Result<ModuleName> parse_module_name(const std::string& text, const std::string& folder);

struct PluginsFileEntry {
  int line = 1;
  std::string id;      // the plugin's name
  std::string module;  // as written
  bool enabled = true;
  std::string config_json = "{}";
  std::string description;
  ObserverOptions observer;
  std::vector<std::string> permissions;                       // besides those of the module's manifest
  std::vector<std::pair<std::string, std::uint64_t>> limits;  // over those of the manifest; by their names there

  bool operator==(const PluginsFileEntry&) const = default;
};

struct PluginsFile {
  std::string path;  // absolute; empty: there is none
  bool strict = false;
  std::vector<std::string> module_folders;  // absolute, in order; the file's own folder first
  std::vector<PluginsFileEntry> entries;    // in the order in which they are registered, disabled ones too
  std::vector<std::string> warnings;        // one line each, with file:line
};

// Parses `text`; `path` is where it stands. An empty text, or one without entries, means none. Of entries with the same
// id the last counts, in the place of the first, and a warning says so.
Result<PluginsFile> parse_plugins_file(std::string_view text, const std::string& path);

// Reads the file; one that does not exist means none, one that cannot be read, or that others could have written
// (trusted_file.h), is kInvalidConfig. `bytes`, where it is given, gets what was read.
Result<PluginsFile> load_plugins_file(const std::string& path, std::string* bytes = nullptr);

// The file that a daemon with this configuration reads: `config.plugins_file`, else plugins.yaml beside `config_path`;
// empty where there is neither a name nor a configuration path.
std::string plugins_file_path(const std::string& config_path, const DaemonConfig& config);

// The file as YAML, all defaults written out; parses back to the same entries.
std::string to_yaml(const PluginsFile& file);

}  // namespace liongate::config
