// Calls as messages: InvokePluginRequest into the kernel's CallRequest, CallReply into InvokePluginResponse.
//
// Ownership and thread: pure functions; they move payloads instead of copying them.
#pragma once

#include <grpcpp/grpcpp.h>

#include "kernel/orchestrator/call.h"
#include "liongate/v1/plugin_service.pb.h"

namespace liongate::daemon {

// Takes the payload out of `request`. The call's timeout is the smaller of the request's and the client's own deadline.
// kInvalidArgument for a timeout that is not positive or not a duration.
Result<orchestrator::CallRequest> to_call(v1::InvokePluginRequest& request, const grpc::ServerContext& context,
                                          const std::string& actor);

v1::InvokePluginResponse to_response(orchestrator::CallReply reply);

v1::LogEntry to_entry(const supervision::LogLine& line);

}  // namespace liongate::daemon
