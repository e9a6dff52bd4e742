// Reads the event log for clients on a thread of its own, so that neither gRPC nor the kernel waits for a disk.
//
// Ownership and thread: owned by the daemon. submit() from any thread; jobs run one after the other on the reader
// thread. Followers are woken by the log's commits. At most limits::kFollowersMax streams are open at once.
#pragma once

#include <boost/asio/post.hpp>
#include <boost/asio/thread_pool.hpp>
#include <functional>
#include <map>
#include <mutex>

#include "kernel/event_log/event_log.h"

namespace liongate::daemon {

class LogReaders {
 public:
  explicit LogReaders(event_log::EventLog& log);
  ~LogReaders();

  event_log::EventLog& log() { return log_; }

  template <typename Job>
  void submit(Job job) {
    boost::asio::post(reader_, std::move(job));
  }

  // Calls `wake` (on the log's writer thread; it must only submit) after each commit, until leave(token). Returns 0
  // when there are too many.
  std::uint64_t follow(std::function<void()> wake);
  void leave(std::uint64_t token);

  void stop();

 private:
  event_log::EventLog& log_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::function<void()>> followers_;
  std::uint64_t last_token_ = 0;
  std::uint64_t listener_ = 0;
  boost::asio::thread_pool reader_{1};
};

}  // namespace liongate::daemon
