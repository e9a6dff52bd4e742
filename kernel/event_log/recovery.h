// What is on disk when a log is opened: the chain of segments, the end of the last one, and what must be cut off it.
//
// Ownership and thread: functions over a Storage; `recover` writes and needs the folder's lock, `survey` only reads.
// Errors: kLogCorrupt with segment, offset and last good number in message and metadata; kInvalidConfig for a newer
// format; what the storage returns.
#pragma once

#include <memory>
#include <vector>

#include "kernel/event_log/catalog.h"
#include "kernel/event_log/event_log.h"
#include "kernel/event_log/format.h"
#include "kernel/event_log/record_cursor.h"
#include "kernel/event_log/segment_scan.h"
#include "kernel/event_log/tree_tail.h"

namespace liongate::event_log {

// Names in the folder, told apart.
struct FolderListing {
  std::vector<std::string> segments;  // oldest first
  std::vector<std::string> foreign;   // neither a segment nor a file of ours; left alone
};
Result<FolderListing> list_folder(Storage& storage);

// Where a new segment continues.
struct LogEnd {
  NodeId node{};
  std::uint64_t epoch = 0;  // of the last life
  EventSeq last_seq = 0;
  std::int64_t last_time_ns = 0;
  Hash hash{};
};

struct Survey {
  LogEnd end;
  std::shared_ptr<Catalog> catalog = std::make_shared<Catalog>();
  std::vector<std::string> segments;
  std::optional<OpenedSegment> last;                              // the last segment, where there is any
  SegmentScan last_scan;                                          // of `last`
  std::unique_ptr<TreeTail> tail = std::make_unique<TreeTail>();  // has seen `last`
};
// Reads headers and seals of all segments but the last, and the whole of the last.
Result<Survey> survey(Storage& storage, Access access);

// Checks that `segment` continues a log that ends at `end`; the first segment there is begins wherever it begins.
Result<void> check_joint(const OpenedSegment& segment, const LogEnd& end, bool first);

struct Recovered {
  Recovery report;
  LogEnd end;
  std::shared_ptr<Catalog> catalog;
  std::vector<std::string> segments;
  std::unique_ptr<TreeTail> tail;  // has seen the last of them
};
// Surveys, then cuts off a torn tail and seals what the last life left open, so that every life begins a new segment.
Result<Recovered> recover(Storage& storage);

// Writes a footer (its records, or nothing) and a seal at `offset` of a segment whose bytes up to there are on disk,
// and ends the file behind it. Where there is no space for the footer it is left out.
struct SealPlace {
  std::uint64_t offset = 0;
  std::uint32_t key = 0;
  std::int64_t time_ns = 0;
};
Result<Hash> write_seal(File& file, const SealPlace& place, Seal seal, std::span<const std::byte> footer);

// What to do about damage in the log at `location`, as a hint: the exact command. An operator names the state folder.
std::string damage_remedy(const std::string& location);

// The Error of a daemon that must not start over `damage`.
Error corrupt_error(const Damage& damage);

// Name of the file that the next segment will be made of.
inline constexpr const char* kSpareFileName = "spare.tmp";

}  // namespace liongate::event_log
