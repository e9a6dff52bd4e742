// What the gRPC services share: the queue, the way to the kernel thread, and who is calling.
//
// Ownership and thread: owned by the GrpcServer; read-only while it serves, so any thread may use it.
#pragma once

#include <grpcpp/grpcpp.h>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <functional>
#include <memory>
#include <optional>
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

// Records that somebody was refused, on the kernel thread; calls the last one when that is on disk.
using RecordDenial = std::function<void(const std::string& actor, const std::string& action, const Error& why,
                                        std::function<void()> then)>;

struct GrpcEdge {
  grpc::ServerCompletionQueue& queue;
  boost::asio::io_context& kernel;
  const PeerCredentials& peers;
  OpenCalls& open_calls;
  RecordDenial record_denial;

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

  // The same for `call`. Nothing for a caller that may not call: then the denial is recorded and the call has failed,
  // in this order.
  template <typename Call>
  std::optional<Caller> admit(const std::shared_ptr<Call>& call) const {
    Result<Caller> caller = identify(call->context());
    if (caller) return std::move(*caller);
    const auto identity = peers.find(call->context().peer());
    const std::string actor = identity ? "uid:" + std::to_string(identity->uid) : "unknown";
    std::string method = call->request().GetDescriptor()->name();
    method.resize(method.size() - std::string_view("Request").size());
    post([this, call, actor, action = "call " + method, why = caller.error()] {
      record_denial(actor, action, why, [call, why] { call->fail(why); });
    });
    return std::nullopt;
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
          std::optional<Caller> caller = admit(call);
          if (!caller) return;
          post([work, call = std::move(call), caller = std::move(*caller)] { work(call, caller); });
        }}));
  }
};

}  // namespace liongate::daemon
