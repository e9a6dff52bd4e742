// Walks the events of a log that a filter matches, reading no more of sealed segments than their footers cannot rule
// out; and counts them, from the footers alone where these can tell.
//
// Ownership and thread: shares storage and catalog, so it may outlive the log; one thread at a time. It works in
// slices, so that one thread can serve many and any of them can be ended between two. Errors: kLogCorrupt where a
// committed record cannot be read. A footer that does not fit its segment is no error: that segment is read whole.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "kernel/event_log/catalog.h"
#include "kernel/event_log/event_log.h"
#include "kernel/event_log/storage.h"

namespace liongate::event_log {

// What a query had to read.
struct QueryCost {
  std::uint64_t log_bytes = 0;   // of the segments it passed
  std::uint64_t read_bytes = 0;  // of them, footers included
  std::uint64_t segments = 0;
  std::uint64_t segments_skipped = 0;  // by their footers
  std::uint64_t blocks = 0;            // of segments with a footer
  std::uint64_t blocks_skipped = 0;
  std::uint64_t events_seen = 0;  // looked at, one by one
};

// Events that retention took before the query came to them.
struct Gap {
  EventSeq first_missing = 0;
  EventSeq last_missing = 0;
};

class EventQuery {
 public:
  enum class Step : std::uint8_t {
    kEvent,  // `bytes` is the next event that matches
    kGap,    // `gap` is missing; what follows comes next
    kPause,  // the slice is used up: call again
    kEnd,    // nothing more now; a later call may find more, unless finished()
  };
  struct Found {
    EventSeq seq = 0;
    std::string_view bytes;  // serialised; valid until the next call
    Gap gap;
  };

  virtual ~EventQuery() = default;

  // The next step. A slice begins with every call of begin_slice and is about as long as 4 MiB of reading.
  virtual Result<Step> next(Found& found) = 0;
  // The same, but whole segments that their footers can count are counted into `summary` and passed.
  virtual Result<Step> count(Summary& summary) = 0;
  virtual void begin_slice() = 0;

  // Everything up to here was looked at, or ruled out.
  virtual EventSeq position() const = 0;
  // Nothing that is still to come can match: `until` has passed.
  virtual bool finished() const = 0;
  virtual const QueryCost& cost() const = 0;
};

std::unique_ptr<EventQuery> make_query(std::shared_ptr<Storage> storage, std::shared_ptr<const Catalog> catalog,
                                       Filter filter);

// A query over a log that no daemon has open.
Result<std::unique_ptr<EventQuery>> query_offline(const std::string& folder, Filter filter);

// Counts to the end, without a pause.
Result<Summary> summarize(EventQuery& query);

}  // namespace liongate::event_log
