// What a scan tells those who build the tree over a log: every batch in order, and the checkpoints among them.
//
// Ownership and thread: lent to a scan, called on its thread. A record is valid during the call. No errors.
#pragma once

#include "kernel/event_log/format.h"

namespace liongate::event_log {

class BatchWitness {
 public:
  virtual ~BatchWitness() = default;
  // A checkpoint in the batch whose commit comes next, if it comes.
  virtual void on_checkpoint(const RecordView& record) = 0;
  // A batch is whole; `offset` is that of its commit.
  virtual void on_batch(const Commit& commit, std::uint64_t offset) = 0;
  // Batches that cannot be read, nobody knows how many.
  virtual void on_gap() = 0;
};

}  // namespace liongate::event_log
