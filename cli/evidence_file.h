// Files that people hand in as evidence: a checkpoint, a public key. They are read here, so that a daemon of another
// user or machine can be asked with them; what is in them the daemon judges.
//
// Ownership and thread: functions of the verb's thread. Errors: kInvalidArgument for what cannot be read.
#pragma once

#include <string>

#include "kernel/base/result.h"

namespace liongate::cli {

// The content of `path`; empty where `path` is. An empty file is never taken for one that was not given.
Result<std::string> read_evidence(const std::string& path);

// Writes `text` to the file `path`, or fails as a whole: what was there stays until the new one is on disk.
Result<void> write_evidence(const std::string& path, const std::string& text);

}  // namespace liongate::cli
