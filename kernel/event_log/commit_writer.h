// The writer thread: takes what is queued, commits it, syncs when somebody waits, says what is durable, changes
// segments, writes checkpoints.
//
// Ownership and thread: owned by the log; starts its thread in the constructor and ends it in `close`. The handlers are
// called on that thread. `add_listener`, `remove_listener`, `read_only`, `failure`, `checkpoint` may be called from any
// thread.
// Errors: want of space stops it until there is some; every other failure is fatal and told once.
#pragma once

#include <atomic>
#include <map>
#include <memory>
#include <vector>

#include "kernel/event_log/append_queue.h"
#include "kernel/event_log/catalog.h"
#include "kernel/event_log/footer_maker.h"
#include "kernel/event_log/notary.h"
#include "kernel/event_log/prewriter.h"
#include "kernel/event_log/runtime.h"
#include "kernel/event_log/segment_writer.h"

namespace liongate::event_log {

class CommitWriter {
 public:
  // Without a notary nothing is signed.
  CommitWriter(std::shared_ptr<Storage> storage, std::shared_ptr<Catalog> catalog, const Options& options,
               Handlers handlers, const LogEnd& end, const Clock& clock, std::unique_ptr<Notary> notary);
  ~CommitWriter();

  AppendQueue& queue() { return queue_; }
  EventSeq durable_seq() const { return durable_seq_.load(std::memory_order_acquire); }
  bool read_only() const { return stalled_.load(std::memory_order_relaxed) || prewriter_.read_only(); }
  bool failed() const { return failed_.load(std::memory_order_acquire); }
  // Only after failed(): what it was.
  const Error& failure() const { return *failure_; }

  // Has everything up to `seq` synced that was queued, and waits for it, at most for `wait`; not at all while there is
  // no space.
  void sync_up_to(EventSeq seq, std::chrono::milliseconds wait);

  std::uint64_t add_listener(std::function<void(EventSeq)> listener);
  void remove_listener(std::uint64_t token);

  // See EventLog::sync_soon and EventLog::remove_through; any thread.
  void sync_soon();
  void remove_through(EventSeq last_seq);
  // The note of a checkpoint that covers everything committed before the call, on disk.
  Result<std::string> checkpoint();

  // Commits what is queued, seals, ends the thread. Call once.
  Result<void> close();

 private:
  void run();
  Result<void> commit(AppendQueue::Taken& taken);
  Result<void> write_when_space(Batch& batch);
  Result<void> write(Batch& batch);
  Result<void> append(Batch& batch);
  Result<void> begin_segment();
  Result<void> end_segment(SealReason reason);
  Result<void> sync();
  EventSeq written_seq() const { return segment_ ? segment_->last_seq() : end_.last_seq; }
  bool owes_checkpoint() const { return notary_ && notary_->owes(written_seq()); }
  Result<void> checkpoint_when_due();
  Result<void> make_checkpoint();
  Result<void> write_checkpoint();
  void publish();
  void notify_listeners();
  void remove_segments();
  void report_read_only();
  void fail(Error error);

  const std::shared_ptr<Storage> storage_;
  const std::shared_ptr<Catalog> catalog_;
  const Options options_;
  const Handlers handlers_;
  const Clock& clock_;
  LogEnd end_;
  const std::unique_ptr<Notary> notary_;
  std::optional<runtime::SteadyClock::time_point> checkpoint_due_;
  Batch checkpoint_batch_;
  AppendQueue queue_;
  Prewriter prewriter_;
  FooterMaker footer_maker_;
  std::unique_ptr<SegmentWriter> segment_;
  std::vector<Catalog::CommittedBatch> unpublished_;  // written, not yet to be read
  EventSeq committed_seq_ = 0;
  std::atomic<EventSeq> durable_seq_;
  std::atomic<EventSeq> remove_through_{0};
  std::atomic<bool> stalled_{false};
  std::atomic<bool> failed_{false};
  std::optional<Error> failure_;
  bool reported_read_only_ = false;
  bool removal_failed_ = false;

  std::optional<runtime::SteadyClock::time_point> sync_due_;  // something was written that nobody waits for
  std::atomic<bool> sync_wanted_{false};
  runtime::Mutex durable_mutex_;  // for durable_wake_ alone
  runtime::Condition durable_wake_;

  runtime::Mutex listeners_mutex_;
  std::map<std::uint64_t, std::function<void(EventSeq)>> listeners_;
  std::uint64_t next_token_ = 1;
  runtime::Thread thread_;
};

}  // namespace liongate::event_log
