#include "kernel/snapshot/state_check.h"

#include <algorithm>
#include <cerrno>

#include "kernel/registry/state.h"

namespace liongate::snapshot {
namespace {

// Every snapshot up to `until`, oldest first, with what it says of itself.
Result<std::vector<StateCheck>> read_snapshots(const event_log::LogView& log, SnapshotStore& store, EventSeq until) {
  std::vector<StateCheck> checks;
  LG_ASSIGN(std::vector<EventSeq> seqs, store.list());
  std::reverse(seqs.begin(), seqs.end());
  for (const EventSeq seq : seqs) {
    if (seq > until) continue;
    const Result<v1::Snapshot> snapshot = store.read(seq);
    if (!snapshot && snapshot.error().sys_errno == ENOENT) continue;  // a living daemon has a newer one meanwhile
    StateCheck& check = checks.emplace_back(StateCheck{.subject = file_name(seq), .seq = seq});
    if (!snapshot) {
      check.message = snapshot.error().message;
      continue;
    }
    v1::Event last;
    const auto bound = bind(log, *snapshot, last);
    if (bound) {
      check.sha256 = registry::state_sha256(snapshot->state());
      if (check.sha256 != snapshot->state_sha256()) check.message = "its state is not the one it was hashed from";
    } else {
      check.message = bound.error().message;
    }
  }
  return checks;
}

}  // namespace

bool StateVerification::matches() const {
  return std::all_of(checks.begin(), checks.end(), [](const StateCheck& check) { return check.matches(); });
}

Result<StateVerification> verify_state(const event_log::LogView& log, SnapshotStore* store,
                                       const std::optional<v1::KernelState>& living, const ReplayProgress& progress) {
  StateVerification result;
  const EventSeq until = living ? living->seq() : log.last_seq;
  if (store != nullptr) {
    LG_ASSIGN(result.checks, read_snapshots(log, *store, until));
  }
  if (living) {
    result.checks.push_back({.subject = "living", .seq = until, .sha256 = registry::state_sha256(*living)});
  }
  LG_ASSIGN(StateReplay replay, StateReplay::begin(log, store, StateReplay::Base::kOldest, until));
  result.base_seq = replay.state().snapshot_seq;
  for (StateCheck& check : result.checks) {
    if (!check.message.empty()) continue;
    if (check.seq < result.base_seq) {
      check.message = "the events before it were removed by retention: it cannot be told";
      continue;
    }
    LG_TRY(replay.run_to(check.seq, progress));
    check.replayed_sha256 = registry::state_sha256(replay.state().message());
    if (!check.matches()) check.message = "the log makes another state";
  }
  LG_TRY(replay.run_to(until, progress));
  result.seq = replay.state().seq;
  result.replayed_sha256 = registry::state_sha256(replay.state().message());
  return result;
}

}  // namespace liongate::snapshot
