// Files that people keep and hand in as evidence: a checkpoint, a public key. They are read here, so that a daemon of
// another user or machine can be asked with them; what is in them the daemon judges.
//
// Ownership and thread: functions of the verb's thread. Errors: kInvalidArgument for what cannot be read.
#pragma once

#include <google/protobuf/message.h>

#include <string>

#include "cli/program.h"
#include "kernel/base/result.h"

namespace liongate::cli {

// The content of `path`; empty where `path` is. An empty file is never taken for one that was not given.
Result<std::string> read_evidence(const std::string& path);

// Writes `text`, which is what `response` holds, to the file `path`, or fails as a whole: what was there stays until
// the new one is on disk. Where no file is named it is printed.
ExitCode deliver_evidence(Context& context, const std::string& path, const std::string& text,
                          const google::protobuf::Message& response);

}  // namespace liongate::cli
