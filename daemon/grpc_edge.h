// What the gRPC services share: the queue, the way to the kernel thread, and who is calling.
//
// Ownership and thread: owned by the GrpcServer; read-only while it serves, so any thread may use it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <memory>
#include <string>
#include <utility>

#include "daemon/grpc_call.h"
#include "daemon/peer_credentials.h"
#include "kernel/base/result.h"

namespace liongate::daemon {

struct Caller {
  uid_t uid = 0;
  std::string actor;  // as events say it: "uid:1000"
};

struct GrpcEdge {
  grpc::ServerCompletionQueue& queue;
  boost::asio::io_context& kernel;
  const PeerCredentials& peers;
  OpenCalls& open_calls;

  // Who calls; kUnauthenticated for a peer that is neither the daemon's owner nor root.
  Result<Caller> identify(const grpc::ServerContext& context) const {
    const auto identity = peers.find(context.peer());
    if (!identity || !identity->admitted) {
      return make_error(Reason::kUnauthenticated,
                        identity ? "uid " + std::to_string(identity->uid) + " may not control this daemon"
                                 : "the connection's peer is not known")
          .with_hint("call as the user who runs the daemon, or as root");
    }
    return Caller{identity->uid, "uid:" + std::to_string(identity->uid)};
  }

  template <typename Work>
  void post(Work work) const {
    boost::asio::post(kernel, std::move(work));
  }

  // Serves a unary method: identifies the caller, then runs `work(call, caller)` on the kernel thread.
  template <typename Service, typename Request, typename Response, typename Work>
  void serve(Service& service, typename UnaryCall<Service, Request, Response>::Method method, Work work) const {
    using Call = UnaryCall<Service, Request, Response>;
    Call::arm(std::make_shared<const typename Call::Binding>(typename Call::Binding{
        service, method, queue, open_calls, [this, work](std::shared_ptr<Call> call) {
          Result<Caller> caller = identify(call->context());
          if (!caller) {
            call->fail(caller.error());
            return;
          }
          post([work, call = std::move(call), caller = std::move(*caller)] { work(call, caller); });
        }}));
  }
};

}  // namespace liongate::daemon
