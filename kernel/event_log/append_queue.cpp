#include "kernel/event_log/append_queue.h"

#include <algorithm>
#include <cstring>

#include "kernel/event_log/format.h"

namespace liongate::event_log {
namespace {

constexpr std::size_t kBatchBytesInitial = 64 * 1024;
constexpr std::size_t kFreeBatchesMax = 4;
// Terminal records of calls that are running already are taken beyond the bound for new work, but not without end.
constexpr std::size_t kTerminalShare = 2;

}  // namespace

std::span<std::byte> Batch::add_uncounted(std::size_t bytes) {
  if (used_ + bytes + kLinkRecordBytes > capacity_) {
    const std::size_t wanted = std::max({capacity_ * 2, used_ + bytes + kLinkRecordBytes, kBatchBytesInitial});
    auto larger = std::make_unique_for_overwrite<std::byte[]>(wanted);
    if (used_ != 0) std::memcpy(larger.get(), bytes_.get(), used_);
    bytes_ = std::move(larger);
    capacity_ = wanted;
  }
  const std::span<std::byte> record(bytes_.get() + used_, bytes);
  used_ += bytes;
  return record;
}

std::span<std::byte> Batch::add(std::size_t bytes, EventSeq seq, std::int64_t time_ns) {
  const std::span<std::byte> record = add_uncounted(bytes);
  if (count_ == 0) first_seq_ = seq;
  ++count_;
  last_seq_ = seq;
  last_time_ns_ = time_ns;
  return record;
}

void Batch::clear() {
  used_ = 0;
  count_ = 0;
}

Batch& AppendQueue::batch_for(std::size_t bytes) {
  if (batches_.empty() || batches_.back().size_bytes() + bytes > batch_bytes_max_) {
    if (free_.empty()) {
      batches_.emplace_back();
    } else {
      batches_.push_back(std::move(free_.back()));
      free_.pop_back();
    }
  }
  return batches_.back();
}

AppendQueue::Push AppendQueue::push(const v1::Event& event, std::size_t body_bytes, std::int64_t time_ns,
                                    SyncClass sync, RecordUse use) {
  const std::size_t bytes = record_bytes(body_bytes);
  const std::size_t share = use == RecordUse::kTerminal ? kTerminalShare : 1;
  bool notify = false;
  {
    const std::lock_guard lock(mutex_);
    if (backlog_bytes_ + bytes > limits::kLogQueueBytesMax * share ||
        backlog_records_ >= limits::kLogQueueRecordsMax * share) {
      return Push::kFull;
    }
    const std::span<std::byte> record = batch_for(bytes).add(bytes, event.seq(), time_ns);
    begin_record(record, RecordKind::kEvent, event.seq(), time_ns, body_bytes);
    event.SerializeWithCachedSizesToArray(reinterpret_cast<std::uint8_t*>(record.data() + kRecordHeaderBytes));
    backlog_bytes_ += bytes;
    untaken_bytes_ += bytes;
    ++backlog_records_;
    sync_ = sync_ || sync != SyncClass::kEventually;
    if (sync == SyncClass::kNow) {
      notify = !urgent_ && sleep_ != Sleep::kAwake;
      urgent_ = true;
    } else if (!sync_ && untaken_bytes_ >= limits::kLogWriteAheadBytes) {
      notify = !ample_ && sleep_ != Sleep::kAwake;
      ample_ = true;
    } else {
      // A writer that dozes wakes within kLogBatchDelayMs by itself: one wake-up less for each call.
      notify = sleep_ == Sleep::kDeep;
      if (notify) sleep_ = Sleep::kTimed;
    }
  }
  if (notify) wake_.notify_one();
  return Push::kTaken;
}

AppendQueue::Taken AppendQueue::take(std::optional<runtime::SteadyClock::time_point> due) {
  using runtime::SteadyClock;
  constexpr auto kDoze = std::chrono::milliseconds(limits::kLogBatchDelayMs);
  std::unique_lock lock(mutex_);
  auto deadline = SteadyClock::now() + kDoze;
  bool dozed = false;  // a whole doze passed without anything urgent
  while (!urgent_ && !stop_ && !poked_ && !ample_) {
    if (dozed && !batches_.empty()) break;
    if (due && SteadyClock::now() >= *due) break;
    if (dozed) {
      sleep_ = Sleep::kDeep;
      if (due) {
        wake_.wait_until(lock, *due);
      } else {
        wake_.wait(lock);
      }
      dozed = false;
      deadline = SteadyClock::now() + kDoze;
    } else {
      sleep_ = Sleep::kTimed;
      wake_.wait_until(lock, deadline);
      dozed = SteadyClock::now() >= deadline;
    }
  }
  sleep_ = Sleep::kAwake;
  Taken taken{.batches = std::move(batches_), .sync = sync_, .stop = stop_};
  batches_.clear();
  untaken_bytes_ = 0;
  urgent_ = sync_ = poked_ = ample_ = false;
  return taken;
}

void AppendQueue::recycle(std::vector<Batch> batches) {
  const std::lock_guard lock(mutex_);
  for (Batch& batch : batches) {
    backlog_bytes_ -= batch.size_bytes();
    backlog_records_ -= batch.count();
    batch.clear();
    if (free_.size() < kFreeBatchesMax) free_.push_back(std::move(batch));
  }
  if (batches_.empty() && batches_.capacity() == 0) {
    batches.clear();
    batches_ = std::move(batches);
  }
}

void AppendQueue::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
}

void AppendQueue::poke() {
  {
    const std::lock_guard lock(mutex_);
    poked_ = true;
  }
  wake_.notify_all();
}

bool AppendQueue::wait_for_stop(std::chrono::milliseconds wait) {
  std::unique_lock lock(mutex_);
  return wake_.wait_for(lock, wait, [this] { return stop_; });
}

}  // namespace liongate::event_log
