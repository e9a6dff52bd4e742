#include "kernel/event_log/prewriter.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <vector>

#include "kernel/base/failpoint.h"
#include "kernel/base/limits.h"
#include "kernel/base/sys.h"
#include "kernel/event_log/recovery.h"

namespace liongate::event_log {
namespace {

constexpr std::uint64_t kInitialBytes = 1024 * 1024;               // before the first commit of a life
constexpr std::uint64_t kAheadBytes = 8 * 1024 * 1024;             // while it runs
constexpr std::uint64_t kStepBytes = 1024 * 1024;                  // the writer may have to wait for one step
constexpr std::uint64_t kFreeBytesMin = limits::kLogReserveBytes;  // left to others on a disk that fills up
constexpr std::chrono::milliseconds kRetryDelay{250};

const std::vector<std::byte>& zeroes() {
  static const std::vector<std::byte> kZeroes(kStepBytes);
  return kZeroes;
}

}  // namespace

Prewriter::Prewriter(std::shared_ptr<Storage> storage, std::uint64_t segment_bytes, std::function<void()> on_change)
    : storage_(std::move(storage)),
      segment_bytes_(segment_bytes),
      ahead_bytes_(std::min(kAheadBytes, segment_bytes)),
      reserve_bytes_(std::min(limits::kLogReserveBytes, segment_bytes / 2)),
      on_change_(std::move(on_change)),
      thread_([this] { run(); }) {}

Prewriter::~Prewriter() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  work_.notify_all();
  thread_.join();
}

Result<void> Prewriter::wait_for_spare() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return spare_ || failure_ || (tried_spare_ && short_of_space_); });
  if (failure_) return *failure_;
  if (spare_) return {};
  return make_errno_error(Reason::kLogReadOnly, "no space for a new segment in " + storage_->location(), ENOSPC);
}

void Prewriter::used_spare() {
  const std::lock_guard lock(mutex_);
  current_ = spare_->file;
  zeroed_end_ = spare_->zeroed_bytes;
  written_end_ = 0;
  spare_.reset();
  tried_spare_ = false;
  work_.notify_one();
}

void Prewriter::left() {
  std::unique_lock lock(mutex_);
  done_.wait(lock, [this] { return !extending_; });
  current_.reset();
  work_.notify_one();
}

void Prewriter::claim(std::uint64_t end) {
  std::unique_lock lock(mutex_);
  if (end > zeroed_end_) {
    done_.wait(lock, [&] { return !extending_ || end <= zeroed_end_; });
    zeroed_end_ = std::max(zeroed_end_, end);
  }
  written_end_ = end;
  if (!extending_ && next_job() != Job::kNone) work_.notify_one();
  if (short_of_space_) update();
}

std::optional<Error> Prewriter::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

Prewriter::Job Prewriter::next_job() const {
  if (current_ && zeroed_end_ < segment_bytes_ && zeroed_end_ < written_end_ + ahead_bytes_ / 2) return Job::kExtend;
  if (!spare_ && (!current_ || zeroed_end_ >= segment_bytes_)) return Job::kMakeSpare;
  return Job::kNone;
}

void Prewriter::run() {
  sys::name_thread("log-prewriter");
  std::unique_lock lock(mutex_);
  while (!stop_ && !failure_) {
    const Job job = next_job();
    if (job == Job::kNone) {
      short_of_space_ = false;
      update();
      work_.wait(lock);
      continue;
    }
    auto result = do_job(job, lock);
    short_of_space_ = !result && is_out_of_space(result.error());
    if (job == Job::kMakeSpare) tried_spare_ = true;
    if (!result && !short_of_space_) failure_ = std::move(result).error();
    update();
    done_.notify_all();
    if (failure_) on_change_();
    if (short_of_space_) work_.wait_for(lock, kRetryDelay, [this] { return stop_; });
  }
}

// Recomputes read_only; tells when it changed.
void Prewriter::update() {
  std::uint64_t ahead = spare_ ? spare_->zeroed_bytes : 0;
  if (current_ && zeroed_end_ > written_end_) ahead += zeroed_end_ - written_end_;
  const bool starved = short_of_space_ && ahead <= reserve_bytes_;
  if (read_only_.exchange(starved) != starved) on_change_();
}

Result<void> Prewriter::do_job(Job job, std::unique_lock<runtime::Mutex>& lock) {
  return job == Job::kExtend ? extend(lock) : make_spare(lock);
}

Result<void> Prewriter::check_space(std::uint64_t wanted_bytes) {
  LG_ASSIGN(const std::uint64_t free_bytes, storage_->free_space_bytes());
  if (free_bytes >= wanted_bytes + kFreeBytesMin) return {};
  return make_errno_error(Reason::kLogReadOnly, "write ahead in " + storage_->location(), ENOSPC);
}

Result<void> Prewriter::extend(std::unique_lock<runtime::Mutex>& lock) {
  const std::shared_ptr<File> file = current_;
  Result<void> result;
  while (result && !stop_ && current_ == file && zeroed_end_ < segment_bytes_ &&
         zeroed_end_ < written_end_ + ahead_bytes_) {
    const std::uint64_t from = zeroed_end_;
    const std::uint64_t bytes = std::min(kStepBytes, segment_bytes_ - from);
    extending_ = true;
    lock.unlock();
    result = check_space(bytes);
    if (result) result = file->write_at(from, std::span(zeroes()).first(bytes));
    lock.lock();
    extending_ = false;
    if (result) zeroed_end_ = from + bytes;
    done_.notify_all();
  }
  if (!result) return result;
  extending_ = true;  // the file must not be sealed and shortened meanwhile
  lock.unlock();
  result = sync_or_fail(*file);
  lock.lock();
  extending_ = false;
  return result;
}

Result<void> Prewriter::make_spare(std::unique_lock<runtime::Mutex>& lock) {
  const std::uint64_t wanted = std::min(segment_bytes_, current_ ? kAheadBytes : kInitialBytes);
  lock.unlock();
  Spare spare;
  const auto make = [&]() -> Result<void> {
    LG_ASSIGN(spare.file, storage_->open(kSpareFileName, Access::kCreate));
    // A spare of an earlier life is all zeroes but for a header, which is written anew.
    LG_ASSIGN(spare.zeroed_bytes, spare.file->size_bytes());
    while (spare.zeroed_bytes < wanted) {
      const std::uint64_t bytes = std::min(kStepBytes, wanted - spare.zeroed_bytes);
      LG_TRY(check_space(bytes));
      LG_TRY(spare.file->write_at(spare.zeroed_bytes, std::span(zeroes()).first(bytes)));
      spare.zeroed_bytes += bytes;
    }
    return sync_or_fail(*spare.file);
  };
  auto result = make();
  if (result) failpoint::reach(failpoint::Point::kLogSpareMade);
  lock.lock();
  if (result) spare_ = std::move(spare);
  return result;
}

}  // namespace liongate::event_log
