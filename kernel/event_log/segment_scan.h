// Reads one segment from its header to its end and says what is whole, what is torn and what is damaged.
//
// The law it applies (docs/event-log-format.md, "Torn or damaged"): what cannot be read behind the last whole commit is
// a torn tail, unless the segment is sealed or a later link says that it had been on disk; then it is corruption.
//
// Ownership and thread: a pure function over one opened segment, callable from any thread.
// Errors: only what the file's reads return; damage is in the result.
#pragma once

#include <functional>
#include <vector>

#include "kernel/event_log/batch_witness.h"
#include "kernel/event_log/event_log.h"
#include "kernel/event_log/record_cursor.h"

namespace liongate::event_log {

struct ScanOptions {
  enum class Hashes : std::uint8_t { kTrust, kVerify };
  enum class OnDamage : std::uint8_t { kStop, kContinue };
  enum class Place : std::uint8_t { kLast, kInner };  // an inner segment must be sealed
  Hashes hashes = Hashes::kTrust;
  OnDamage on_damage = OnDamage::kStop;
  Place place = Place::kLast;
  std::uint64_t end = 0;                                 // look no further than this; 0: the whole file
  std::function<bool(std::uint64_t offset)> go_on = {};  // asked now and then; false ends the scan with kCancelled
  BatchWitness* witness = nullptr;
};

struct SegmentScan {
  std::uint64_t events = 0;  // in whole batches
  EventSeq last_seq = 0;     // of the last whole batch; one less than the segment's first where there is none
  std::int64_t last_time_ns = 0;
  std::uint64_t end_offset = kSegmentHeaderBytes;  // of the last whole link
  // Everything before it was on disk when the last whole link was written.
  std::uint64_t durable_offset = kSegmentHeaderBytes;
  Hash hash{};  // of the last whole link
  bool sealed = false;
  std::vector<Damage> damages;    // corruption only
  std::uint64_t tail_offset = 0;  // the first byte behind end_offset that is not zero, where tail_bytes > 0
  std::uint64_t tail_bytes = 0;   // from end_offset up to the last byte that is not zero
};

Result<SegmentScan> scan_segment(const OpenedSegment& segment, const ScanOptions& options);

}  // namespace liongate::event_log
