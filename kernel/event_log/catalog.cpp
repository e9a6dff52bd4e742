#include "kernel/event_log/catalog.h"

#include <algorithm>

#include "kernel/event_log/format.h"

namespace liongate::event_log {
namespace {

constexpr std::uint64_t kMarkDistanceBytes = 256 * 1024;

}  // namespace

void Catalog::add_sealed(EventSeq first_seq, EventSeq last_seq, std::uint64_t end_offset) {
  const std::lock_guard lock(mutex_);
  segments_.push_back({.first_seq = first_seq, .end_offset = end_offset, .marks = {}});
  committed_seq_ = last_seq;
}

void Catalog::add_active(EventSeq first_seq) {
  const std::lock_guard lock(mutex_);
  segments_.push_back({.first_seq = first_seq, .end_offset = kSegmentHeaderBytes, .marks = {}});
}

void Catalog::commit(EventSeq first_seq, EventSeq last_seq, std::uint64_t begin_offset, std::uint64_t end_offset) {
  const std::lock_guard lock(mutex_);
  Segment& active = segments_.back();
  if (active.marks.empty() || begin_offset - active.marks.back().offset >= kMarkDistanceBytes) {
    active.marks.push_back({.first_seq = first_seq, .offset = begin_offset});
  }
  active.end_offset = end_offset;
  committed_seq_ = last_seq;
}

std::optional<std::string> Catalog::retire_oldest(std::uint64_t bytes_max) {
  const std::lock_guard lock(mutex_);
  // What remains must hold an event: in an empty log nobody would find the next number, nor the node's name.
  if (segments_.size() < 2 || segments_[1].first_seq > committed_seq_) return std::nullopt;
  std::uint64_t bytes = 0;
  for (const Segment& segment : segments_) bytes += segment.end_offset;
  if (bytes <= bytes_max) return std::nullopt;
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
