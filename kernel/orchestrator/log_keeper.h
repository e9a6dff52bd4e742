// Keeps the log short to start from and within its bounds: asks for snapshots, removes old segments, watches the clock.
//
// A snapshot is due when so many events, or bytes of them, were recorded since the last, and at a graceful stop. Old
// segments go when a snapshot was taken, a segment was begun, at start and every limits::kRetentionCheckMs; never one
// that a kept snapshot ends in or an open call began in. What is removed is recorded first (LogSegmentsRemoved).
//
// The wall clock decides only what is too old. When it moves otherwise than time passes (ClockJumped), nothing is
// removed by age for limits::kClockDistrustMs, or until it is set back.
//
// Ownership and thread: owned by the orchestrator; kernel thread. Errors: what fails is told to `warn` and tried again
// when it is due the next time; none ends the daemon.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernel/orchestrator/dispatcher.h"
#include "kernel/orchestrator/kernel_context.h"
#include "kernel/snapshot/snapshot_writer.h"
#include "kernel/snapshot/state_replay.h"

namespace liongate::orchestrator {

class LogKeeper {
 public:
  // Without a writer no snapshot is taken, and so nothing is ever removed.
  LogKeeper(KernelContext& context, const Dispatcher& dispatcher, snapshot::SnapshotWriter* writer);
  ~LogKeeper();

  void set_warn(std::function<void(const std::string&)> warn) { warn_ = std::move(warn); }

  // After recovery; `replayed` says what that was built on. Records a ClockJumped where the clock has.
  void begin(const snapshot::ReplayedState& replayed, std::int64_t log_time_ns);

  // The state now, with the calls that are open.
  registry::StateCopy copy_state() const;

  void on_durable();  // something was committed: is a snapshot due?
  void check();       // looks at the clock and removes what may go; also the timer's turn
  void take_last(
      std::function<void()> done);  // the last snapshot of this life; `done` is called whatever becomes of it

 private:
  void take();
  void on_written(const Result<snapshot::WrittenSnapshot>& written);
  void finish_last();
  void look_at_clock();
  void record_jump(std::int64_t expected_ns, std::int64_t found_ns);
  void remove_segments();
  event_log::RetentionRule rule() const;
  void arm_timer();
  void warn(const std::string& text) const;

  KernelContext& context_;
  const Dispatcher& dispatcher_;
  snapshot::SnapshotWriter* writer_;
  std::function<void(const std::string&)> warn_;
  std::vector<EventSeq> usable_;  // snapshots that a start could use, oldest first
  EventSeq counted_seq_ = 0;      // events are counted from here
  std::uint64_t counted_bytes_ = 0;
  std::uint64_t bytes_before_ = 0;  // replayed at the start, and so not in the journal's count
  bool writing_ = false;
  bool ended_ = false;  // nothing is recorded any more
  std::function<void()> on_last_;
  EventSeq removed_through_ = 0;
  std::int64_t seen_wall_ns_ = 0;
  std::int64_t seen_passed_ns_ = 0;
  boost::asio::steady_timer timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for callbacks that may come after the end
};

}  // namespace liongate::orchestrator
