// One connection to the daemon and the calls over it.
//
// Ownership and thread: lives as long as one verb, used by its thread. Connecting never throws and never fails by
// itself: a daemon that cannot be reached shows as the status UNAVAILABLE of the first call.
#pragma once

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>
#include <memory>
#include <string>

#include "cli/context.h"
#include "cli/interrupt.h"

namespace liongate::cli {

inline constexpr int kReadDeadlineMs = 60'000;         // verbs that only look
inline constexpr int kChangeDeadlineMs = 15 * 60'000;  // verbs that wait for a plugin, whose own bounds are shorter
inline constexpr int kNoDeadline = 0;

class Connection {
 public:
  explicit Connection(const Context& context);

  const std::shared_ptr<grpc::Channel>& channel() const { return channel_; }
  // The socket or address, for messages.
  const std::string& peer() const { return peer_; }
  // Not OK where the daemon could not be reached; calls must not be made then.
  const grpc::Status& status() const { return status_; }

  // One request, one reply; Ctrl-C cancels it. `deadline_ms` counts from now.
  template <typename Service, typename Request, typename Response>
  grpc::Status call(grpc::Status (Service::Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response& response, int deadline_ms) {
    if (!status_.ok()) return status_;
    grpc::ClientContext call;
    set_deadline(call, deadline_ms);
    const CallGuard guard(call);
    return (*Service::NewStub(channel_).*method)(&call, request, &response);
  }

  static void set_deadline(grpc::ClientContext& call, std::int64_t deadline_ms);

  // `status` of a call, told as a failure about `subject`.
  Failure failure(const std::string& subject, const grpc::Status& status) const {
    return failure_of(status, subject, peer_);
  }

 private:
  void connect_socket(const std::string& path);

  std::string peer_;
  grpc::Status status_;
  std::shared_ptr<grpc::Channel> channel_;
};

}  // namespace liongate::cli
