#include "kernel/event_log/segment_scan.h"

#include <algorithm>

#include "kernel/event_log/chain_hash.h"

namespace liongate::event_log {
namespace {

constexpr std::uint64_t kAskDistanceBytes = 4 * 1024 * 1024;  // some milliseconds

class Scanner {
 public:
  Scanner(const OpenedSegment& segment, const ScanOptions& options)
      : segment_(segment),
        options_(options),
        end_(options.end != 0 ? options.end : segment.size_bytes),
        cursor_(segment.file, segment.key, kSegmentHeaderBytes, end_) {
    scan_.last_seq = segment.header.first_seq - 1;
    scan_.hash = hash_.of_header(segment.page);
  }

  Result<SegmentScan> run();

 private:
  // Whether the walk goes on.
  enum class Walk : std::uint8_t { kGoOn, kDone };

  void start_batch();
  Walk take(const RecordView& record);
  Walk take_event(const RecordView& record);
  Walk take_commit(const RecordView& record);
  Walk take_seal(const RecordView& record);
  void accept_link(const RecordView& record, EventSeq last_seq, const Hash& hash);
  void accept_commit(const RecordView& record, const Commit& commit);
  bool chain_holds(const RecordView& record, const Hash& previous, const Hash& stated);
  Walk report(DamageKind kind, std::uint64_t offset, std::string what);
  Result<Walk> judge_unreadable(std::uint64_t offset);
  Result<bool> was_durable(std::uint64_t from);
  Result<Walk> resume_behind(std::uint64_t offset);
  Result<void> measure_tail();

