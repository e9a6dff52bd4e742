// Reads a plugin's manifest from TOML, JSON or YAML and reports every fault of it together, each with file:line and
// field.
//
// Ownership and thread: pure functions over text; any thread. They open no file.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/manifest.h"
#include "kernel/base/result.h"

namespace liongate::config {

// What a host can give at most; 0 where nobody said. A limit above it would promise what it cannot hold.
struct HostCapacity {
  std::uint64_t memory_bytes = 0;
  std::uint64_t cpu_percent = 0;  // 100 a CPU
  std::uint64_t open_files = 0;   // in one process
  std::uint64_t processes = 0;
  std::uint64_t file_size_bytes = 0;
};

enum class ManifestFormat { kToml, kJson, kYaml };

// By the ending of the file's name: .toml, .json, .yaml or .yml. Anything else is TOML.
ManifestFormat format_of(std::string_view path);

// Parses and validates. `path` is used in messages only ("path:line: field: what is wrong").
// Errors: kInvalidManifest with all faults, one a line, in `message`; kUnknownPermission when the only faults are
// unknown permission kinds. metadata["fields"] lists the faulty fields, comma-separated. A fault that names a near miss
// says so. A limit above what `host` can give is a fault that says what the host has.
Result<Manifest> parse_manifest(std::string_view text, ManifestFormat format, const std::string& path,
                                const HostCapacity& host = {});

// The files that `entry_point` may mean, best first, relative to the manifest's folder: the one named; for a bare word
// (seed 001's "main") also that word and the plugin's name with the runtime's ending. The first that exists is meant.
std::vector<std::string> entry_point_candidates(const Manifest& manifest);

// Reads one permission, KIND[:ARGUMENT]; kUnknownPermission or kInvalidManifest.
Result<Permission> parse_permission(std::string_view text);

// KIND[:ARGUMENT] with the kind's own name and the argument normalised: what rules match and events hold.
std::string canonical_text(const Permission& permission);

// What is wrong with a glob over permissions in their canonical spelling that no permission can match because of its
// kind (`net:*` is spelled `network:*`): the words and the remedy, both empty where nothing is.
struct PatternFault {
  std::string what;
  std::string remedy;
};
PatternFault check_permission_pattern(std::string_view pattern);

// Names as they stand in manifests.
std::string_view name_of(Runtime runtime);
std::string_view name_of(Role role);
std::string_view name_of(PermissionKind kind);

}  // namespace liongate::config
