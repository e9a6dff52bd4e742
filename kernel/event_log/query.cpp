#include "kernel/event_log/query.h"

#include <algorithm>
#include <cerrno>
#include <optional>

#include "kernel/event_log/footer_reader.h"
#include "kernel/event_log/recovery.h"

namespace liongate::event_log {
namespace {

constexpr std::uint64_t kSliceBytes = 4 * 1024 * 1024;

// A file that counts what is read of it.
class CountingFile final : public File {
 public:
  CountingFile(std::shared_ptr<File> file, std::uint64_t& read_bytes)
      : file_(std::move(file)), read_bytes_(read_bytes) {}
  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    return file_->write_at(offset, bytes);
  }
  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> bytes) override {
    LG_ASSIGN(const std::size_t got, file_->read_at(offset, bytes));
    read_bytes_ += got;
    return got;
  }
  Result<void> sync() override { return file_->sync(); }
  Result<std::uint64_t> size_bytes() override { return file_->size_bytes(); }
  Result<void> resize(std::uint64_t bytes) override { return file_->resize(bytes); }

 private:
  std::shared_ptr<File> file_;
  std::uint64_t& read_bytes_;
};

class SegmentQuery final : public EventQuery {
 public:
  SegmentQuery(std::shared_ptr<Storage> storage, std::shared_ptr<const Catalog> catalog, Filter filter)
      : storage_(std::move(storage)),
        catalog_(std::move(catalog)),
        filter_(std::move(filter)),
        position_(filter_.after_seq) {}

  Result<Step> next(Found& found) override { return walk(found, nullptr); }

  Result<Step> count(Summary& summary) override {
    for (;;) {
      Found found;
      LG_ASSIGN(const Step step, walk(found, &summary));
      if (step != Step::kEvent) return step;
      if (summary.first_seq == 0) summary.first_seq = found.seq;
      summary.last_seq = found.seq;
      ++summary.total;
      ++summary.counts_by_type[std::string(fields_.type)];
    }
  }

  void begin_slice() override { slice_end_ = cost_.read_bytes + kSliceBytes; }
  EventSeq position() const override { return position_; }
  bool finished() const override { return finished_; }
  const QueryCost& cost() const override { return cost_; }

 private:
  enum class Footers : std::uint8_t { kUse, kDistrust };
  // A stretch of records that is to be read.
  struct Range {
    std::uint64_t begin;
    std::uint64_t end;
  };

  Result<Step> walk(Found& found, Summary* summary);
  Result<std::optional<Step>> advance(Found& found, Summary* summary);
  Result<std::optional<Step>> enter(Found& found, Summary* summary);
  Result<void> use_footer(const FooterReader& footer, Summary* summary);
  Result<bool> matches(const RecordView& record, Found& found);
  bool next_range();
  void leave_segment() { cursor_.reset(); }
  Error corrupt(const std::string& what) const;

  std::shared_ptr<Storage> storage_;
  std::shared_ptr<const Catalog> catalog_;
  const Filter filter_;
  EventSeq position_;
  std::string name_;
  std::optional<RecordCursor> cursor_;
  std::vector<Range> ranges_;     // of a segment with a footer, those still to come, the last one first
  EventSeq footer_last_seq_ = 0;  // 0: the segment has no footer that is used
  Footers footers_ = Footers::kUse;
  QueryCost cost_;
  std::uint64_t slice_end_ = kSliceBytes;
  EventFields fields_;
  v1::Event event_;  // scratch
  bool finished_ = false;
};

Error SegmentQuery::corrupt(const std::string& what) const {
  return make_error(Reason::kLogCorrupt, "segment " + name_ + " offset " + std::to_string(cursor_->offset()) + ": " +
                                             what + "; read up to event " + std::to_string(position_))
      .with_hint("liongatectl verify-log names every damage")
      .with("segment", name_)
      .with("offset", std::to_string(cursor_->offset()))
      .with("last_good_seq", std::to_string(position_));
}

Result<bool> SegmentQuery::matches(const RecordView& record, Found& found) {
  ++cost_.events_seen;
  const std::string_view bytes(reinterpret_cast<const char*>(record.body.data()), record.body.size());
  if (!read_fields(bytes, fields_)) return corrupt("the event's body is no event");
  if (!filter_.matches(record.seq, record.time_ns, fields_)) return false;
  if (!filter_.text.empty()) {
    if (!event_.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return corrupt("the event's body is no event");
    }
    if (!payload_has_text(event_, filter_.text)) return false;
  }
  found.seq = record.seq;
  found.bytes = bytes;
  return true;
}

bool SegmentQuery::next_range() {
  if (ranges_.empty()) return false;
  cursor_->jump_to(ranges_.back().begin);
  cursor_->extend_to(ranges_.back().end);
  ranges_.pop_back();
  return true;
}

Result<EventQuery::Step> SegmentQuery::walk(Found& found, Summary* summary) {
  for (;;) {
    if (finished_) return Step::kEnd;
    if (cost_.read_bytes >= slice_end_) return Step::kPause;
    if (!cursor_) {
      LG_ASSIGN(const auto step, enter(found, summary));
      if (step) return *step;
      continue;
    }
    RecordView record;
    LG_ASSIGN(const auto step, cursor_->next(record));
    if (step == RecordCursor::Step::kRecord) {
      if (!record.is(RecordKind::kEvent) || record.seq <= position_) continue;
      if (filter_.until_ns && record.time_ns > *filter_.until_ns) {
        finished_ = true;  // times never decrease
        continue;
      }
      position_ = record.seq;
      LG_ASSIGN(const bool match, matches(record, found));
      if (match) return Step::kEvent;
    } else if (step == RecordCursor::Step::kEnd) {
      LG_ASSIGN(const auto end, advance(found, summary));
      if (end) return *end;
    } else if (footer_last_seq_ != 0) {
      footers_ = Footers::kDistrust;  // it led nowhere: what it says may be odd, so the segment itself is asked
      leave_segment();
    } else {
      return corrupt("a committed record cannot be read");
    }
  }
}

