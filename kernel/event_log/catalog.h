// Which segments there are and how far they are committed: what the writer tells and the readers ask.
//
// Ownership and thread: shared by the log and its readers, so that a reader may outlive the log; every method may be
// called from any thread. No errors.
#pragma once

#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "kernel/base/ids.h"
#include "kernel/event_log/retention.h"
#include "kernel/event_log/runtime.h"

namespace liongate::event_log {

// How often a segment may be retained away between being found and being opened before something else is wrong.
inline constexpr int kOpenAttemptsMax = 16;

// A segment as a reader needs it to find the event it asked for.
struct SegmentPlace {
  std::string name;
  EventSeq first_seq = 0;
  std::uint64_t begin_offset = 0;  // a record boundary at or before the event
  std::uint64_t end_offset = 0;    // whole records end here
};

class Catalog {
 public:
  // A segment whose content is final: `end_offset` is the end of its last link, `last_time_ns` its last event's time.
  void add_sealed(EventSeq first_seq, EventSeq last_seq, std::uint64_t end_offset, std::int64_t last_time_ns);
  // The segment that is written from now on.
  void add_active(EventSeq first_seq);
  // A batch lies between two offsets of the active segment, and may be read.
  struct CommittedBatch {
    EventSeq first_seq;
    EventSeq last_seq;
    std::uint64_t begin_offset;
    std::uint64_t end_offset;
    std::int64_t last_time_ns;
  };
  void commit(const CommittedBatch& batch);

  // The oldest segments that `rule` takes; never the last one, which is or was written.
  std::optional<Removal> removable(const RetentionRule& rule) const;
  // Forgets the oldest segment and returns its name, if it ends at or before `last_seq` and is not the last one.
  std::optional<std::string> forget_oldest(EventSeq last_seq);

  // Where event `seq` lies. Where retention took it, the place of the oldest event there is. Nothing when it is not
  // committed yet.
  std::optional<SegmentPlace> find(EventSeq seq) const;
  // Of the oldest event there is, 0 while there is none.
  EventSeq first_seq() const;
  EventSeq committed_seq() const;
  // Names and committed ends of all segments, oldest first.
  std::vector<SegmentPlace> all() const;

 private:
  struct Mark {
    EventSeq first_seq;
    std::uint64_t offset;
  };
  struct Segment {
    EventSeq first_seq;
    std::uint64_t end_offset;
    std::int64_t last_time_ns;
    std::vector<Mark> marks;  // some batch starts, so that a reader in the middle need not walk from the header
  };

  mutable runtime::Mutex mutex_;
  std::deque<Segment> segments_;
  EventSeq committed_seq_ = 0;
};

}  // namespace liongate::event_log
