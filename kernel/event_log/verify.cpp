#include "kernel/event_log/verify.h"

#include <algorithm>
#include <cerrno>

#include "kernel/event_log/checkpoint_audit.h"
#include "kernel/event_log/folder_lock.h"
#include "kernel/event_log/recovery.h"
#include "kernel/event_log/segment_scan.h"

namespace liongate::event_log {
namespace {

constexpr int kRereadsMax = 5;

class Verifier {
 public:
  Verifier(Storage& storage, LogState state, CheckpointAudit audit, const VerifyProgress& progress)
      : storage_(storage), state_(state), audit_(std::move(audit)), progress_(progress) {}

  Result<Verification> run();

 private:
  enum class Place : std::uint8_t { kInner, kLast };

  Result<void> check(const std::string& name, Place place);
  Result<SegmentScan> scan(OpenedSegment& segment, Place place);
  void check_joint(const OpenedSegment& segment, const std::string& name);
  void check_tail(const SegmentScan& scan, const std::string& name);
  void report(DamageKind kind, const std::string& segment, std::uint64_t offset, const std::string& what);

  Storage& storage_;
  const LogState state_;
  CheckpointAudit audit_;
  const VerifyProgress& progress_;
  std::uint64_t bytes_done_ = 0;  // of whole segments
  std::uint64_t bytes_total_ = 0;
  Verification result_;
  bool chained_ = false;  // the segment before was read, so that the next one can be held against it
  NodeId node_{};
  Hash hash_{};
};

void Verifier::report(DamageKind kind, const std::string& segment, std::uint64_t offset, const std::string& what) {
  result_.damages.push_back({.kind = kind,
                             .segment = segment,
                             .offset = offset,
                             .last_good_seq = result_.last_seq,
                             .message = "segment " + segment + " offset " + std::to_string(offset) + ": " +
                                        std::string(name_of(kind)) + ": " + what + "; whole up to event " +
                                        std::to_string(result_.last_seq)});
}

void Verifier::check_joint(const OpenedSegment& segment, const std::string& name) {
  if (result_.first_seq == 0) {  // the first that could be read
    result_.first_seq = segment.header.first_seq;
    result_.last_seq = segment.header.first_seq - 1;
    return;
  }
  if (!chained_) {  // nobody knows where the segment before ended: that it cannot be read is said already
    result_.last_seq = std::max(result_.last_seq, segment.header.first_seq - 1);
    return;
  }
  if (segment.header.node != node_) report(DamageKind::kBadHeader, name, 0, "it belongs to another node");
  if (segment.header.first_seq > result_.last_seq + 1) {
    report(DamageKind::kMissingSegment, segment_name(result_.last_seq + 1), 0,
           "the next segment there is begins with event " + std::to_string(segment.header.first_seq));
  } else if (segment.header.first_seq <= result_.last_seq) {
    report(DamageKind::kSequenceGap, name, 0, "it begins before the segment in front of it ends");
  } else if (chained_ && segment.header.previous_hash != hash_) {
    report(DamageKind::kBrokenChain, name, 0, "its header does not follow from the segment before");
  }
}

void Verifier::check_tail(const SegmentScan& scan, const std::string& name) {
  if (scan.tail_bytes == 0) return;
  if (!scan.sealed && state_ == LogState::kWritten) return;
  // Where a record would begin, something did begin; anywhere else nothing can have.
  const bool torn = !scan.sealed && scan.tail_offset < scan.end_offset + kRecordAlignmentBytes;
  if (torn) {
    report(DamageKind::kTornTail, name, scan.end_offset,
           std::to_string(scan.tail_bytes) + " bytes of a batch without its commit");
  } else {
    report(DamageKind::kNonZeroPadding, name, scan.tail_offset, "bytes that nobody wrote behind the last commit");
  }
}

Result<void> Verifier::check(const std::string& name, Place place) {
  auto segment = open_segment(storage_, name, Access::kRead);
  if (!segment) {
    Error& error = segment.error();
    if (error.sys_errno == ENOENT && state_ == LogState::kWritten) {  // retention took it and what was before it
      chained_ = false;
      return {};
    }
    if (error.reason != Reason::kLogCorrupt) return std::move(error);
    ++result_.segments;
    chained_ = false;
    audit_.on_gap();
    report(DamageKind::kBadHeader, name, 0, error.message);
    return {};
  }
  ++result_.segments;
  check_joint(*segment, name);
  audit_.begin_segment(segment->header,
                       result_.segments == 1 ? CheckpointAudit::Place::kOldest : CheckpointAudit::Place::kLater);
  LG_ASSIGN(const SegmentScan scan, this->scan(*segment, place));
  bytes_done_ += segment->size_bytes;
  const std::vector<Damage> audited = audit_.take_damages();
  result_.damages.insert(result_.damages.end(), scan.damages.begin(), scan.damages.end());
  result_.damages.insert(result_.damages.end(), audited.begin(), audited.end());
  result_.events += scan.events;
  result_.last_seq = scan.last_seq;
  node_ = segment->header.node;
  hash_ = scan.hash;
  // An inner segment that cannot be read to its seal was reported where that begins; what its seal said nobody knows.
  chained_ = scan.sealed || place == Place::kLast;
  if (chained_) check_tail(scan, name);
  return {};
}

Result<SegmentScan> Verifier::scan(OpenedSegment& segment, Place place) {
  const CheckpointAudit before = audit_;
  const ScanOptions options{
      .hashes = ScanOptions::Hashes::kVerify,
      .on_damage = ScanOptions::OnDamage::kContinue,
      .place = place == Place::kLast ? ScanOptions::Place::kLast : ScanOptions::Place::kInner,
      .go_on = [this](std::uint64_t offset) { return !progress_ || progress_(bytes_done_ + offset, bytes_total_); },
      .witness = &audit_};
  LG_ASSIGN(SegmentScan scan, scan_segment(segment, options));
  // A batch that was being written while it was read, and the commits that followed it meanwhile, look like damage.
  // What is damaged stays so; what was written is whole when it is read again.
  for (int again = 0; again < kRereadsMax && !scan.damages.empty() && state_ == LogState::kWritten; ++again) {
    audit_ = before;
    LG_ASSIGN(segment.size_bytes, segment.file->size_bytes());
    LG_ASSIGN(scan, scan_segment(segment, options));
  }
  return scan;
}

Result<Verification> Verifier::run() {
  LG_ASSIGN(FolderListing listing, list_folder(storage_));
  result_.foreign_files = std::move(listing.foreign);
  result_.in_use = state_ == LogState::kWritten;
  for (const std::string& name : listing.segments) {
    const auto file = storage_.open(name, Access::kRead);  // what cannot be opened is found below
    const auto size = file ? (*file)->size_bytes() : Result<std::uint64_t>(std::uint64_t{0});
    bytes_total_ += size ? *size : 0;
  }
  for (std::size_t i = 0; i < listing.segments.size(); ++i) {
    LG_TRY(check(listing.segments[i], i + 1 == listing.segments.size() ? Place::kLast : Place::kInner));
  }
  audit_.finish(result_);
  return std::move(result_);
}

// Whose log it is, by the first segment that says so.
Result<std::optional<NodeId>> node_of(Storage& storage) {
  LG_ASSIGN(const FolderListing listing, list_folder(storage));
  for (const std::string& name : listing.segments) {
    if (const auto segment = open_segment(storage, name, Access::kRead)) return std::optional(segment->header.node);
  }
  return std::optional<NodeId>();
}

}  // namespace

std::string_view name_of(DamageKind kind) {
  switch (kind) {
    case DamageKind::kTornTail:
      return "torn_tail";
    case DamageKind::kNonZeroPadding:
      return "nonzero_padding";
    case DamageKind::kBadCrc:
      return "bad_crc";
    case DamageKind::kBrokenChain:
      return "broken_chain";
    case DamageKind::kBadHeader:
      return "bad_header";
    case DamageKind::kMissingSegment:
      return "missing_segment";
    case DamageKind::kSequenceGap:
      return "sequence_gap";
    case DamageKind::kBadCheckpoint:
      return "bad_checkpoint";
    case DamageKind::kUnvouchedKey:
      return "unvouched_key";
    case DamageKind::kHistoryRewritten:
      return "history_rewritten";
    case DamageKind::kLogTruncated:
      return "log_truncated";
  }
  return "unknown";
}

Result<Verification> verify_storage(Storage& storage, LogState state, const Evidence& evidence,
                                    const VerifyProgress& progress) {
  LG_ASSIGN(const std::optional<NodeId> node, node_of(storage));
  LG_ASSIGN(CheckpointAudit audit, CheckpointAudit::make(evidence, node));
  return Verifier(storage, state, std::move(audit), progress).run();
}

Result<Verification> verify(const std::string& folder, const Evidence& evidence, const VerifyProgress& progress) {
  LG_ASSIGN(const std::shared_ptr<Storage> storage, open_disk_storage(folder));
  return verify_storage(*storage, FolderLock::is_held(folder) ? LogState::kWritten : LogState::kAtRest, evidence,
                        progress);
}

}  // namespace liongate::event_log