// At the end of what was to be read of a segment.
Result<std::optional<EventQuery::Step>> SegmentQuery::advance(Found& found, Summary* summary) {
  if (next_range()) return std::optional<Step>();
  if (footer_last_seq_ != 0) {
    position_ = std::max(position_, footer_last_seq_);
    leave_segment();
    return std::optional<Step>();
  }
  const std::optional<SegmentPlace> place = catalog_->find(position_ + 1);
  if (!place) return std::optional(Step::kEnd);
  if (place->name != name_) return enter(found, summary);
  if (place->end_offset <= cursor_->offset()) return corrupt("committed events are missing");
  cost_.log_bytes += place->end_offset - cursor_->offset();
  cursor_->extend_to(place->end_offset);
  return std::optional<Step>();
}

// Opens the segment that holds what comes next, if there is one.
Result<std::optional<EventQuery::Step>> SegmentQuery::enter(Found& found, Summary* summary) {
  leave_segment();
  for (int attempt = 0; attempt < kOpenAttemptsMax; ++attempt) {
    const std::optional<SegmentPlace> place = catalog_->find(position_ + 1);
    if (!place) return std::optional(Step::kEnd);
    if (place->first_seq > position_ + 1) {
      found.gap = {.first_missing = position_ + 1, .last_missing = place->first_seq - 1};
      const bool from_the_beginning = position_ == 0;  // whoever asks for all there is misses nothing
      position_ = place->first_seq - 1;
      if (!from_the_beginning) return std::optional(Step::kGap);
    }
    auto segment = open_segment(*storage_, place->name, Access::kRead);
    // Retention unlinked it just now: the catalog knows the next one already.
    if (!segment && segment.error().sys_errno == ENOENT) continue;
    if (!segment) return std::move(segment).error();
    if (place->name != name_) {
      ++cost_.segments;
      footers_ = Footers::kUse;
      cost_.log_bytes += place->end_offset;
    }
    name_ = place->name;
    cost_.read_bytes += kSegmentHeaderBytes;
    segment->file = std::make_shared<CountingFile>(segment->file, cost_.read_bytes);
    cursor_.emplace(segment->file, segment->key, place->begin_offset, place->end_offset);
    footer_last_seq_ = 0;
    if (footers_ == Footers::kDistrust) return std::optional<Step>();
    LG_ASSIGN(const std::optional<FooterReader> footer, FooterReader::open(*segment));
    if (footer) LG_TRY(use_footer(*footer, summary));
    return std::optional<Step>();
  }
  return make_error(Reason::kLogCorrupt, "segment " + segment_name(position_ + 1) + " is missing");
}

// Narrows what is read of the segment just opened to what its footer does not rule out.
Result<void> SegmentQuery::use_footer(const FooterReader& reader, Summary* summary) {
  const Footer& footer = reader.footer();
  footer_last_seq_ = footer.last_seq;
  ranges_.clear();
  if (filter_.until_ns && footer.first_time_ns > *filter_.until_ns) {
    finished_ = true;
    return {};
  }
  cost_.blocks += footer.blocks.size();
  std::vector<bool> wanted(footer.blocks.size(), false);
  if (summary != nullptr && position_ < footer.first_seq && reader.can_count(filter_)) {
    reader.count(filter_, *summary);
  } else {
    Filter rest = filter_;
    rest.after_seq = position_;
    LG_ASSIGN(wanted, reader.candidates(rest));
  }
  for (std::size_t block = wanted.size(); block-- > 0;) {
    if (!wanted[block]) {
      ++cost_.blocks_skipped;
      continue;
    }
    const std::uint64_t begin = footer.blocks[block].offset;
    const std::uint64_t end = block + 1 < wanted.size() ? footer.blocks[block + 1].offset : reader.events_end();
    if (!ranges_.empty() && ranges_.back().begin == end) {
      ranges_.back().begin = begin;
    } else {
      ranges_.push_back({begin, end});
    }
  }
  if (ranges_.empty()) ++cost_.segments_skipped;
  cursor_->jump_to(reader.events_end());
  cursor_->extend_to(reader.events_end());
  return {};
}

}  // namespace

std::unique_ptr<EventQuery> make_query(std::shared_ptr<Storage> storage, std::shared_ptr<const Catalog> catalog,
                                       Filter filter) {
  return std::make_unique<SegmentQuery>(std::move(storage), std::move(catalog), std::move(filter));
}

Result<std::unique_ptr<EventQuery>> query_offline(const std::string& folder, Filter filter) {
  LG_ASSIGN(std::shared_ptr<Storage> storage, open_disk_storage(folder));
  LG_ASSIGN(const Survey found, survey(*storage, Access::kRead));
  return make_query(std::move(storage), found.catalog, std::move(filter));
}

Result<Summary> summarize(EventQuery& query) {
  Summary summary;
  for (;;) {
    query.begin_slice();
    LG_ASSIGN(const auto step, query.count(summary));
    if (step == EventQuery::Step::kEnd) return summary;
  }
}

}  // namespace liongate::event_log
