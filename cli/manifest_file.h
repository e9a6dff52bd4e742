// A manifest as a file that verbs read themselves, without a daemon.
//
// Ownership and thread: pure functions that open the one file they are given; any thread.
#pragma once

#include <string>

#include "config/manifest_parser.h"
#include "kernel/base/result.h"
#include "liongate/v1/manifest.pb.h"

namespace liongate::cli {

// Reads and validates it; kInvalidManifest or kUnknownPermission with all faults, also where it cannot be read.
Result<Manifest> read_manifest(const std::string& path);

// As a message; permissions as they are written.
v1::Manifest message_of(const Manifest& manifest);

// The file beside the manifest that its entry point means; empty where there is none.
std::string find_entry_point(const Manifest& manifest, const std::string& path);

}  // namespace liongate::cli
