// grpc.reflection.v1alpha on the wire: our services and messages, for clients that have no copy of the protos.
//
// Ownership and thread: owned by the daemon; all of it runs on the queue thread, from descriptors that never change. A
// conversation answers one question at a time, so that a client which does not read is not written to.
#pragma once

#include "daemon/grpc_edge.h"
#include "grpc/reflection/v1alpha/reflection.grpc.pb.h"

namespace liongate::daemon {

class GrpcReflectionService {
 public:
  using Service = grpc::reflection::v1alpha::ServerReflection::AsyncService;

  grpc::Service& service() { return service_; }
  void serve(const GrpcEdge& edge);

 private:
  Service service_;
};

// The answer to one question; a name that is not known is an error_response, not an error.
grpc::reflection::v1alpha::ServerReflectionResponse reflect(
    const grpc::reflection::v1alpha::ServerReflectionRequest& request);

}  // namespace liongate::daemon
