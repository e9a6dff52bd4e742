// Reads the footer of a segment and says which blocks a filter cannot rule out.
//
// Ownership and thread: shares the file; one thread at a time. Errors: only what the file's reads return; a footer that
// is not there or not whole is nothing.
#pragma once

#include <optional>
#include <vector>

#include "kernel/event_log/event_log.h"
#include "kernel/event_log/footer.h"
#include "kernel/event_log/record_cursor.h"

namespace liongate::event_log {

class FooterReader {
 public:
  // Nothing where the segment is not sealed, or its seal names no footer, or that is not one of this segment.
  static Result<std::optional<FooterReader>> open(const OpenedSegment& segment);

  const Footer& footer() const { return footer_; }
  // Where the last block ends.
  std::uint64_t events_end() const { return offset_; }

  // Whether counts of `filter` can be read off the groups: it asks for nothing else, and for the whole segment.
  bool can_count(const Filter& filter) const;
  void count(const Filter& filter, Summary& summary) const;

  // For each block whether it may hold an event that matches.
  Result<std::vector<bool>> candidates(const Filter& filter) const;

 private:
  FooterReader(const OpenedSegment& segment, std::uint64_t offset, std::size_t summary_bytes, Footer footer)
      : file_(segment.file),
        key_(segment.key),
        offset_(offset),
        summary_bytes_(summary_bytes),
        footer_(std::move(footer)) {}

  template <typename Key>
  Result<void> rule_out(std::vector<bool>& blocks, FooterPart part, const Key& key) const;

  std::shared_ptr<File> file_;
  std::uint32_t key_;
  std::uint64_t offset_;
  std::size_t summary_bytes_;
  Footer footer_;
};

}  // namespace liongate::event_log
