// The footer of a sealed segment: its blocks, its groups with their counts, and where the filters stand. The prose is
// in docs/event-log-format.md, "Footer".
//
// Ownership and thread: plain values and pure functions; a FooterBuilder belongs to one thread at a time.
// Errors: decoding answers with nothing where the bytes are no footer of that segment; it never trusts a length.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "kernel/event_log/block_filter.h"
#include "kernel/event_log/event_fields.h"
#include "kernel/event_log/format.h"

namespace liongate::event_log {

struct FooterBlock {
  std::uint64_t offset = 0;
  EventSeq first_seq = 0;
  std::int64_t first_time_ns = 0;
};

// All events of a segment that are alike in these four.
struct FooterGroup {
  std::string type;
  std::string plugin_id;
  std::string plugin_name;
  std::string actor;
  std::uint64_t count = 0;
  EventSeq first_seq = 0;
  EventSeq last_seq = 0;
  std::vector<std::uint8_t> blocks;  // a bitmap

  bool is_in(std::size_t block) const { return (blocks[block / 8] & 1U << block % 8) != 0; }
};

struct Footer {
  EventSeq first_seq = 0;
  EventSeq last_seq = 0;
  std::int64_t first_time_ns = 0;
  std::int64_t last_time_ns = 0;
  bool groups_complete = false;
  std::vector<FooterBlock> blocks;
  std::vector<FooterGroup> groups;
  std::uint32_t correlation_record_bytes = 0;
  std::uint32_t text_record_bytes = 0;
};
// The body of the first part. Nothing for anything but a whole one whose numbers are in order.
std::optional<Footer> decode_footer(std::span<const std::byte> body);

enum class FooterPart : std::uint32_t { kSummary = 1, kCorrelations = 2, kTexts = 3 };
// The filters of the second or third part, one behind the other; nothing where it does not fit `blocks`.
struct DecodedFilters {
  std::size_t bytes_each = 0;
  std::span<const std::uint8_t> bytes;
  std::span<const std::uint8_t> of_block(std::size_t block) const {
    return bytes.subspan(block * bytes_each, bytes_each);
  }
};
std::optional<DecodedFilters> decode_filters(std::span<const std::byte> body, FooterPart part, std::size_t blocks);

// Gathers a footer while events go by, in their order.
class FooterBuilder {
 public:
  FooterBuilder(EventSeq first_seq, std::uint64_t block_bytes);

  void add(const RecordView& event);
  // The footer's records, one behind the other, as they stand in the segment whose key is `key`. Empty where there was
  // no event.
  std::vector<std::byte> encode(std::uint32_t key) const;

 private:
  struct Group {
    std::uint64_t count = 0;
    EventSeq first_seq = 0;
    EventSeq last_seq = 0;
    std::vector<std::uint8_t> blocks;
    std::string name;  // the four strings with their lengths, as `key_of` joins them
  };

  void begin_block(const RecordView& event);
  void add_to_group(const RecordView& event, const EventFields& fields);
  Group* find_group(const EventFields& fields);
  std::vector<std::byte> encode_summary(std::uint32_t correlation_bytes, std::uint32_t text_bytes) const;

  const EventSeq first_seq_;
  const std::uint64_t block_bytes_;
  EventSeq last_seq_;
  std::int64_t first_time_ns_ = 0;
  std::int64_t last_time_ns_ = 0;
  std::vector<FooterBlock> blocks_;
  FilterRow correlations_{kCorrelationBits};
  FilterRow texts_{kTextBits};
  std::uint32_t block_correlations_ = 0;
  std::uint32_t block_correlations_max_ = 0;
  std::size_t block_text_bytes_ = 0;  // since the filter was looked at last
  bool texts_saturated_ = false;      // of this block

  std::vector<Group> groups_;
  std::map<std::string, std::size_t, std::less<>> group_by_name_;
  std::vector<std::size_t> recent_;  // groups seen last, newest first: nearly always it is one of them
  std::size_t string_bytes_ = 0;
  bool groups_complete_ = true;
  std::string key_;  // scratch
};

}  // namespace liongate::event_log
