// The segment that is written: finishes batches with checksums and a commit, writes each by one call, syncs, seals.
//
// Ownership and thread: owned by the commit writer, on the writer thread.
// Errors: what the file returns. After want of space the same batch may be written again; after a failed sync nothing.
#pragma once

#include <memory>

#include "kernel/event_log/append_queue.h"
#include "kernel/event_log/chain_hash.h"
#include "kernel/event_log/recovery.h"

namespace liongate::event_log {

class SegmentWriter {
 public:
  // Makes a segment that continues `end` out of the file named kSpareFileName; durable when this returns.
  static Result<std::unique_ptr<SegmentWriter>> create(Storage& storage, const LogEnd& end, std::int64_t created_ns);

  // Where the file would end after `batch` and its commit.
  std::uint64_t end_after(const Batch& batch) const { return position_ + batch.size_bytes() + kLinkRecordBytes; }
  // A batch without events takes the place behind the last event.
  Result<void> write(Batch& batch);
  // Makes everything written durable.
  Result<void> sync();
  // Ends the segment in order, with the records of its footer or nothing, and moves `end` behind it. Everything must be
  // synced.
  Result<void> seal(SealReason reason, LogEnd& end, std::span<const std::byte> footer);

  EventSeq first_seq() const { return first_seq_; }
  EventSeq last_seq() const { return last_seq_; }  // committed
  std::uint64_t position() const { return position_; }
  bool has_batches() const { return position_ > kSegmentHeaderBytes; }
  const Hash& hash() const { return hash_; }                   // of the last batch
  std::int64_t last_time_ns() const { return last_time_ns_; }  // of the last event
  bool empty() const { return last_seq_ < first_seq_; }

 private:
  SegmentWriter(std::shared_ptr<File> file, const LogEnd& end);

  std::shared_ptr<File> file_;
  std::uint32_t key_ = 0;
  EventSeq first_seq_;
  EventSeq last_seq_;
  std::int64_t last_time_ns_;
  std::uint64_t position_ = kSegmentHeaderBytes;
  std::uint64_t durable_offset_ = kSegmentHeaderBytes;
  Hash hash_{};
  ChainHash chain_;
};

}  // namespace liongate::event_log
