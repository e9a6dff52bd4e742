// Makes the footer of the segment that is being written, on a thread of its own: it reads behind the writer what the
// writer wrote (from the page cache), so that a commit pays nothing for it but a store.
//
// Ownership and thread: owned by the commit writer, whose thread calls every method. The segment's file is opened anew:
// the kernel tells a failed write-back once to each open file, and the writer's must hear it.
// Errors: none. A segment that cannot be read or followed gets no footer, which costs queries time and nothing else.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernel/event_log/footer.h"
#include "kernel/event_log/runtime.h"
#include "kernel/event_log/storage.h"

namespace liongate::event_log {

class FooterMaker {
 public:
  FooterMaker(std::shared_ptr<Storage> storage, std::uint64_t segment_bytes);
  ~FooterMaker();

  // A segment begins, under its final name.
  void begin(EventSeq first_seq);
  // Whole records of it end at `end` now.
  void written(std::uint64_t end);
  // Catches up with `end`, where the segment ends, and returns the records of its footer; empty for none. May be called
  // again for the same segment.
  std::vector<std::byte> finish(std::uint64_t end);

 private:
  struct Segment;

  void run();
  void work(Segment& segment, std::uint64_t end);

  const std::shared_ptr<Storage> storage_;
  const std::uint64_t block_bytes_;
  std::uint64_t told_ = 0;  // writer thread: the last end the helper was woken for

  runtime::Mutex mutex_;
  runtime::Condition wake_;
  runtime::Condition done_;
  std::unique_ptr<Segment> segment_;
  std::uint64_t wanted_end_ = 0;
  std::uint64_t reached_end_ = 0;
  bool stop_ = false;
  runtime::Thread thread_;
};

// Of a segment that is to be `segment_bytes` long: its footer's block size.
std::uint64_t footer_block_bytes(std::uint64_t segment_bytes);

// The footer of a segment whose records end at `end`, read from its beginning; empty where it cannot be read.
struct OpenedSegment;
std::vector<std::byte> make_footer(const OpenedSegment& segment, std::uint64_t end, std::uint64_t block_bytes);

}  // namespace liongate::event_log
