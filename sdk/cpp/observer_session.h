// An observer's conversation with the daemon: one thread reads frames and answers pings, another calls the observer, so
// that a handler that takes its time is a healthy observer that is behind.
//
// Ownership and thread: lives in run_observer() and belongs to the reading thread; the worker uses the queue, the
// counters and the writer. What waits between them is bounded by the daemon's window. Errors: a broken protocol ends
// the session with one line on stderr.
#pragma once

#include <atomic>
#include <condition_variable>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <variant>
#include <vector>

#include "liongate/observer.h"
#include "liongate/v1/frame.pb.h"
#include "sdk/cpp/frame_decoder.h"
#include "sdk/cpp/frame_writer.h"

namespace liongate::plugin {

class ObserverSession {
 public:
  ObserverSession(const ObserverMaker& make, int input_fd, int output_fd);
  ~ObserverSession();

  int run();

 private:
  using Shown = std::variant<Event, Gap>;
  enum class State : std::uint8_t { kGreeting, kServing, kFinishing, kOver };

  bool read_input();
  void take_frames();
  void take(v1::Frame& frame);
  void greet(const v1::Hello& hello);
  void refuse(const std::string& message);
  void send_ready();
  void answer_ping(std::uint64_t nonce);
  void hand_over();
  void finish();
  void protocol_error(const std::string& what);

  void work();
  bool handle_all(const std::deque<Shown>& batch);
  bool handle(const Shown& shown);
  bool try_once(const Shown& shown);
  void acknowledge(std::uint64_t seq);
  void note_failure(const std::string& what);
  void log_error(const std::string& line);
  void send(const v1::Frame& frame);

  const ObserverMaker& make_;
  const int input_fd_;
  FrameDecoder decoder_;
  FrameWriter writer_;
  State state_ = State::kGreeting;
  std::atomic<int> exit_code_{0};
  v1::Hello hello_;
  std::unique_ptr<PluginBase> observer_;
  std::string startup_error_;

  std::vector<Shown> taken_;  // by the reading thread, not handed over yet

  std::mutex mutex_;
  std::condition_variable arrived_;
  std::deque<Shown> waiting_;  // guarded, as the next
  bool finishing_ = false;
  std::string last_failure_;
  std::atomic<std::uint64_t> handled_{0};
  std::atomic<std::uint64_t> failed_{0};
  std::thread worker_;
};

}  // namespace liongate::plugin
