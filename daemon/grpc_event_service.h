// EventService on the wire: replay with backlog and follow, summary, verification.
//
// Ownership and thread: owned by the GrpcServer; the work is done on the log readers' threads.
#pragma once

#include "daemon/grpc_edge.h"
#include "daemon/log_readers.h"
#include "liongate/v1/event_service.grpc.pb.h"

namespace liongate::daemon {

class GrpcEventService {
 public:
  using Service = v1::EventService::AsyncService;

  GrpcEventService(LogReaders& readers, std::string state_dir) : readers_(readers), state_dir_(std::move(state_dir)) {}

  grpc::Service& service() { return service_; }
  void serve(const GrpcEdge& edge);

 private:
  void serve_replay(const GrpcEdge& edge);
  void serve_summary(const GrpcEdge& edge);
  void serve_verify(const GrpcEdge& edge);
  void serve_exports(const GrpcEdge& edge);

  LogReaders& readers_;
  std::string state_dir_;
  Service service_;
};

// The filter of a request; kInvalidArgument for times that are none.
Result<event_log::Filter> to_filter(const v1::EventFilter& message);

// A verification as a reply; the same for the daemon and for `liongated --verify-log`.
v1::VerifyLogResponse to_response(const event_log::Verification& verification);

}  // namespace liongate::daemon
