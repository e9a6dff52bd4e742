#include "kernel/event_log/footer_maker.h"

#include <algorithm>

#include "kernel/base/sys.h"
#include "kernel/event_log/record_cursor.h"

namespace liongate::event_log {
namespace {

// The helper is woken for so much: often enough that little is left at the end of a segment, and seldom enough that
// small commits do not pay a wake-up each.
constexpr std::uint64_t kStepBytes = 1024 * 1024;
constexpr std::uint64_t kBlocksPerSegment = 1024;

// Gives `builder` the events up to `end`; false where there is something else.
bool feed(RecordCursor& cursor, FooterBuilder& builder, std::uint64_t end) {
  cursor.extend_to(end);
  for (;;) {
    RecordView record;
    const auto step = cursor.next(record);
    if (!step || *step == RecordCursor::Step::kBad || *step == RecordCursor::Step::kZero) return false;
    if (*step == RecordCursor::Step::kEnd) return true;
    if (record.is(RecordKind::kEvent)) builder.add(record);
  }
}

}  // namespace

struct FooterMaker::Segment {
  Segment(EventSeq first_seq, std::uint64_t block_bytes)
      : name(segment_name(first_seq)), builder(first_seq, block_bytes) {}

  std::string name;
  FooterBuilder builder;
  std::optional<RecordCursor> cursor;
  std::uint32_t key = 0;
  bool lost = false;  // it cannot be read: there will be no footer
};

FooterMaker::FooterMaker(std::shared_ptr<Storage> storage, std::uint64_t segment_bytes)
    : storage_(std::move(storage)), block_bytes_(footer_block_bytes(segment_bytes)), thread_([this] { run(); }) {}

FooterMaker::~FooterMaker() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void FooterMaker::begin(EventSeq first_seq) {
  std::unique_lock lock(mutex_);
  // The segment before may have ended without a seal, while the helper still reads it.
  done_.wait(lock, [this] { return reached_end_ == wanted_end_; });
  segment_ = std::make_unique<Segment>(first_seq, block_bytes_);
  wanted_end_ = reached_end_ = told_ = kSegmentHeaderBytes;
}

void FooterMaker::written(std::uint64_t end) {
  if (end < told_ + kStepBytes) return;
  told_ = end;
  {
    const std::lock_guard lock(mutex_);
    wanted_end_ = end;
  }
  wake_.notify_one();
}

std::vector<std::byte> FooterMaker::finish(std::uint64_t end) {
  std::unique_lock lock(mutex_);
  if (!segment_) return {};
  wanted_end_ = end;
  wake_.notify_one();
  done_.wait(lock, [this] { return reached_end_ == wanted_end_; });
  return segment_->lost ? std::vector<std::byte>() : segment_->builder.encode(segment_->key);
}

void FooterMaker::run() {
  sys::name_thread("log-footers");
  std::unique_lock lock(mutex_);
  for (;;) {
    wake_.wait(lock, [this] { return stop_ || reached_end_ != wanted_end_; });
    if (stop_) return;
    const std::uint64_t end = wanted_end_;
    Segment& segment = *segment_;  // stays until reached_end_ is wanted_end_
    lock.unlock();
    work(segment, end);
    lock.lock();
    reached_end_ = end;
    done_.notify_all();
  }
}

void FooterMaker::work(Segment& segment, std::uint64_t end) {
  if (segment.lost) return;
  if (!segment.cursor) {
    auto opened = open_segment(*storage_, segment.name, Access::kRead);
    if (!opened) {
      segment.lost = true;
      return;
    }
    segment.key = opened->key;
    segment.cursor.emplace(opened->file, opened->key, kSegmentHeaderBytes, end);
  }
  segment.lost = !feed(*segment.cursor, segment.builder, end);
}

std::uint64_t footer_block_bytes(std::uint64_t segment_bytes) {
  return std::max(limits::kFooterBlockBytes, segment_bytes / kBlocksPerSegment);
}

std::vector<std::byte> make_footer(const OpenedSegment& segment, std::uint64_t end, std::uint64_t block_bytes) {
  FooterBuilder builder(segment.header.first_seq, block_bytes);
  RecordCursor cursor(segment.file, segment.key, kSegmentHeaderBytes, end);
  if (!feed(cursor, builder, end)) return {};
  return builder.encode(segment.key);
}

}  // namespace liongate::event_log
