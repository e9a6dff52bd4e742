#include "kernel/event_log/reader.h"

#include <cerrno>
#include <optional>

#include "kernel/event_log/record_cursor.h"
#include "kernel/event_log/recovery.h"

namespace liongate::event_log {
namespace {

class SegmentReader final : public EventReader {
 public:
  SegmentReader(std::shared_ptr<Storage> storage, std::shared_ptr<const Catalog> catalog, EventSeq after_seq)
      : storage_(std::move(storage)), catalog_(std::move(catalog)), position_(after_seq) {}

  Result<bool> next(v1::Event& event) override {
    EventSeq seq = 0;
    std::string_view bytes;
    LG_ASSIGN(const bool any, next_bytes(seq, bytes));
    if (any && !event.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
      return corrupt("the event's body is no event");
    }
    return any;
  }

  Result<bool> next_bytes(EventSeq& seq, std::string_view& bytes) override {
    for (;;) {
      if (!cursor_) {
        LG_ASSIGN(const bool more, move_on());
        if (!more) return false;
      }
      RecordView record;
      LG_ASSIGN(const auto step, cursor_->next(record));
      if (step == RecordCursor::Step::kRecord) {
        if (!record.is(RecordKind::kEvent) || record.seq <= position_) continue;
        seq = position_ = record.seq;
        bytes = {reinterpret_cast<const char*>(record.body.data()), record.body.size()};
        return true;
      }
      if (step != RecordCursor::Step::kEnd) return corrupt("a committed record cannot be read");
      LG_ASSIGN(const bool more, move_on());
      if (!more) return false;
    }
  }

  EventSeq position() const override { return position_; }

 private:
  // At the end of what was known: asks the catalog what became of it. False when nothing did.
  Result<bool> move_on() {
    for (int attempt = 0; attempt < kOpenAttemptsMax; ++attempt) {
      const std::optional<SegmentPlace> place = catalog_->find(position_ + 1);
      if (!place) return false;
      if (cursor_ && place->name == name_) {
        if (place->end_offset <= cursor_->offset()) return corrupt("committed events are missing");
        cursor_->extend_to(place->end_offset);
        return true;
      }
      auto segment = open_segment(*storage_, place->name, Access::kRead);
      // Retention unlinked it just now: the catalog knows the next one already.
      if (!segment && segment.error().sys_errno == ENOENT) continue;
      if (!segment) return std::move(segment).error();
      name_ = place->name;
      cursor_.emplace(segment->file, segment->key, place->begin_offset, place->end_offset);
      return true;
    }
    return make_error(Reason::kLogCorrupt, "segment " + segment_name(position_ + 1) + " is missing");
  }

  Error corrupt(const std::string& what) const {
    return make_error(Reason::kLogCorrupt, "segment " + name_ + " offset " + std::to_string(cursor_->offset()) + ": " +
                                               what + "; read up to event " + std::to_string(position_))
        .with_hint(damage_remedy(storage_->location()))
        .with("segment", name_)
        .with("offset", std::to_string(cursor_->offset()))
        .with("last_good_seq", std::to_string(position_));
  }

  std::shared_ptr<Storage> storage_;
  std::shared_ptr<const Catalog> catalog_;
  EventSeq position_;
  std::string name_;
  std::optional<RecordCursor> cursor_;
};

}  // namespace

std::unique_ptr<EventReader> make_reader(std::shared_ptr<Storage> storage, std::shared_ptr<const Catalog> catalog,
                                         EventSeq after_seq) {
  return std::make_unique<SegmentReader>(std::move(storage), std::move(catalog), after_seq);
}

}  // namespace liongate::event_log
