// EventService on the wire: replay with backlog and follow, summary, verification.
//
// Ownership and thread: owned by the GrpcServer; the work is done on the log readers' threads.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "daemon/grpc_edge.h"
#include "daemon/log_readers.h"
#include "kernel/snapshot/state_check.h"
#include "liongate/v1/event_service.grpc.pb.h"

namespace liongate::daemon {

// The state that the daemon lives with, for whoever asks whether the log makes it.
struct LivingState {
  std::string snapshot_folder;
  // Called on the kernel thread; calls back when the log can be read up to the copy.
  std::function<void(std::function<void(registry::StateCopy)>)> copy;
};

class GrpcEventService {
 public:
  using Service = v1::EventService::AsyncService;

  // Without a `state` there is none to check: the log alone is.
  GrpcEventService(LogReaders& readers, std::string state_dir, LivingState state = {})
      : readers_(readers), state_dir_(std::move(state_dir)), state_(std::move(state)) {}

  grpc::Service& service() { return service_; }
  void serve(const GrpcEdge& edge);

 private:
  void serve_replay(const GrpcEdge& edge);
  void serve_summary(const GrpcEdge& edge);
  void serve_verify(const GrpcEdge& edge);
  void serve_exports(const GrpcEdge& edge);

  Result<v1::VerifyLogResponse> verify(const v1::VerifyLogRequest& request,
                                       const std::optional<registry::StateCopy>& living,
                                       const event_log::VerifyProgress& go_on);

  LogReaders& readers_;
  std::string state_dir_;
  LivingState state_;
  Service service_;
};

// The filter of a request; kInvalidArgument for times that are none.
Result<event_log::Filter> to_filter(const v1::EventFilter& message);

// A verification as a reply; the same for the daemon and for `liongated --verify-log`.
v1::VerifyLogResponse to_response(const event_log::Verification& verification);
v1::StateVerification to_message(const snapshot::StateVerification& verification);

}  // namespace liongate::daemon
