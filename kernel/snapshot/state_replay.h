// Makes the kernel's state anew: from the newest snapshot that can be trusted and the events behind it, or from all of
// them.
//
// A snapshot is used if it is whole, of this node, not ahead of the log, and the log still holds the event it ends
// with, with the same bytes. Any other is ignored, with its reason; then an older one or the whole log does. Where
// retention removed events and no snapshot can be used there is no state to be had: kLogCorrupt.
//
// Ownership and thread: shares what it reads from; used by one thread at a time, any. Errors: kLogCorrupt where events
// contradict those before them; what the log's reader returns.
#pragma once

#include <functional>
#include <limits>
#include <vector>

#include "kernel/event_log/event_log.h"
#include "kernel/registry/open_calls.h"
#include "kernel/registry/registry.h"
#include "kernel/snapshot/snapshot_store.h"

namespace liongate::snapshot {

struct ReplayedState {
  registry::Registry registry;
  registry::OpenCalls open_calls;
  EventSeq seq = 0;           // the last event applied
  EventSeq snapshot_seq = 0;  // what it was built on; 0: the log alone
  EventSeq older_seq = 0;     // the snapshot before that, which was not looked into; 0: there is none
  std::uint64_t events_replayed = 0;
  std::uint64_t bytes_replayed = 0;
  std::int64_t log_time_ns = 0;                // of the last event; 0 where there is none
  std::vector<std::string> snapshots_ignored;  // "NAME: why"

  v1::KernelState message() const;
};

// How far a replay is: asked now and then; false ends it with kCancelled.
using ReplayProgress = std::function<bool(EventSeq done)>;

inline constexpr EventSeq kToTheEnd = std::numeric_limits<EventSeq>::max();

// A replay that stops where it is told to.
class StateReplay {
 public:
  // kNewest: as little as possible is read. kOldest: as much as there is.
  enum class Base : std::uint8_t { kNewest, kOldest };

  // `store` may be null. Snapshots after `until` are not looked at.
  static Result<StateReplay> begin(const event_log::LogView& log, SnapshotStore* store, Base base,
                                   EventSeq until = kToTheEnd);
  // Applies the events up to `until`, or to the end of the log.
  Result<void> run_to(EventSeq until, const ReplayProgress& progress = {});

  const ReplayedState& state() const { return state_; }
  ReplayedState take() && { return std::move(state_); }

 private:
  StateReplay() = default;
  Result<bool> restore(const event_log::LogView& log, SnapshotStore& store, Base base, EventSeq until);
  Result<void> try_snapshot(const event_log::LogView& log, SnapshotStore& store, EventSeq seq);
  Result<void> apply(EventSeq seq, std::string_view bytes);

  ReplayedState state_;
  std::unique_ptr<event_log::EventReader> reader_;
  v1::Event event_;  // the last one applied; reused
};

// What a start does: to the end of the log, on the newest snapshot.
Result<ReplayedState> replay(const event_log::LogView& log, SnapshotStore* store);

// Whether `snapshot` belongs to this log: a reader that stands behind its last event, which it left in `last`.
Result<std::unique_ptr<event_log::EventReader>> bind(const event_log::LogView& log, const v1::Snapshot& snapshot,
                                                     v1::Event& last);

// SHA-256 of the bytes of event `seq`, as the log holds them.
Result<std::string> event_sha256(const event_log::LogView& log, EventSeq seq);

}  // namespace liongate::snapshot
