// The observers' part of the kernel: a thread that reads the log's files for them and writes to their pipes, so that
// neither the kernel thread nor the log's writer ever waits for one, or works for one.
//
// The thread is woken by the log's commits. After a pause (kBusySlotMs without one) it wakes limits::kObserverGatherMs
// after the first, for every feed. While there is always something it wakes once in kBusySlotMs, for one feed after the
// other, so that ten observers disturb calls no more often than one does, and come later instead; all have had their
// turn within kBusyRoundMs, which many share slots for. It runs below the others' priority. Each
// observer has a Feed (feed.h) while it runs and a cursor (cursor_file.h) from its registration on; what is behind its
// cursor stays in the log's files.
//
// Ownership and thread: owned by whoever owns the log, which outlives it; it outlives the orchestrator. Its methods
// belong to the kernel thread and only post. stop() may be called once nobody uses it any more.
#pragma once

#include <atomic>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kernel/observation/feed.h"

namespace liongate::observation {

inline constexpr int kBusySlotMs = 50;
inline constexpr int kBusyRoundMs = 500;

class Observation {
 public:
  // `folder` holds the cursors; it is made with mode 0700 where it is missing.
  static Result<std::unique_ptr<Observation>> open(boost::asio::io_context& kernel, event_log::EventLog& log,
                                                   std::string folder);
  ~Observation();
  Observation(const Observation&) = delete;
  Observation& operator=(const Observation&) = delete;

  // A new observer begins behind event `seq`. What an older one of the same id left is overwritten.
  void enroll(const std::string& plugin_id, EventSeq seq);
  // Feeds a started instance until Feed::end().
  std::shared_ptr<Feed> begin(FeedOrder order);
  // It was unloaded: its cursor goes, behind the end of its last feed.
  void forget(const std::string& plugin_id);

  // Ends every feed, syncs the cursors, joins the thread. Idempotent.
  void stop();

 private:
  Observation(boost::asio::io_context& kernel, event_log::EventLog& log, std::string folder);
  std::string path_of(const std::string& plugin_id) const { return folder_ + "/" + plugin_id + ".cursor"; }
  void on_commit();
  void begin_round();
  void wake_in(std::chrono::steady_clock::time_point when, std::function<void()> what);
  void wake_slot();
  void wake_all();
  void end_round();

  boost::asio::io_context& kernel_;
  event_log::EventLog& log_;
  const std::string folder_;
  boost::asio::io_context io_{1};
  boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work_;
  boost::asio::steady_timer round_timer_;
  std::chrono::steady_clock::time_point last_wake_{};
  std::atomic<bool> asleep_{true};       // the next commit wakes us
  std::atomic<bool> has_commit_{false};  // one came since the round began
  std::size_t next_feed_ = 0;            // of the round
  std::vector<std::shared_ptr<Feed>> feeds_;
  std::uint64_t listener_ = 0;
  std::thread thread_;
};

}  // namespace liongate::observation
