// Why a verb did not do what it was asked, in the words and the exit code of the contract.
//
// Ownership and thread: plain values; pure functions.
#pragma once

#include <map>
#include <string>

#include "kernel/base/error.h"

namespace grpc {
class Status;
}

namespace liongate::cli {

struct Failure {
  ExitCode exit_code = ExitCode::kFailure;
  std::string subject;  // what it is about: a plugin, a file, the socket
  std::string what;     // may have several lines, each a fault of its own
  std::string reason;   // of the contract's table; where the daemon gave none, the name of `code`
  std::string code;     // name of the gRPC status code
  std::string hint;
  std::map<std::string, std::string> metadata = {};
};

// From an answer of the daemon (or of gRPC itself, which carries no ErrorInfo). `peer` is the socket or address tried.
Failure failure_of(const grpc::Status& status, const std::string& subject, const std::string& peer);

// From an error found here.
Failure failure_of(const Error& error, const std::string& subject);

// A command line that makes no sense. `verb` may be empty.
Failure usage_failure(const std::string& verb, const std::string& what);

// "NOT_FOUND" for 5.
std::string code_name(int code);

}  // namespace liongate::cli
