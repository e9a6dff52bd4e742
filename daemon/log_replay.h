// One ReplayEvents stream: reads a message's worth of the log, writes it, goes on when it has left. A client that does
// not read holds one message and a cursor, nothing else; what it has not read stays in the files.
//
// Ownership and thread: keeps itself alive through its call; all work is done on the log readers' thread.
#pragma once

#include <atomic>
#include <memory>
#include <optional>

#include "daemon/grpc_call.h"
#include "daemon/log_readers.h"
#include "kernel/event_log/query.h"
#include "liongate/v1/event_service.grpc.pb.h"

namespace liongate::daemon {

using ReplayCall = StreamCall<v1::EventService::AsyncService, v1::ReplayEventsRequest, v1::ReplayEventsResponse>;

class LogReplay final : public std::enable_shared_from_this<LogReplay> {
 public:
  LogReplay(LogReaders& readers, std::shared_ptr<ReplayCall> call, event_log::Filter filter);

  void start();

 private:
  void open();
  void go_on();
  void on_commit();
  void leave();
  void step();
  bool gather(v1::ReplayEventsResponse& response);
  void send(v1::ReplayEventsResponse response);
  void wait_for_more();

  LogReaders& readers_;
  std::shared_ptr<ReplayCall> call_;
  event_log::Filter filter_;
  std::uint64_t left_;
  const bool follow_;
  std::unique_ptr<event_log::EventQuery> query_;
  std::optional<event_log::Gap> gap_;  // behind the events of the message before
  std::uint64_t token_ = 0;
  std::atomic<bool> at_end_{false};
  bool reached_end_ = false;  // at least once
  EventSeq told_seq_ = 0;     // the cursor that the client knows
  int silent_slices_ = 0;
};

v1::QueryCost to_message(const event_log::QueryCost& cost);

}  // namespace liongate::daemon
