// The tree at the end of a log, so that the next life signs on: from the last checkpoint and the commits behind it.
//
// Ownership and thread: a TreeTail is lent to scans of consecutive segments, on their thread. Errors: `complete_tree`
// and `find_last_note` say kLogCorrupt for a checkpoint or segment that cannot be read.
#pragma once

#include <string>
#include <vector>

#include "kernel/base/result.h"
#include "kernel/event_log/batch_witness.h"
#include "kernel/event_log/checkpoint.h"
#include "kernel/event_log/storage.h"

namespace liongate::event_log {

// What signing goes on from.
struct TreeState {
  MerkleTree tree;
  std::string note;       // the last checkpoint; empty: there is none
  EventSeq last_seq = 0;  // that it covers
};

class TreeTail final : public BatchWitness {
 public:
  void on_checkpoint(const RecordView& record) override;
  void on_batch(const Commit& commit, std::uint64_t offset) override;
  void on_gap() override;

  // What follows is the beginning of the log.
  void begin_empty();
  bool known() const { return known_; }
  // Only where known().
  TreeState finish();

 private:
  void fold();

  TreeState state_;
  std::optional<CheckpointRecord> candidate_;  // in a batch that has no commit yet
  std::vector<Hash> leaves_;  // behind state_.tree; most are never needed, the next checkpoint has them
  ChainHash hasher_;
  bool known_ = false;
};

// The tree at the end of `segments`; `tail` has seen the last of them. Reads further back only where it must.
Result<TreeState> complete_tree(Storage& storage, const std::vector<std::string>& segments, TreeTail& tail);

// The last checkpoint in `segments`, empty where there is none.
Result<std::string> find_last_note(Storage& storage, const std::vector<std::string>& segments);

}  // namespace liongate::event_log
