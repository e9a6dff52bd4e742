// Keeps zeroes written ahead of the log, in the segment and in a spare file for the next one, so that a commit changes
// no metadata and a full disk still has room for what has to end.
//
// Ownership and thread: owned by the log, which outlives its helper thread. `wait_for_spare`, `used_spare`, `claim` and
// `left` belong to the writer thread, `read_only` to any. `on_change` is called on the helper thread and must only
// post. Errors: want of space is a state (`read_only`) and ends by itself; any other failure is kept for `failure` and
// fatal.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "kernel/event_log/runtime.h"
#include "kernel/event_log/storage.h"

namespace liongate::event_log {

class Prewriter {
 public:
  Prewriter(std::shared_ptr<Storage> storage, std::uint64_t segment_bytes, std::function<void()> on_change);
  ~Prewriter();

  // Returns when the file the next segment is to be made of is there, named kSpareFileName; fails when there is no
  // space for it. It stays the spare until `used_spare`. The writer opens it for itself: the kernel tells a failed
  // write-back once to each open file, so that the helper's sync must not take the writer's error away.
  Result<void> wait_for_spare();
  // The spare became the segment that is written from now on.
  void used_spare();
  // The segment ended: nothing is written ahead in it any more. Waits until the helper let go of it.
  void left();

  // Call before writing up to `end`: from here on the helper writes only behind it.
  void claim(std::uint64_t end);

  // True while space is short and what is written ahead is down to the reserve for terminal records.
  bool read_only() const { return read_only_.load(std::memory_order_relaxed); }
  std::optional<Error> failure() const;

 private:
  struct Spare {
    std::shared_ptr<File> file;
    std::uint64_t zeroed_bytes = 0;
  };
  enum class Job : std::uint8_t { kNone, kExtend, kMakeSpare };

  void run();
  Job next_job() const;
  Result<void> do_job(Job job, std::unique_lock<runtime::Mutex>& lock);
  Result<void> extend(std::unique_lock<runtime::Mutex>& lock);
  Result<void> make_spare(std::unique_lock<runtime::Mutex>& lock);
  Result<void> check_space(std::uint64_t wanted_bytes);
  void update();

  const std::shared_ptr<Storage> storage_;
  const std::uint64_t segment_bytes_;
  const std::uint64_t ahead_bytes_;
  const std::uint64_t reserve_bytes_;
  const std::function<void()> on_change_;

  mutable runtime::Mutex mutex_;
  runtime::Condition work_;  // for the helper
  runtime::Condition done_;  // for the writer
  std::shared_ptr<File> current_;
  std::uint64_t written_end_ = 0;  // by the writer, in current_
  std::uint64_t zeroed_end_ = 0;   // by either, in current_
  std::optional<Spare> spare_;
  bool extending_ = false;  // the helper writes behind zeroed_end_ just now
  bool short_of_space_ = false;
  bool tried_spare_ = false;
  bool stop_ = false;
  std::optional<Error> failure_;
  std::atomic<bool> read_only_{false};
  runtime::Thread thread_;
};

}  // namespace liongate::event_log
