#include "kernel/event_log/footer_reader.h"

#include <algorithm>

namespace liongate::event_log {
namespace {

// The footer's record of `bytes` bytes at `offset`; its body is in `buffer`. Nothing where it is none.
Result<std::optional<RecordView>> read_part(File& file, std::uint32_t key, std::uint64_t offset, std::size_t bytes,
                                            std::vector<std::byte>& buffer) {
  constexpr std::size_t kBytesMax = record_bytes(kRecordBodyBytesMax);
  if (bytes < kRecordHeaderBytes || bytes > kBytesMax) return std::optional<RecordView>();
  buffer.resize(bytes);
  LG_ASSIGN(const std::size_t got, file.read_at(offset, buffer));
  RecordView record;
  if (got != bytes || parse_record(buffer, offset, key, record) != ParseStatus::kRecord) {
    return std::optional<RecordView>();
  }
  if (!record.is(RecordKind::kFooter) || record.bytes.size() != bytes) return std::optional<RecordView>();
  return std::optional(record);
}

Result<std::optional<Seal>> read_seal(const OpenedSegment& segment) {
  if (segment.size_bytes < kSegmentHeaderBytes + kLinkRecordBytes) return std::optional<Seal>();
  const std::uint64_t at = segment.size_bytes - kLinkRecordBytes;
  std::array<std::byte, kLinkRecordBytes> bytes;
  LG_ASSIGN(const std::size_t got, segment.file->read_at(at, bytes));
  RecordView record;
  if (got != bytes.size() || parse_record(bytes, at, segment.key, record) != ParseStatus::kRecord ||
      !record.is(RecordKind::kSeal)) {
    return std::optional<Seal>();
  }
  return decode_seal(record.body);
}

bool group_matches(const FooterGroup& group, const Filter& filter) {
  if (!filter.plugin.empty() && group.plugin_id != filter.plugin && group.plugin_name != filter.plugin) return false;
  if (!filter.actor.empty() && group.actor != filter.actor) return false;
  return filter.types.empty() || std::find(filter.types.begin(), filter.types.end(), group.type) != filter.types.end();
}

}  // namespace

Result<std::optional<FooterReader>> FooterReader::open(const OpenedSegment& segment) {
  LG_ASSIGN(const std::optional<Seal> seal, read_seal(segment));
  if (!seal || seal->footer_offset < kSegmentHeaderBytes || seal->footer_offset % kRecordAlignmentBytes != 0 ||
      seal->footer_offset >= segment.size_bytes) {
    return std::optional<FooterReader>();
  }
  std::array<std::byte, 8> stated;
  LG_ASSIGN(const std::size_t got, segment.file->read_at(seal->footer_offset, stated));
  if (got != stated.size()) return std::optional<FooterReader>();
  const std::size_t bytes = stated_record_bytes(stated);
  std::vector<std::byte> buffer;
  LG_ASSIGN(const auto record, read_part(*segment.file, segment.key, seal->footer_offset, bytes, buffer));
  if (!record) return std::optional<FooterReader>();
  auto footer = decode_footer(record->body);
  if (!footer || footer->first_seq != segment.header.first_seq || footer->last_seq != seal->last_seq ||
      footer->blocks.back().offset >= seal->footer_offset) {
    return std::optional<FooterReader>();
  }
  return std::optional(FooterReader(segment, seal->footer_offset, bytes, *std::move(footer)));
}

bool FooterReader::can_count(const Filter& filter) const {
  return footer_.groups_complete && filter.correlation_id.empty() && filter.text.empty() &&
         filter.after_seq < footer_.first_seq && (!filter.since_ns || *filter.since_ns <= footer_.first_time_ns) &&
         (!filter.until_ns || *filter.until_ns >= footer_.last_time_ns);
}

void FooterReader::count(const Filter& filter, Summary& summary) const {
  EventSeq first = 0;
  for (const FooterGroup& group : footer_.groups) {
    if (!group_matches(group, filter)) continue;
    first = first == 0 ? group.first_seq : std::min(first, group.first_seq);
    summary.last_seq = std::max(summary.last_seq, group.last_seq);
    summary.total += group.count;
    summary.counts_by_type[group.type] += group.count;
  }
  if (summary.first_seq == 0) summary.first_seq = first;
}

// Takes out of `blocks` those whose filter of `part` says that `key` is not there. Without such a part, none.
template <typename Key>
Result<void> FooterReader::rule_out(std::vector<bool>& blocks, FooterPart part, const Key& key) const {
  const bool first_part = part == FooterPart::kCorrelations;
  const std::uint64_t at = offset_ + summary_bytes_ + (first_part ? 0 : footer_.correlation_record_bytes);
  const std::size_t bytes = first_part ? footer_.correlation_record_bytes : footer_.text_record_bytes;
  std::vector<std::byte> buffer;
  LG_ASSIGN(const auto record, read_part(*file_, key_, at, bytes, buffer));
  if (!record) return {};
  const auto filters = decode_filters(record->body, part, blocks.size());
  if (!filters) return {};
  for (std::size_t block = 0; block < blocks.size(); ++block) {
    if (blocks[block] && !key.may_be_in(filters->of_block(block))) blocks[block] = false;
  }
  return {};
}

Result<std::vector<bool>> FooterReader::candidates(const Filter& filter) const {
  const std::size_t count = footer_.blocks.size();
  const bool by_group = !filter.plugin.empty() || !filter.actor.empty() || !filter.types.empty();
  std::vector<bool> blocks(count, !(by_group && footer_.groups_complete));
  if (by_group && footer_.groups_complete) {
    for (const FooterGroup& group : footer_.groups) {
      if (!group_matches(group, filter)) continue;
      for (std::size_t block = 0; block < count; ++block) blocks[block] = blocks[block] || group.is_in(block);
    }
  }
  for (std::size_t block = 0; block < count; ++block) {
    const bool last = block + 1 == count;
    const EventSeq last_seq = last ? footer_.last_seq : footer_.blocks[block + 1].first_seq - 1;
    // Two events may have one time: a block ends no later than the next one begins, but not earlier either.
    const std::int64_t last_time_ns = last ? footer_.last_time_ns : footer_.blocks[block + 1].first_time_ns;
    const bool too_early = last_seq <= filter.after_seq || (filter.since_ns && last_time_ns < *filter.since_ns);
    const bool too_late = filter.until_ns && footer_.blocks[block].first_time_ns > *filter.until_ns;
    if (too_early || too_late) blocks[block] = false;
  }
  const auto any = [&blocks] { return std::find(blocks.begin(), blocks.end(), true) != blocks.end(); };
  if (!filter.correlation_id.empty() && any()) {
    LG_TRY(rule_out(blocks, FooterPart::kCorrelations, CorrelationKey(filter.correlation_id)));
  }
  if (!filter.text.empty() && any()) LG_TRY(rule_out(blocks, FooterPart::kTexts, TextKey(filter.text)));
  return blocks;
}

}  // namespace liongate::event_log
