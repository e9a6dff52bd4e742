// Finds what an entry of plugins.yaml means: the manifest it names, or the Python file of the class it names, for which
// a manifest is made.
//
// Ownership and thread: pure functions but for looking whether files are there; the inspector's thread. Errors:
// kModuleNotFound (names the places that were looked at), kNotAPlugin (a manifest of another role), and those of
// manifests for what the entry says of permissions and limits.
#pragma once

#include <string>

#include "daemon/file_opener.h"
#include "kernel/registry/plugin_inspector.h"

namespace liongate::daemon {

// The source to inspect in place of `source`, which has a listing: with a manifest_path, or with a manifest and folder.
Result<registry::PluginSource> find_module(FileOpener& opener, const registry::PluginSource& source);

// Puts what the entry says over what the manifest says: name, observer settings, description.
Result<void> apply_listing(const v1::PluginListing& listing, v1::PluginLoaded& loaded);

// Whether the entry's module is a file beside plugins.yaml or in a module folder itself, so that only it belongs to the
// plugin; a module in a folder of its own comes with its folder.
bool is_lone_module(const v1::PluginListing& listing, const std::string& folder);

// The words behind bootstrap.py that start the entry's class: `--observer PACKAGE MODULE CLASS`. PACKAGE is the package
// that the plugin's folder is; empty where the folder only holds the module. Empty for a manifest.
std::vector<std::string> module_words(const v1::PluginLoaded& loaded);

// The keys of `second` over those of `first`, both JSON objects.
std::string merged_json(const std::string& first, const std::string& second);

}  // namespace liongate::daemon
