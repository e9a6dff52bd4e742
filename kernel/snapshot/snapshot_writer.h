// Writes snapshots on a thread of its own, beside the log: the kernel thread only hands over a copy of its state.
//
// Ownership and thread: made and destroyed on the kernel thread, before and after which nothing else uses the store;
// write() and its `done` belong to the kernel thread. One snapshot at a time: the caller waits for `done`. It reads the
// log, which must outlive it. The destructor waits for a snapshot that is being written.
// Errors: given to `done`; a snapshot that was not written costs a longer start and nothing else.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernel/base/clock.h"
#include "kernel/event_log/event_log.h"
#include "kernel/registry/registry.h"
#include "kernel/snapshot/snapshot_store.h"

namespace liongate::snapshot {

class SnapshotWriter {
 public:
  struct Parts {
    boost::asio::io_context& io;
    const Clock& clock;
    const event_log::EventLog& log;
    std::shared_ptr<SnapshotStore> store;
    std::string version;  // of this program
  };
  explicit SnapshotWriter(Parts parts) : parts_(std::move(parts)) {}
  ~SnapshotWriter();
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;

  // For recovery, before the first write.
  SnapshotStore& store() { return *parts_.store; }

  // Writes `copy`, whose last event is durable, then removes every snapshot but it and those in `keep`.
  using Done = std::function<void(Result<WrittenSnapshot>)>;
  void write(registry::StateCopy copy, std::vector<EventSeq> keep, Done done);

 private:
  Result<WrittenSnapshot> write_now(const registry::StateCopy& copy, std::vector<EventSeq> keep);

  Parts parts_;
  boost::asio::thread_pool thread_{1};
};

}  // namespace liongate::snapshot
