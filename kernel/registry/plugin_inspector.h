// What the kernel needs to know about a plugin's files before it runs them: an interface, implemented by the daemon.
//
// Ownership and thread: called on the kernel thread; the work is done elsewhere (reading files may wait for a disk) and
// `done` is called on the kernel thread, exactly once, never inside the call.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <string>

#include "kernel/base/result.h"
#include "liongate/v1/event.pb.h"

namespace liongate::registry {

// Where a manifest comes from: a file, or a message with the folder it is relative to.
struct PluginSource {
  std::string manifest_path;  // absolute; empty for an inline manifest
  v1::Manifest manifest;
  std::string folder;
  uid_t caller_uid = 0;                      // a plugin's folder may belong to root, the daemon or the caller
  std::optional<v1::PluginListing> listing;  // an entry of plugins.yaml: says where the rest is
};

class PluginInspector {
 public:
  virtual ~PluginInspector() = default;

  // Reads and validates the manifest, checks the folder and the entry point, digests the files. Permissions come back
  // in their canonical spelling. Errors: kInvalidManifest, kUnknownPermission, kUnsafeFolder, kEntryPointNotFound, and
  // kModuleNotFound and kNotAPlugin for a listing whose module is not there, or is none for plugins.yaml;
  // kUnimplemented for a runtime that this daemon does not have. `loaded.start` is left to the caller.
  virtual void inspect(PluginSource source, std::function<void(Result<v1::PluginLoaded>)> done) = 0;

  // Digests the files again. kEntryPointNotFound when the folder has gone.
  virtual void digest(const v1::PluginLoaded& loaded, std::function<void(Result<std::string>)> done) = 0;
};

}  // namespace liongate::registry
