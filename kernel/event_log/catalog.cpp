#include "kernel/event_log/catalog.h"

#include <algorithm>

#include "kernel/event_log/format.h"

namespace liongate::event_log {
namespace {

constexpr std::uint64_t kMarkDistanceBytes = 256 * 1024;

}  // namespace

void Catalog::add_sealed(EventSeq first_seq, EventSeq last_seq, std::uint64_t end_offset, std::int64_t last_time_ns) {
  const std::lock_guard lock(mutex_);
  segments_.push_back({.first_seq = first_seq, .end_offset = end_offset, .last_time_ns = last_time_ns, .marks = {}});
  committed_seq_ = last_seq;
}

void Catalog::add_active(EventSeq first_seq) {
  const std::lock_guard lock(mutex_);
  segments_.push_back({.first_seq = first_seq, .end_offset = kSegmentHeaderBytes, .last_time_ns = 0, .marks = {}});
}

void Catalog::commit(const CommittedBatch& batch) {
  const std::lock_guard lock(mutex_);
  Segment& active = segments_.back();
  if (active.marks.empty() || batch.begin_offset - active.marks.back().offset >= kMarkDistanceBytes) {
    active.marks.push_back({.first_seq = batch.first_seq, .offset = batch.begin_offset});
  }
  active.end_offset = batch.end_offset;
  active.last_time_ns = batch.last_time_ns;
  committed_seq_ = batch.last_seq;
}

std::optional<Removal> Catalog::removable(const RetentionRule& rule) const {
  const std::lock_guard lock(mutex_);
  std::uint64_t bytes = 0;
  for (const Segment& segment : segments_) bytes += segment.end_offset;
  std::optional<Removal> removal;
  for (std::size_t i = 0; i + 1 < segments_.size(); ++i) {
    const Segment& segment = segments_[i];
    const EventSeq next_seq = segments_[i + 1].first_seq;
    if (next_seq > rule.needed_seq || next_seq > committed_seq_) break;  // it holds what is needed
    const bool too_much = rule.bytes_max > 0 && bytes > rule.bytes_max;
    const bool too_old = segment.last_time_ns < rule.older_than_ns;
    if (!too_much && !too_old) break;
    if (!removal) {
      removal =
          Removal{.first_seq = segment.first_seq, .reason = too_much ? RemovalReason::kSize : RemovalReason::kAge};
    }
    bytes -= segment.end_offset;
    removal->last_seq = next_seq - 1;
    ++removal->segments;
    removal->size_bytes += segment.end_offset;
  }
  return removal;
}

std::optional<std::string> Catalog::forget_oldest(EventSeq last_seq) {
  const std::lock_guard lock(mutex_);
  if (segments_.size() < 2 || segments_[1].first_seq > last_seq + 1) return std::nullopt;
  // What remains must hold an event: in an empty log nobody would find the next number, nor the node's name.
  if (segments_[1].first_seq > committed_seq_) return std::nullopt;
  const std::string name = segment_name(segments_.front().first_seq);
  segments_.pop_front();
  return name;
}

std::optional<SegmentPlace> Catalog::find(EventSeq seq) const {
  const std::lock_guard lock(mutex_);
  if (segments_.empty() || seq > committed_seq_) return std::nullopt;
  const auto begins_after = [](EventSeq wanted, const auto& entry) { return wanted < entry.first_seq; };
  auto segment = std::upper_bound(segments_.begin(), segments_.end(), seq, begins_after);
  if (segment != segments_.begin()) --segment;
  std::uint64_t begin = kSegmentHeaderBytes;
  auto mark = std::upper_bound(segment->marks.begin(), segment->marks.end(), seq, begins_after);
  if (mark != segment->marks.begin()) begin = (mark - 1)->offset;
  return SegmentPlace{.name = segment_name(segment->first_seq),
                      .first_seq = segment->first_seq,
                      .begin_offset = begin,
                      .end_offset = segment->end_offset};
}

EventSeq Catalog::first_seq() const {
  const std::lock_guard lock(mutex_);
  if (segments_.empty() || segments_.front().first_seq > committed_seq_) return 0;
  return segments_.front().first_seq;
}

EventSeq Catalog::committed_seq() const {
  const std::lock_guard lock(mutex_);
  return committed_seq_;
}

std::vector<SegmentPlace> Catalog::all() const {
  const std::lock_guard lock(mutex_);
  std::vector<SegmentPlace> places;
  for (const Segment& segment : segments_) {
    places.push_back({.name = segment_name(segment.first_seq),
                      .first_seq = segment.first_seq,
                      .begin_offset = kSegmentHeaderBytes,
                      .end_offset = segment.end_offset});
  }
  return places;
}

}  // namespace liongate::event_log
