// An Error as a gRPC status: google.rpc.Status with ErrorInfo (and RetryInfo where trying again makes sense) in its
// details.
//
// Ownership and thread: a pure function.
#pragma once

#include <grpcpp/support/status.h>

#include "kernel/base/error.h"

namespace liongate::daemon {

inline constexpr const char* kErrorDomain = "liongate";

// ErrorInfo.metadata holds the error's own metadata, `category` (one of the four kinds of the contract) and `hint`.
grpc::Status to_status(const Error& error);

}  // namespace liongate::daemon
