// PluginService on the wire: requests become domain types and are posted to the kernel; results become replies.
//
// Ownership and thread: owned by the GrpcServer. It holds no state of its own; handlers run on the queue thread, the
// kernel's answers come on the kernel thread.
#pragma once

#include "daemon/grpc_edge.h"
#include "kernel/orchestrator/orchestrator.h"
#include "liongate/v1/plugin_service.grpc.pb.h"

namespace liongate::daemon {

class GrpcPluginService {
 public:
  using Service = v1::PluginService::AsyncService;

  explicit GrpcPluginService(orchestrator::Orchestrator& kernel) : kernel_(kernel) {}

  grpc::Service& service() { return service_; }
  // Arms every method; `edge` must outlive the server.
  void serve(const GrpcEdge& edge);

 private:
  void serve_lifecycle(const GrpcEdge& edge);
  void serve_views(const GrpcEdge& edge);
  void serve_permissions(const GrpcEdge& edge);
  template <typename Response>
  void change_permission(auto call, const Caller& caller, policy::Override what);
  void serve_unimplemented(const GrpcEdge& edge);
  void serve_invoke(const GrpcEdge& edge);
  void serve_stream_invoke(const GrpcEdge& edge);
  void serve_logs(const GrpcEdge& edge);

  orchestrator::Orchestrator& kernel_;
  Service service_;
};

}  // namespace liongate::daemon
