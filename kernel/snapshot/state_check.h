// Holds states against what the log makes: the living one of a daemon, and those in the snapshot files.
//
// The log is replayed once, from its first event where that is still there, else from the oldest snapshot that can be
// used, and its state is hashed wherever there is something to compare it with. `progress` may end it.
//
// Ownership and thread: a function; any thread that may wait for a disk. Errors: as replay().
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "kernel/snapshot/state_replay.h"

namespace liongate::snapshot {

struct StateCheck {
  std::string subject;  // "living" or a snapshot's file name
  EventSeq seq = 0;
  std::string sha256;           // what it is
  std::string replayed_sha256;  // what the log makes; empty where it could not be told
  std::string message;          // why it does not match

  bool matches() const { return message.empty() && sha256 == replayed_sha256; }
};

struct StateVerification {
  EventSeq seq = 0;  // the last event replayed
  EventSeq base_seq = 0;
  std::string replayed_sha256;
  std::vector<StateCheck> checks;

  bool matches() const;
};

// `living`, where there is one, is the state at its `seq`, up to which the log can be read. Without it the log is
// replayed to its end.
Result<StateVerification> verify_state(const event_log::LogView& log, SnapshotStore* store,
                                       const std::optional<v1::KernelState>& living,
                                       const ReplayProgress& progress = {});

}  // namespace liongate::snapshot
