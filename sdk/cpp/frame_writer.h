// Collects frames and writes them to the pipe, many in one write.
//
// Ownership and thread: the descriptor stays its owner's. Any thread may add; whoever flushes while another thread is
// writing leaves its frames to that thread. A thread waits for another's write only when kPendingBytes have gathered.
// Errors: once a write fails (the daemon is gone), broken() is true and everything later is dropped.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>

namespace google::protobuf {
class MessageLite;
}

namespace liongate::plugin {

class FrameWriter {
 public:
  explicit FrameWriter(int fd) : fd_(fd) {}
  FrameWriter(const FrameWriter&) = delete;
  FrameWriter& operator=(const FrameWriter&) = delete;

  // Appends one frame. Beyond kPendingBytes it is written out at once, so that a batch of large answers stays bounded.
  void add(const google::protobuf::MessageLite& frame);
  void flush();
  bool broken() const { return broken_.load(std::memory_order_relaxed); }

 private:
  void write_all(const std::string& bytes);

  const int fd_;
  std::mutex mutex_;
  std::condition_variable drained_;
  std::string pending_;        // guarded by mutex_
  bool writing_ = false;       // guarded by mutex_: a thread is in flush() and will take what is pending
  std::string writing_bytes_;  // owned by the thread that set writing_
  std::atomic<bool> broken_{false};
};

}  // namespace liongate::plugin
