#include "kernel/snapshot/state_replay.h"

#include <algorithm>

#include "kernel/base/digest.h"
#include "kernel/registry/state.h"

namespace liongate::snapshot {

using event_log::EventReader;
using event_log::LogView;

namespace {

Error contradicts(const v1::Event& event, const Error& why) {
  return make_error(Reason::kLogCorrupt, "event " + std::to_string(event.seq()) + " (" + event.type() +
                                             ") contradicts the events before it: " + why.message)
      .with_hint("`liongatectl verify-log --state-dir DIR` checks the log; keep a copy of it");
}

Error nothing_to_build_on(const LogView& log, const ReplayedState& tried) {
  std::string message = "events 1 to " + std::to_string(log.first_seq - 1) +
                        " were removed by retention and no snapshot of what they made can be used";
  for (const std::string& ignored : tried.snapshots_ignored) message += "; " + ignored;
  return make_error(Reason::kLogCorrupt, message)
      .with_hint("restore the folder snapshots from a copy of the state folder; nothing was changed")
      .with("first_seq", std::to_string(log.first_seq));
}

}  // namespace

v1::KernelState ReplayedState::message() const {
  v1::KernelState state = to_message(registry.copy_state(seq));
  open_calls.add_to(state);
  return state;
}

Result<std::unique_ptr<EventReader>> bind(const LogView& log, const v1::Snapshot& snapshot, v1::Event& last) {
  if (snapshot.node_id() != log.node_id) {
    return make_error(Reason::kLogCorrupt, "it is of node " + snapshot.node_id() + ", not " + log.node_id);
  }
  if (snapshot.seq() > log.last_seq) {
    return make_error(Reason::kLogCorrupt,
                      "it is ahead of the log, which ends with event " + std::to_string(log.last_seq));
  }
  LG_ASSIGN(std::unique_ptr<EventReader> reader, log.read(snapshot.seq() - 1));
  EventSeq seq = 0;
  std::string_view bytes;
  LG_ASSIGN(const bool any, reader->next_bytes(seq, bytes));
  if (!any || seq != snapshot.seq()) {
    return make_error(Reason::kLogCorrupt, "the log no longer holds the event it ends with");
  }
  if (sha256_hex(bytes) != snapshot.event_sha256() ||
      !last.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return make_error(Reason::kLogCorrupt, "event " + std::to_string(seq) + " of the log is another one than its own");
  }
  return reader;
}

Result<void> StateReplay::try_snapshot(const LogView& log, SnapshotStore& store, EventSeq seq) {
  LG_ASSIGN(const v1::Snapshot snapshot, store.read(seq));
  LG_ASSIGN(auto reader, bind(log, snapshot, event_));
  LG_TRY(state_.registry.restore(snapshot.state()));
  state_.open_calls.restore(snapshot.state());
  state_.seq = state_.snapshot_seq = seq;
  reader_ = std::move(reader);
  return {};
}

// Whether a snapshot was found to build on.
Result<bool> StateReplay::restore(const LogView& log, SnapshotStore& store, Base base, EventSeq until) {
  LG_ASSIGN(std::vector<EventSeq> seqs, store.list());
  if (base == Base::kOldest) std::reverse(seqs.begin(), seqs.end());
  for (auto at = seqs.begin(); at != seqs.end(); ++at) {
    const EventSeq seq = *at;
    if (seq > until) continue;
    const Result<void> usable = try_snapshot(log, store, seq);
    if (usable) {
      if (base == Base::kNewest && at + 1 != seqs.end()) state_.older_seq = *(at + 1);
      return true;
    }
    state_.snapshots_ignored.push_back(file_name(seq) + ": " + usable.error().message);
  }
  return false;
}

Result<StateReplay> StateReplay::begin(const LogView& log, SnapshotStore* store, Base base, EventSeq until) {
  StateReplay replay;
  const bool log_is_whole = log.first_seq <= 1;
  if (store != nullptr && !(log_is_whole && base == Base::kOldest)) {
    LG_ASSIGN(const bool restored, replay.restore(log, *store, base, until));
    if (restored) return replay;
  }
  if (!log_is_whole) return nothing_to_build_on(log, replay.state_);
  LG_ASSIGN(replay.reader_, log.read(0));
  return replay;
}

Result<void> StateReplay::apply(EventSeq seq, std::string_view bytes) {
  if (!event_.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return make_error(Reason::kLogCorrupt, "event " + std::to_string(seq) + " cannot be read");
  }
  if (seq != state_.seq + 1) {
    return make_error(Reason::kLogCorrupt,
                      "event " + std::to_string(state_.seq + 1) + " was removed while it was read");
  }
  if (Result<void> applied = state_.registry.apply(event_); !applied) return contradicts(event_, applied.error());
  state_.open_calls.apply(event_);
  state_.seq = seq;
  ++state_.events_replayed;
  state_.bytes_replayed += bytes.size();
  return {};
}

Result<void> StateReplay::run_to(EventSeq until, const ReplayProgress& progress) {
  constexpr EventSeq kEventsBetweenAsks = 10'000;  // some milliseconds
  while (state_.seq < until) {
    EventSeq seq = 0;
    std::string_view bytes;
    LG_ASSIGN(const bool more, reader_->next_bytes(seq, bytes));
    if (!more) break;
    LG_TRY(apply(seq, bytes));
    if (progress && seq % kEventsBetweenAsks == 0 && !progress(seq)) {
      return make_error(Reason::kCancelled, "the replay of the log was ended early");
    }
  }
  state_.log_time_ns = event_.time().seconds() * 1'000'000'000 + event_.time().nanos();
  return {};
}

Result<ReplayedState> replay(const LogView& log, SnapshotStore* store) {
  LG_ASSIGN(StateReplay replay, StateReplay::begin(log, store, StateReplay::Base::kNewest));
  LG_TRY(replay.run_to(kToTheEnd));
  return std::move(replay).take();
}

Result<std::string> event_sha256(const LogView& log, EventSeq seq) {
  LG_ASSIGN(const std::unique_ptr<EventReader> reader, log.read(seq - 1));
  EventSeq found = 0;
  std::string_view bytes;
  LG_ASSIGN(const bool any, reader->next_bytes(found, bytes));
  if (!any || found != seq) {
    return make_error(Reason::kInternal, "event " + std::to_string(seq) + " cannot be read back from the log");
  }
  return sha256_hex(bytes);
}

}  // namespace liongate::snapshot
