#include "kernel/event_log/repair.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "kernel/base/limits.h"
#include "kernel/base/sys.h"
#include "kernel/event_log/folder_lock.h"
#include "kernel/event_log/footer_maker.h"
#include "kernel/event_log/recovery.h"

namespace liongate::event_log {
namespace {

constexpr mode_t kFolderMode = 0700;
constexpr std::size_t kCopyBytes = 1024 * 1024;
constexpr const char* kCopyName = "repair.tmp";

class Repairer {
 public:
  Repairer(std::string folder, std::shared_ptr<Storage> storage)
      : folder_(std::move(folder)), storage_(std::move(storage)) {}

  Result<Repair> run();

 private:
  // The segment that the log is cut in, or whose end is put right.
  struct Cut {
    std::string name;
    OpenedSegment segment;
    SegmentScan scan;
  };

  Result<bool> pass(const std::string& name, bool last);
  void stop_at(const Error& error);
  Result<void> make_quarantine();
  Result<void> set_aside(const std::string& name);
  Result<void> keep_whole_part(const Cut& cut);
  Result<void> give_to_owner(const std::string& path);
  Result<void> write_report();
  Error failed(const std::string& call) const { return make_errno_error(Reason::kInternal, call, errno); }

  const std::string folder_;
  const std::shared_ptr<Storage> storage_;
  struct stat owner_ {};
  Repair result_;
  LogEnd end_;
  bool first_ = true;
  std::vector<Cut> cuts_;
};

DamageKind kind_named(const std::string& name) {
  for (const DamageKind kind : {DamageKind::kTornTail, DamageKind::kNonZeroPadding, DamageKind::kBadCrc,
                                DamageKind::kBrokenChain, DamageKind::kMissingSegment, DamageKind::kSequenceGap}) {
    if (name_of(kind) == name) return kind;
  }
  return DamageKind::kBadHeader;
}

void Repairer::stop_at(const Error& error) {
  const auto field = [&error](const char* name) {
    const auto found = error.metadata.find(name);
    return found == error.metadata.end() ? std::string("0") : found->second;
  };
  result_.damages.push_back({.kind = kind_named(field("kind")),
                             .segment = field("segment"),
                             .offset = std::stoull(field("offset")),
                             .last_good_seq = end_.last_seq,
                             .message = error.message});
}

// Reads one segment whole. False: the log ends in front of it or in it.
Result<bool> Repairer::pass(const std::string& name, bool last) {
  auto opened = open_segment(*storage_, name, Access::kRead);
  if (!opened && opened.error().reason != Reason::kLogCorrupt) return std::move(opened).error();
  if (!opened) {
    stop_at(opened.error());
    return false;
  }
  if (auto joint = check_joint(*opened, end_, first_); !joint) {
    stop_at(joint.error());
    return false;
  }
  using Options = ScanOptions;
  LG_ASSIGN(SegmentScan scan, scan_segment(*opened, {.hashes = Options::Hashes::kVerify,
                                                     .place = last ? Options::Place::kLast : Options::Place::kInner}));
  if (first_) result_.first_seq = opened->header.first_seq;
  if (first_) end_.last_seq = opened->header.first_seq - 1;
  first_ = false;
  end_ = {.node = opened->header.node,
          .epoch = opened->header.epoch,
          .last_seq = scan.last_seq,
          .last_time_ns = scan.last_time_ns,
          .hash = scan.hash};
  result_.events += scan.events;
  const bool whole = scan.damages.empty();
  // Bytes behind a seal are nobody's: the segment is put right, and what follows it is as good as before. Zeroes behind
  // the last seal are what a crash leaves before the file is cut to its length, and no damage.
  const bool longer = scan.tail_bytes != 0 || (!last && scan.end_offset != opened->size_bytes);
  const bool padded = whole && scan.sealed && longer;
  if (!whole) result_.damages.push_back(scan.damages.front());
  if (padded) {
    result_.damages.push_back({.kind = DamageKind::kNonZeroPadding,
                               .segment = name,
                               .offset = scan.end_offset,
                               .last_good_seq = scan.last_seq,
                               .message = "segment " + name + " offset " + std::to_string(scan.end_offset) +
                                          ": nonzero_padding: bytes behind the segment's seal; whole up to event " +
                                          std::to_string(scan.last_seq)});
  }
  if (!whole || padded) cuts_.push_back({.name = name, .segment = *std::move(opened), .scan = std::move(scan)});
  return whole;
}

// What root repairs must stay the daemon's.
Result<void> Repairer::give_to_owner(const std::string& path) {
  if (::geteuid() != 0) return {};
  if (::lchown(path.c_str(), owner_.st_uid, owner_.st_gid) != 0) return failed("chown " + path);
  return {};
}

Result<void> Repairer::make_quarantine() {
  for (int number = 1; number <= limits::kQuarantinesMax; ++number) {
    result_.quarantine = folder_ + "/quarantine-" + std::to_string(number);
    if (::mkdir(result_.quarantine.c_str(), kFolderMode) == 0) {
      LG_TRY(give_to_owner(result_.quarantine));
      return storage_->sync_dir();
    }
    if (errno != EEXIST) return failed("make " + result_.quarantine);
  }
  return make_error(Reason::kInternal,
                    folder_ + " holds " + std::to_string(limits::kQuarantinesMax) + " quarantines already")
      .with_hint("look through them, and move them away");
}

// The file has a second name in quarantine, durably, before anything happens to the first.
Result<void> Repairer::set_aside(const std::string& name) {
  const std::string from = folder_ + "/" + name;
  const std::string to = result_.quarantine + "/" + name;
  if (::link(from.c_str(), to.c_str()) != 0) return failed("link " + from + " to " + to);
  return sys::sync_directory(result_.quarantine);
}

// A copy of what is whole takes the damaged segment's name.
Result<void> Repairer::keep_whole_part(const Cut& cut) {
  LG_ASSIGN(const std::shared_ptr<File> copy, storage_->open(kCopyName, Access::kCreate));
  LG_TRY(give_to_owner(folder_ + "/" + kCopyName));
  LG_TRY(copy->resize(0));
  std::vector<std::byte> chunk(kCopyBytes);
  for (std::uint64_t at = 0; at < cut.scan.end_offset;) {
    const auto wanted = std::min<std::uint64_t>(chunk.size(), cut.scan.end_offset - at);
    LG_ASSIGN(const std::size_t got, cut.segment.file->read_at(at, std::span(chunk).first(wanted)));
    if (got == 0) return make_error(Reason::kInternal, "segment " + cut.name + " became shorter while it was copied");
    LG_TRY(copy->write_at(at, std::span(chunk).first(got)));
    at += got;
  }
  if (cut.scan.sealed) {
    LG_TRY(copy->sync());
  } else {
    const SealPlace place{.offset = cut.scan.end_offset, .key = cut.segment.key, .time_ns = cut.scan.last_time_ns};
    const std::uint64_t dropped = cut.segment.size_bytes - std::min(cut.segment.size_bytes, cut.scan.end_offset);
    LG_TRY(copy->sync());
    LG_TRY(write_seal(*copy, place,
                      {.reason = SealReason::kRepaired,
                       .first_seq = cut.segment.header.first_seq,
                       .last_seq = cut.scan.last_seq,
                       .bytes_dropped = dropped,
                       .previous_hash = cut.scan.hash},
                      make_footer(cut.segment, cut.scan.end_offset, footer_block_bytes(cut.segment.size_bytes))));
  }
  const std::string from = folder_ + "/" + kCopyName;
  const std::string to = folder_ + "/" + cut.name;
  if (::rename(from.c_str(), to.c_str()) != 0) return failed("rename " + from + " to " + to);
  return storage_->sync_dir();
}

Result<void> Repairer::write_report() {
  const std::string path = result_.quarantine + "/report.txt";
  LG_ASSIGN(const UniqueFd file, sys::open(path, O_WRONLY | O_CREAT | O_EXCL, 0600));
  std::string text = "These files were taken out of the event log " + folder_ + " by repair-log.\n";
  for (const Damage& damage : result_.damages) text += "damage: " + damage.message + "\n";
  text +=
      "kept in the log: events " + std::to_string(result_.first_seq) + " to " + std::to_string(result_.last_seq) + "\n";
  for (const Cut& cut : cuts_) {
    text += "kept in part, whole here: " + cut.name + " up to offset " + std::to_string(cut.scan.end_offset) + "\n";
  }
  for (const std::string& name : result_.moved) text += "moved here: " + name + "\n";
  LG_TRY(sys::write_all(file.get(), text));
  if (::fsync(file.get()) != 0) return failed("fsync " + path);
  LG_TRY(give_to_owner(path));
  return sys::sync_directory(result_.quarantine);
}

Result<Repair> Repairer::run() {
  if (::stat(folder_.c_str(), &owner_) != 0) return failed("stat " + folder_);
  LG_TRY(give_to_owner(folder_ + "/" + kLockFileName));
  LG_ASSIGN(const FolderListing listing, list_folder(*storage_));
  std::size_t whole = 0;
  for (; whole < listing.segments.size(); ++whole) {
    LG_ASSIGN(const bool goes_on, pass(listing.segments[whole], whole + 1 == listing.segments.size()));
    if (!goes_on) break;
  }
  result_.last_seq = end_.last_seq;
  // The segment with the damage stays in part, if any batch in it is whole.
  const bool cut_here =
      whole < listing.segments.size() && !cuts_.empty() && cuts_.back().name == listing.segments[whole];
  const bool part_stays = cut_here && cuts_.back().scan.last_seq >= cuts_.back().segment.header.first_seq;
  if (cut_here && !part_stays) cuts_.pop_back();
  for (std::size_t i = whole + (part_stays ? 1 : 0); i < listing.segments.size(); ++i) {
    result_.moved.push_back(listing.segments[i]);
  }
  for (const std::string& name : listing.foreign) {
    if (!name.ends_with(kSegmentSuffix)) continue;
    result_.moved.push_back(name);
    result_.damages.push_back({.kind = DamageKind::kBadHeader,
                               .segment = name,
                               .last_good_seq = end_.last_seq,
                               .message = name + " ends like a segment but has no segment's name"});
  }
  if (result_.damages.empty()) return std::move(result_);
  LG_TRY(make_quarantine());
  for (const Cut& cut : cuts_) LG_TRY(set_aside(cut.name));
  // Newest first, so that a repair that is cut short leaves a log with a shorter end and never one with a hole.
  for (auto name = result_.moved.rbegin(); name != result_.moved.rend(); ++name) {
    LG_TRY(set_aside(*name));
    LG_TRY(storage_->remove(*name));
    LG_TRY(storage_->sync_dir());
  }
  for (const Cut& cut : cuts_) LG_TRY(keep_whole_part(cut));
  if (part_stays) result_.shortened = cuts_.back().name;
  if (part_stays) result_.shortened_at = cuts_.back().scan.end_offset;
  LG_TRY(write_report());
  return std::move(result_);
}

}  // namespace

Result<Repair> repair(const std::string& folder) {
  // A folder that is not there is not made.
  LG_ASSIGN(const std::shared_ptr<Storage> storage, open_disk_storage(folder));
  LG_ASSIGN(const FolderLock lock, FolderLock::take(folder));
  return Repairer(folder, storage).run();
}

}  // namespace liongate::event_log
