// EventService on the wire: replay with backlog and follow, summary, verification.
//
// Ownership and thread: owned by the GrpcServer; the work is done on the log readers' thread.
#pragma once

#include "daemon/grpc_edge.h"
#include "daemon/log_readers.h"
#include "kernel/orchestrator/orchestrator.h"
#include "kernel/snapshot/state_check.h"
#include "liongate/v1/event_service.grpc.pb.h"

namespace liongate::daemon {

class GrpcEventService {
 public:
  using Service = v1::EventService::AsyncService;

  GrpcEventService(orchestrator::Orchestrator& kernel, LogReaders& readers, std::string state_dir)
      : kernel_(kernel), readers_(readers), state_dir_(std::move(state_dir)) {}

  grpc::Service& service() { return service_; }
  void serve(const GrpcEdge& edge);

 private:
  void serve_replay(const GrpcEdge& edge);
  void serve_verify(const GrpcEdge& edge);

  orchestrator::Orchestrator& kernel_;
  LogReaders& readers_;
  std::string state_dir_;
  Service service_;
};

// The filter of a request; kInvalidArgument for times that are none.
Result<event_log::Filter> to_filter(const v1::EventFilter& message);

// A verification as a reply; the same for the daemon and for `liongated --verify-log`.
v1::VerifyLogResponse to_response(const event_log::Verification& verification);
v1::StateVerification to_message(const snapshot::StateVerification& verification);

// Where the log and the snapshots are within a state folder.
std::string log_folder(const std::string& state_dir);
std::string snapshot_folder(const std::string& state_dir);

// Reads the log of a state folder that no daemon writes and, if `check_state`, replays it. Damage is part of the
// answer; a log whose records are damaged is not replayed.
Result<v1::VerifyLogResponse> verify_state_folder(const std::string& state_dir, bool check_state);

}  // namespace liongate::daemon
