#include "kernel/event_log/record_cursor.h"

#include <algorithm>

namespace liongate::event_log {
namespace {

// Small enough to stay in a core's own cache between the copy from the page cache and the checksum.
constexpr std::size_t kReadBytes = 256 * 1024;

}  // namespace

RecordCursor::RecordCursor(std::shared_ptr<File> file, std::uint32_t key, std::uint64_t begin, std::uint64_t end)
    : file_(std::move(file)), key_(key), offset_(begin), end_(end) {}

std::span<const std::byte> RecordCursor::buffered() const {
  if (offset_ < buffer_offset_ || offset_ > buffer_offset_ + buffer_bytes_) return {};
  const auto skipped = static_cast<std::size_t>(offset_ - buffer_offset_);
  return std::span(buffer_).subspan(skipped, buffer_bytes_ - skipped);
}

void RecordCursor::jump_to(std::uint64_t offset) {
  offset_ = offset;
}

// Has at least `wanted_bytes` from offset() in the buffer, or everything up to the bound and returns false.
Result<bool> RecordCursor::fill(std::size_t wanted_bytes) {
  const std::span<const std::byte> kept = buffered();
  if (kept.size() >= wanted_bytes) return true;
  const std::uint64_t left = end_ > offset_ ? end_ - offset_ : 0;
  const auto worth_reading = static_cast<std::size_t>(std::min<std::uint64_t>(kReadBytes, left));
  const std::size_t capacity = std::max(worth_reading, wanted_bytes);
  if (buffer_.size() < capacity) {
    std::vector<std::byte> larger(capacity);
    std::copy(kept.begin(), kept.end(), larger.begin());
    buffer_ = std::move(larger);
    buffer_bytes_ = kept.size();
  } else {
    const std::size_t kept_bytes = kept.size();
    if (kept_bytes != 0) std::memmove(buffer_.data(), kept.data(), kept_bytes);
    buffer_bytes_ = kept_bytes;
  }
  buffer_offset_ = offset_;
  const std::uint64_t from = buffer_offset_ + buffer_bytes_;
  const auto room = std::min<std::uint64_t>(buffer_.size() - buffer_bytes_, end_ > from ? end_ - from : 0);
  const auto free = std::span(buffer_).subspan(buffer_bytes_, static_cast<std::size_t>(room));
  if (!free.empty()) {
    LG_ASSIGN(const std::size_t got, file_->read_at(from, free));
    buffer_bytes_ += got;
  }
  return buffer_bytes_ >= wanted_bytes;
}

Result<RecordCursor::Step> RecordCursor::next(RecordView& record) {
  ParseStatus status = parse_record(buffered(), offset_, key_, record);
  if (status == ParseStatus::kIncomplete) {
    LG_ASSIGN(const bool has_length, fill(8));
    if (!has_length) return buffered().empty() ? Step::kEnd : Step::kBad;
    status = parse_record(buffered(), offset_, key_, record);
    if (status == ParseStatus::kIncomplete) {
      LG_ASSIGN(const bool whole, fill(stated_record_bytes(buffered())));
      if (!whole) return Step::kBad;
      status = parse_record(buffered(), offset_, key_, record);
    }
  }
  if (status == ParseStatus::kZero) return Step::kZero;
  if (status != ParseStatus::kRecord) return Step::kBad;
  offset_ += record.bytes.size();
  return Step::kRecord;
}

Result<RecordCursor::Step> RecordCursor::next_link(RecordView& record) {
  for (;; offset_ += kRecordAlignmentBytes) {
    std::span<const std::byte> at = buffered();
    if (at.size() < kLinkRecordBytes) {
      LG_ASSIGN(const bool whole, fill(kLinkRecordBytes));
      if (!whole) return Step::kEnd;
      at = buffered();
    }
    // Only the one length that links have is worth a checksum: hostile events cannot make this slow.
    const auto kind = static_cast<std::uint8_t>(at[7]);
    const bool link =
        kind == static_cast<std::uint8_t>(RecordKind::kCommit) || kind == static_cast<std::uint8_t>(RecordKind::kSeal);
    if (!link || stated_record_bytes(at) != kLinkRecordBytes) continue;
    if (parse_record(at, offset_, key_, record) != ParseStatus::kRecord) continue;
    offset_ += record.bytes.size();
    return Step::kRecord;
  }
}

Result<OpenedSegment> open_segment(Storage& storage, const std::string& name, Access access) {
  OpenedSegment segment;
  LG_ASSIGN(segment.file, storage.open(name, access));
  LG_ASSIGN(segment.size_bytes, segment.file->size_bytes());
  segment.page.resize(kSegmentHeaderBytes);
  LG_ASSIGN(const std::size_t got, segment.file->read_at(0, segment.page));
  const auto header = decode_header(std::span(segment.page).first(got));
  if (!header || header->first_seq != parse_segment_name(name)) {
    return make_error(Reason::kLogCorrupt,
                      "segment " + name + ": " + (header ? "header belongs to another file name" : "header is damaged"))
        .with("segment", name)
        .with("offset", "0")
        .with("kind", "bad_header");
  }
  if (header->version > kFormatVersion) {
    return make_error(Reason::kInvalidConfig, "segment " + name + " has format version " +
                                                  std::to_string(header->version) + ", this program knows " +
                                                  std::to_string(kFormatVersion))
        .with_hint("start the newer liongated that wrote it, or give this one a --state-dir of its own")
        .with("segment", name);
  }
  segment.header = *header;
  segment.key = segment_key(segment.page);
  return segment;
}

}  // namespace liongate::event_log
