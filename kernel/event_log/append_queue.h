// Where the kernel thread leaves serialised events and the writer thread takes them: whole batches, swapped under a
// mutex that is held for the time of one serialisation at most.
//
// Of a large group of events that one sync will make durable, the writer is given each limits::kLogWriteAheadBytes at
// once, without the sync: checksums, hash and write then go on beside the making of the rest.
//
// Ownership and thread: owned by the log. `push` belongs to the kernel thread, `take` and `recycle` to the writer
// thread, `stop` and `poke` to any. Buffers go back and forth between the two and are not allocated anew.
// Errors: `push` says when the bound is reached.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "kernel/event_log/event_log.h"
#include "kernel/event_log/runtime.h"

namespace liongate::event_log {

// Records that will be committed together, laid out as they will stand on disk but for their checksums.
class Batch {
 public:
  // Room for one more record; its bytes are not initialised.
  std::span<std::byte> add(std::size_t bytes, EventSeq seq, std::int64_t time_ns);
  // Room for a record that is no event: it is covered by the commit and not counted.
  std::span<std::byte> add_uncounted(std::size_t bytes);
  std::span<std::byte> records() { return {bytes_.get(), used_}; }
  // The records and `bytes` more behind them, which always have room: for the commit.
  std::span<std::byte> records_and(std::size_t bytes) { return {bytes_.get(), used_ + bytes}; }
  void clear();

  std::uint32_t count() const { return count_; }
  std::size_t size_bytes() const { return used_; }
  EventSeq first_seq() const { return first_seq_; }
  EventSeq last_seq() const { return last_seq_; }
  std::int64_t last_time_ns() const { return last_time_ns_; }

 private:
  std::unique_ptr<std::byte[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t used_ = 0;
  std::uint32_t count_ = 0;
  EventSeq first_seq_ = 0;
  EventSeq last_seq_ = 0;
  std::int64_t last_time_ns_ = 0;
};

class AppendQueue {
 public:
  // No batch grows over `batch_bytes_max`, unless a single record does.
  explicit AppendQueue(std::size_t batch_bytes_max) : batch_bytes_max_(batch_bytes_max) {}

  enum class Push : std::uint8_t { kTaken, kFull };
  // Serialises `event`, whose ByteSizeLong was just computed as `body_bytes`.
  Push push(const v1::Event& event, std::size_t body_bytes, std::int64_t time_ns, SyncClass sync, RecordUse use);

  struct Taken {
    std::vector<Batch> batches;
    bool sync = false;  // somebody waits for these
    bool stop = false;  // these are the last
  };
  // Waits until there is something to do, at the latest until `due`, and takes all there is. May return nothing, after
  // a poke or when it is due.
  Taken take(std::optional<runtime::SteadyClock::time_point> due);
  // Gives buffers back for reuse.
  void recycle(std::vector<Batch> batches);

  void stop();
  void poke();
  // Waits until `stop` was called, at most for `wait`; returns whether it was.
  bool wait_for_stop(std::chrono::milliseconds wait);

 private:
  enum class Sleep : std::uint8_t { kAwake, kTimed, kDeep };
  Batch& batch_for(std::size_t bytes);

  const std::size_t batch_bytes_max_;
  runtime::Mutex mutex_;
  runtime::Condition wake_;
  std::vector<Batch> batches_;
  std::vector<Batch> free_;
  std::size_t backlog_bytes_ = 0;  // pushed and not recycled
  std::size_t backlog_records_ = 0;
  std::size_t untaken_bytes_ = 0;  // in batches_
  bool urgent_ = false;
  bool ample_ = false;  // there is enough to write, though nobody waits for it yet
  bool sync_ = false;
  bool stop_ = false;
  bool poked_ = false;
  Sleep sleep_ = Sleep::kAwake;
};

}  // namespace liongate::event_log
