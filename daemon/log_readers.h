// Reads the event log for clients on threads of its own, so that neither gRPC nor the kernel waits for a disk: one for
// queries, whose jobs are short slices of them, and one for verifications, which read everything.
//
// Ownership and thread: owned by the daemon. Everything may be called from any thread; jobs of a kind run one after the
// other. Followers are woken by the log's commits. At most limits::kFollowersMax streams follow and
// limits::kVerificationsMax verifications run or wait at once. Jobs ask stopping() in every slice: a stop waits for no
// more than one.
#pragma once

#include <atomic>
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
  // False when there are too many.
  bool submit_verification(std::function<void()> job);

  // Calls `wake` (on the log's writer thread; it must only submit) after each commit, until leave(token). Returns 0
  // when there are too many.
  std::uint64_t follow(std::function<void()> wake);
  void leave(std::uint64_t token);

  // The daemon stops: what is under way ends with its slice, as SHUTTING_DOWN.
  void begin_stop() { stopping_ = true; }
  bool stopping() const { return stopping_; }
  void stop();

 private:
  event_log::EventLog& log_;
  std::mutex mutex_;
  std::map<std::uint64_t, std::function<void()>> followers_;
  std::uint64_t last_token_ = 0;
  std::uint64_t listener_ = 0;
  std::atomic<bool> stopping_{false};
  std::atomic<int> verifications_{0};
  boost::asio::thread_pool reader_{1};
  boost::asio::thread_pool verifier_{1};
};

}  // namespace liongate::daemon
