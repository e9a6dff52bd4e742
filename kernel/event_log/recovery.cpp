#include "kernel/event_log/recovery.h"

#include <algorithm>
#include <array>
#include <cerrno>

#include "kernel/base/failpoint.h"
#include "kernel/event_log/chain_hash.h"
#include "kernel/event_log/folder_lock.h"
#include "kernel/event_log/footer_maker.h"

namespace liongate::event_log {
namespace {

Damage damage_at(DamageKind kind, const std::string& segment, std::uint64_t offset, EventSeq last_good,
                 const std::string& what) {
  return Damage{.kind = kind,
                .segment = segment,
                .offset = offset,
                .last_good_seq = last_good,
                .message = "segment " + segment + " offset " + std::to_string(offset) + ": " +
                           std::string(name_of(kind)) + ": " + what + "; whole up to event " +
                           std::to_string(last_good)};
}

// Reads the seal that ends an inner segment's file. Where it is not there, the whole segment is read to say why.
Result<RecordView> read_seal(const OpenedSegment& segment, std::span<std::byte, kLinkRecordBytes> bytes) {
  const std::string name = segment_name(segment.header.first_seq);
  RecordView record;
  if (segment.size_bytes >= kSegmentHeaderBytes + kLinkRecordBytes) {
    const std::uint64_t at = segment.size_bytes - kLinkRecordBytes;
    LG_ASSIGN(const std::size_t got, segment.file->read_at(at, bytes));
    const bool whole = got == kLinkRecordBytes && parse_record(bytes, at, segment.key, record) == ParseStatus::kRecord;
    if (whole && record.is(RecordKind::kSeal)) return record;
  }
  LG_ASSIGN(const SegmentScan scan, scan_segment(segment, {.place = ScanOptions::Place::kInner}));
  if (!scan.damages.empty()) return corrupt_error(scan.damages.front());
  return corrupt_error(
      damage_at(DamageKind::kNonZeroPadding, name, scan.end_offset, scan.last_seq, "bytes behind the segment's seal"));
}

// Takes a sealed inner segment into the survey.
Result<void> pass_inner(const OpenedSegment& segment, Survey& survey) {
  std::array<std::byte, kLinkRecordBytes> bytes;
  LG_ASSIGN(const RecordView record, read_seal(segment, bytes));
  const auto seal = decode_seal(record.body);
  if (!seal || seal->first_seq != segment.header.first_seq || seal->last_seq < seal->first_seq) {
    return corrupt_error(damage_at(DamageKind::kBrokenChain, segment_name(segment.header.first_seq), record.offset,
                                   survey.end.last_seq, "the seal does not describe its segment"));
  }
  survey.end.last_seq = seal->last_seq;
  survey.end.last_time_ns = record.time_ns;
  survey.end.hash = seal->hash;
  survey.catalog->add_sealed(segment.header.first_seq, seal->last_seq, segment.size_bytes, record.time_ns);
  return {};
}

// Reads the last segment whole and takes what is whole in it into the survey.
Result<void> pass_last(OpenedSegment segment, Survey& survey) {
  LG_ASSIGN(survey.last_scan, scan_segment(segment, {.witness = survey.tail.get()}));
  const SegmentScan& scan = survey.last_scan;
  if (!scan.damages.empty()) return corrupt_error(scan.damages.front());
  if (scan.sealed && scan.tail_bytes != 0) {
    return corrupt_error(damage_at(DamageKind::kNonZeroPadding, segment_name(segment.header.first_seq),
                                   scan.tail_offset, scan.last_seq, "bytes behind the segment's seal"));
  }
  if (scan.last_seq >= segment.header.first_seq) {
    survey.end.last_seq = scan.last_seq;
    survey.end.last_time_ns = scan.last_time_ns;
    survey.end.hash = scan.hash;
    survey.catalog->add_sealed(segment.header.first_seq, scan.last_seq, scan.end_offset, scan.last_time_ns);
  }
  survey.last = std::move(segment);
  return {};
}

// What follows the durable offset may be in the page cache alone: the last life may have ended because a write-back
// failed, and the kernel tells that once and then calls the pages clean. Written again they are dirty again, and the
// next sync means what it says.
Result<void> write_again(const OpenedSegment& segment, const SegmentScan& scan) {
  if (scan.durable_offset < kSegmentHeaderBytes || scan.durable_offset >= scan.end_offset) return {};
  std::vector<std::byte> bytes(static_cast<std::size_t>(scan.end_offset - scan.durable_offset));
  LG_ASSIGN(const std::size_t got, segment.file->read_at(scan.durable_offset, bytes));
  // A page that is not on disk may also have been dropped since it was scanned.
  Hash last{};
  bool whole = got == bytes.size();
  for (std::size_t at = 0; whole && at < got;) {
    RecordView record;
    whole = parse_record(std::span(bytes).subspan(at), scan.durable_offset + at, segment.key, record) ==
            ParseStatus::kRecord;
    if (!whole) break;
    at += record.bytes.size();
    if (const auto seal = decode_seal(record.body); seal && record.is(RecordKind::kSeal)) last = seal->hash;
    if (const auto commit = decode_commit(record.body); commit && record.is(RecordKind::kCommit)) last = commit->hash;
  }
  if (!whole || last != scan.hash) {
    return make_error(Reason::kInternal, "segment " + segment_name(segment.header.first_seq) +
                                             " changed while it was read: the disk below it has failed")
        .with_hint("start again once the disk is well; what had been acknowledged is still there");
  }
  return segment.file->write_at(scan.durable_offset, bytes);
}

// Makes the end of the last life the end of its segment. Zeroing in place first needs no space on a full disk, and
// leaves nothing behind the seal if the machine stops between the two steps.
Result<void> seal_last(Storage& storage, Survey& survey, Recovery& report) {
  OpenedSegment& segment = *survey.last;
  const SegmentScan& scan = survey.last_scan;
  const std::string name = segment_name(segment.header.first_seq);
  if (scan.sealed) {  // the last life may have been killed before it ended the file or synced it
    if (scan.end_offset != segment.size_bytes) LG_TRY(segment.file->resize(scan.end_offset));
    LG_TRY(write_again(segment, scan));
    return segment.file->sync();
  }
  if (scan.tail_bytes != 0) {
    report.torn_tail = true;
    report.segment = name;
    report.offset = scan.end_offset;
    report.bytes_dropped = scan.tail_bytes;
  }
  if (scan.last_seq < segment.header.first_seq) {  // nothing was ever committed in it
    survey.segments.pop_back();
    survey.tail = std::make_unique<TreeTail>();
    return storage.remove(name);
  }
  const std::vector<std::byte> zeroes(static_cast<std::size_t>(scan.tail_bytes));
  LG_TRY(segment.file->write_at(scan.end_offset, zeroes));
  LG_TRY(write_again(segment, scan));
  LG_TRY(segment.file->sync());
  failpoint::reach(failpoint::Point::kRecoveryTailZeroed);
  const SealPlace place{.offset = scan.end_offset, .key = segment.key, .time_ns = scan.last_time_ns};
  const std::vector<std::byte> footer = make_footer(segment, scan.end_offset, footer_block_bytes(segment.size_bytes));
  LG_ASSIGN(survey.end.hash, write_seal(*segment.file, place,
                                        {.reason = SealReason::kRecovered,
                                         .first_seq = segment.header.first_seq,
                                         .last_seq = scan.last_seq,
                                         .bytes_dropped = scan.tail_bytes,
                                         .previous_hash = scan.hash},
                                        footer));
  return {};
}

// Writes `footer` at `offset` together with room for the seal behind it, and syncs: a seal must find it on disk. False
// when there is no space for it; then there are zeroes again where a part of it may have come to stand.
Result<bool> write_footer(File& file, std::uint64_t offset, std::span<const std::byte> footer) {
  LG_ASSIGN(const std::uint64_t size_before, file.size_bytes());
  std::vector<std::byte> bytes(footer.begin(), footer.end());
  bytes.resize(bytes.size() + kLinkRecordBytes);
  auto written = file.write_at(offset, bytes);
  if (written) {
    LG_TRY(sync_or_fail(file));
    return true;
  }
  if (!is_out_of_space(written.error())) return std::move(written).error();
  LG_TRY(file.resize(size_before));
  if (size_before > offset) {
    std::fill(bytes.begin(), bytes.end(), std::byte{0});
    LG_TRY(file.write_at(offset, std::span(bytes).first(std::min<std::uint64_t>(bytes.size(), size_before - offset))));
    LG_TRY(sync_or_fail(file));
  }
  return false;
}

}  // namespace

Error corrupt_error(const Damage& damage) {
  return make_error(Reason::kLogCorrupt, damage.message)
      .with("segment", damage.segment)
      .with("offset", std::to_string(damage.offset))
      .with("last_good_seq", std::to_string(damage.last_good_seq))
      .with("kind", std::string(name_of(damage.kind)));
}

Result<void> check_joint(const OpenedSegment& segment, const LogEnd& end, bool first) {
  if (first) return {};
  const std::string name = segment_name(segment.header.first_seq);
  if (segment.header.node != end.node) {
    return corrupt_error(
        damage_at(DamageKind::kBadHeader, name, 0, end.last_seq,
                  "it belongs to node " + node_id_text(segment.header.node) + ", not " + node_id_text(end.node)));
  }
  if (segment.header.first_seq != end.last_seq + 1) {
    return corrupt_error(
        damage_at(DamageKind::kMissingSegment, segment_name(end.last_seq + 1), 0, end.last_seq,
                  "the next segment there is begins with event " + std::to_string(segment.header.first_seq)));
  }
  if (segment.header.previous_hash != end.hash || segment.header.epoch < end.epoch) {
    return corrupt_error(damage_at(DamageKind::kBrokenChain, name, 0, end.last_seq,
                                   "its header does not follow from the segment before"));
  }
  return {};
}

Result<FolderListing> list_folder(Storage& storage) {
  LG_ASSIGN(std::vector<std::string> names, storage.list());
  FolderListing listing;
  for (std::string& name : names) {
    if (name == kLockFileName || name == kSpareFileName) continue;
    (parse_segment_name(name) ? listing.segments : listing.foreign).push_back(std::move(name));
  }
  std::sort(listing.segments.begin(), listing.segments.end());
  std::sort(listing.foreign.begin(), listing.foreign.end());
  return listing;
}

std::string damage_remedy(const std::string& location) {
  constexpr std::string_view kLogFolder = "/log";
  const bool in_state_folder = location.size() > kLogFolder.size() && location.ends_with(kLogFolder);
  const std::string named = in_state_folder ? location.substr(0, location.size() - kLogFolder.size()) : location;
  return "nothing was changed; `liongatectl repair-log --state-dir " + named +
         "` keeps everything up to the damage and moves the rest aside, deleting nothing";
}

namespace {

Result<Survey> survey_segments(Storage& storage, Access access) {
  Survey survey;
  LG_ASSIGN(const FolderListing listing, list_folder(storage));
  for (const std::string& name : listing.foreign) {
    if (!name.ends_with(kSegmentSuffix)) continue;
    return make_error(Reason::kLogCorrupt, "event log folder " + storage.location() + ": " + name +
                                               " ends like a segment but has no segment's name")
        .with("segment", name);
  }
  survey.segments = listing.segments;
  for (std::size_t i = 0; i < survey.segments.size(); ++i) {
    LG_ASSIGN(OpenedSegment segment, open_segment(storage, survey.segments[i], access));
    LG_TRY(check_joint(segment, survey.end, i == 0));
    survey.end.node = segment.header.node;
    survey.end.epoch = segment.header.epoch;
    if (i == 0) {
      survey.end.last_seq = segment.header.first_seq - 1;
      survey.end.hash = segment.header.previous_hash;
    }
    if (i + 1 < survey.segments.size()) {
      LG_TRY(pass_inner(segment, survey));
    } else {
      LG_TRY(pass_last(std::move(segment), survey));
    }
  }
  return survey;
}

}  // namespace

Result<Survey> survey(Storage& storage, Access access) {
  auto found = survey_segments(storage, access);
  if (found) return found;
  const int code = found.error().sys_errno;
  if (code == EACCES || code == EPERM) {
    return std::move(found).error().with_hint("every file of the log must belong to the daemon's user");
  }
  if (code == ELOOP || code == EISDIR || code == EINVAL) {
    return std::move(found).error().with_hint("move it out of the folder: a segment is a plain file");
  }
  if (found.error().reason != Reason::kLogCorrupt) return found;
  return std::move(found).error().with_hint(damage_remedy(storage.location()));
}

Result<Hash> write_seal(File& file, const SealPlace& place, Seal seal, std::span<const std::byte> footer) {
  if (!footer.empty()) {
    LG_ASSIGN(const bool written, write_footer(file, place.offset, footer));
    if (!written) footer = {};
  }
  if (!footer.empty()) seal.footer_offset = place.offset;
  std::array<std::byte, kLinkRecordBytes> record;
  const std::span<std::byte, kLinkBodyBytes> body(record.data() + kRecordHeaderBytes, kLinkBodyBytes);
  begin_record(record, RecordKind::kSeal, seal.last_seq, place.time_ns, kLinkBodyBytes);
  encode_seal(seal, body);
  seal.hash = ChainHash().of_link(seal.previous_hash, footer, body);
  encode_seal(seal, body);
  finish_record(record, place.key);
  const std::uint64_t offset = place.offset + footer.size();
  LG_TRY(file.write_at(offset, record));
  failpoint::reach(failpoint::Point::kLogSealWritten);
  LG_TRY(file.resize(offset + record.size()));
  LG_TRY(sync_or_fail(file));
  failpoint::reach(failpoint::Point::kLogSealed);
  return seal.hash;
}

Result<Recovered> recover(Storage& storage) {
  LG_ASSIGN(Survey found, survey(storage, Access::kWrite));
  failpoint::reach(failpoint::Point::kRecoveryBegins);
  Recovered recovered;
  recovered.report.clean = !found.last || found.last_scan.sealed;
  if (found.last) {
    LG_TRY(seal_last(storage, found, recovered.report));
    LG_TRY(storage.sync_dir());
  }
  failpoint::reach(failpoint::Point::kRecoveryEnds);
  recovered.report.last_seq = found.end.last_seq;
  recovered.end = found.end;
  recovered.catalog = found.catalog;
  recovered.segments = std::move(found.segments);
  recovered.tail = std::move(found.tail);
  return recovered;
}

}  // namespace liongate::event_log