  const OpenedSegment& segment_;
  const ScanOptions& options_;
  const std::uint64_t end_;
  RecordCursor cursor_;
  ChainHash hash_;
  SegmentScan scan_;
  std::uint32_t batch_events_ = 0;
  bool batch_damaged_ = false;  // reported already
};

void Scanner::start_batch() {
  batch_events_ = 0;
  batch_damaged_ = false;
  if (options_.hashes == ScanOptions::Hashes::kVerify) {
    hash_.start();
    hash_.add(scan_.hash);
  }
}

Scanner::Walk Scanner::report(DamageKind kind, std::uint64_t offset, std::string what) {
  Damage damage;
  damage.kind = kind;
  damage.segment = segment_name(segment_.header.first_seq);
  damage.offset = offset;
  damage.last_good_seq = scan_.last_seq;
  damage.message = "segment " + damage.segment + " offset " + std::to_string(offset) + ": " +
                   std::string(name_of(kind)) + ": " + what + "; whole up to event " + std::to_string(scan_.last_seq);
  scan_.damages.push_back(std::move(damage));
  return options_.on_damage == ScanOptions::OnDamage::kStop ? Walk::kDone : Walk::kGoOn;
}

Scanner::Walk Scanner::take(const RecordView& record) {
  if (record.is(RecordKind::kCommit)) return take_commit(record);
  if (record.is(RecordKind::kSeal)) return take_seal(record);
  if (options_.hashes == ScanOptions::Hashes::kVerify) hash_.add(record.bytes);
  if (record.is(RecordKind::kCheckpoint) && options_.witness != nullptr) options_.witness->on_checkpoint(record);
  return record.is(RecordKind::kEvent) ? take_event(record) : Walk::kGoOn;
}

Scanner::Walk Scanner::take_event(const RecordView& record) {
  const EventSeq expected = scan_.last_seq + batch_events_ + 1;
  ++batch_events_;
  if (record.seq == expected || batch_damaged_) return Walk::kGoOn;
  batch_damaged_ = true;
  return report(DamageKind::kSequenceGap, record.offset,
                "event " + std::to_string(record.seq) + " stands where " + std::to_string(expected) + " should");
}

bool Scanner::chain_holds(const RecordView& record, const Hash& previous, const Hash& stated) {
  if (previous != scan_.hash) return false;
  if (options_.hashes == ScanOptions::Hashes::kTrust) return true;
  hash_.add(record.body.first(record.body.size() - sizeof(Hash)));
  return hash_.finish() == stated;
}

void Scanner::accept_link(const RecordView& record, EventSeq last_seq, const Hash& hash) {
  scan_.last_seq = last_seq;
  scan_.last_time_ns = record.time_ns;
  scan_.end_offset = cursor_.offset();
  scan_.hash = hash;
  start_batch();
}

void Scanner::accept_commit(const RecordView& record, const Commit& commit) {
  if (options_.witness != nullptr) options_.witness->on_batch(commit, record.offset);
  accept_link(record, commit.last_seq, commit.hash);
}

Scanner::Walk Scanner::take_commit(const RecordView& record) {
  const auto commit = decode_commit(record.body);
  Walk walk = Walk::kGoOn;
  if (commit && batch_damaged_) {
    accept_commit(record, *commit);
    return Walk::kGoOn;
  }
  if (!commit || !chain_holds(record, commit->previous_hash, commit->hash)) {
    walk = report(DamageKind::kBrokenChain, record.offset, "the commit does not follow from what is in front of it");
  } else if (commit->count != batch_events_ || commit->batch_offset != scan_.end_offset ||
             commit->first_seq != scan_.last_seq + 1 || commit->last_seq != scan_.last_seq + batch_events_) {
    walk = report(DamageKind::kSequenceGap, record.offset, "the commit does not describe its batch");
  } else {
    scan_.events += batch_events_;
  }
  if (walk == Walk::kDone || !commit) return Walk::kDone;
  accept_commit(record, *commit);
  scan_.durable_offset = commit->durable_offset;
  return Walk::kGoOn;
}

Scanner::Walk Scanner::take_seal(const RecordView& record) {
  const auto seal = decode_seal(record.body);
  if (!seal || !chain_holds(record, seal->previous_hash, seal->hash)) {
    (void)report(DamageKind::kBrokenChain, record.offset, "the seal does not follow from what is in front of it");
  } else if (batch_events_ != 0 || seal->last_seq != scan_.last_seq) {
    (void)report(DamageKind::kSequenceGap, record.offset, "the seal does not describe its segment");
  }
  if (seal) accept_link(record, seal->last_seq, seal->hash);
  scan_.durable_offset = record.offset;
  scan_.sealed = true;
  return Walk::kDone;
}

// True if a whole link behind `from` shows that what follows the last whole commit had been on disk.
Result<bool> Scanner::was_durable(std::uint64_t from) {
  if (options_.place == ScanOptions::Place::kInner) return true;
  cursor_.jump_to(from);
  for (;;) {
    RecordView record;
    LG_ASSIGN(const auto step, cursor_.next_link(record));
    if (step != RecordCursor::Step::kRecord) return false;
    if (record.is(RecordKind::kSeal)) return true;
    const auto commit = decode_commit(record.body);
    if (commit && commit->durable_offset > scan_.end_offset) return true;
  }
}

// Behind corruption: goes on with the first whole link, whose fields are all that is left to go by.
Result<Scanner::Walk> Scanner::resume_behind(std::uint64_t offset) {
  if (options_.witness != nullptr) options_.witness->on_gap();
  cursor_.jump_to(offset);
  RecordView record;
  LG_ASSIGN(const auto step, cursor_.next_link(record));
  if (step != RecordCursor::Step::kRecord) return Walk::kDone;
  if (const auto seal = decode_seal(record.body); record.is(RecordKind::kSeal) && seal) {
    accept_link(record, seal->last_seq, seal->hash);
    scan_.sealed = true;
    return Walk::kDone;
  }
  const auto commit = decode_commit(record.body);
  accept_link(record, commit->last_seq, commit->hash);
  return Walk::kGoOn;
}

Result<Scanner::Walk> Scanner::judge_unreadable(std::uint64_t offset) {
  LG_TRY(measure_tail());
  if (scan_.tail_bytes == 0 && options_.place == ScanOptions::Place::kLast) return Walk::kDone;
  LG_ASSIGN(const bool durable, was_durable(offset + kRecordAlignmentBytes));
  if (!durable) return Walk::kDone;
  const bool ended = offset >= end_;
  const Walk walk = report(DamageKind::kBadCrc, offset,
                           ended ? "the segment ends without its seal" : "what had been written here cannot be read");
  if (walk == Walk::kDone || ended) return Walk::kDone;
  return resume_behind(offset + kRecordAlignmentBytes);
}

// Everything behind the last whole link must be zero; what is not is the tail.
Result<void> Scanner::measure_tail() {
  constexpr std::uint64_t kChunkBytes = 256 * 1024;
  const std::uint64_t behind = end_ > scan_.end_offset ? end_ - scan_.end_offset : 0;
  std::vector<std::byte> chunk(static_cast<std::size_t>(std::min(kChunkBytes, behind)));
  scan_.tail_bytes = 0;
  for (std::uint64_t at = scan_.end_offset; at < end_;) {
    const auto wanted = std::min<std::uint64_t>(chunk.size(), end_ - at);
    LG_ASSIGN(const std::size_t got, segment_.file->read_at(at, std::span(chunk).first(wanted)));
    if (got == 0) break;
    const auto nonzero = [](std::byte byte) { return byte != std::byte{0}; };
    const auto bytes = std::span(chunk).first(got);
    // memcmp against itself shifted by one compares at full memory speed.
    const bool all_zero = bytes[0] == std::byte{0} && std::memcmp(bytes.data(), bytes.data() + 1, got - 1) == 0;
    if (!all_zero) {
      const auto first = std::find_if(bytes.begin(), bytes.end(), nonzero) - bytes.begin();
      const auto last = bytes.rend() - std::find_if(bytes.rbegin(), bytes.rend(), nonzero);
      if (scan_.tail_bytes == 0) scan_.tail_offset = at + static_cast<std::uint64_t>(first);
      scan_.tail_bytes = at + static_cast<std::uint64_t>(last) - scan_.end_offset;
    }
    at += got;
  }
  return {};
}

Result<SegmentScan> Scanner::run() {
  start_batch();
  std::uint64_t ask_at = kSegmentHeaderBytes;
  for (Walk walk = Walk::kGoOn; walk == Walk::kGoOn;) {
    RecordView record;
    const std::uint64_t offset = cursor_.offset();
    if (options_.go_on && offset >= ask_at) {
      if (!options_.go_on(offset)) return make_error(Reason::kCancelled, "the scan of the log was ended early");
      ask_at = offset + kAskDistanceBytes;
    }
    LG_ASSIGN(const auto step, cursor_.next(record));
    if (step == RecordCursor::Step::kRecord) {
      walk = take(record);
    } else {
      LG_ASSIGN(walk, judge_unreadable(offset));
    }
  }
  LG_TRY(measure_tail());
  return std::move(scan_);
}

}  // namespace

Result<SegmentScan> scan_segment(const OpenedSegment& segment, const ScanOptions& options) {
  return Scanner(segment, options).run();
}

}  // namespace liongate::event_log
