// The conversation with the daemon from Hello to the end: reads frames, runs calls or hands them to workers, answers.
//
//   GREETING --Hello, on_start, Ready--> SERVING --Shutdown or end of input--> FINISHING (running calls) --> over
//                                           \--anything frame.proto forbids--> over, exit code 76
//
// Ownership and thread: lives in Plugin::run() and belongs to the reading thread, which called it. Workers use only
// run_call(), send() and what is behind them. One read takes what the pipe holds; all its answers leave in one write.
// Errors: broken protocol ends the session with one line on stderr; nothing is thrown out of run().
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "liongate/plugin.h"
#include "liongate/v1/frame.pb.h"
#include "sdk/cpp/call_state.h"
#include "sdk/cpp/frame_decoder.h"
#include "sdk/cpp/frame_writer.h"
#include "sdk/cpp/worker_pool.h"

namespace liongate::plugin {

// No call has this id, so cancel() takes it to mean all of them.
inline constexpr std::uint64_t kEveryCall = 0;

inline constexpr std::size_t kDeferredFramesMax = 1024;  // beyond it the pipe itself holds the daemon back

inline constexpr int kExitFailure = 1;
inline constexpr int kExitUsage = 64;
inline constexpr int kExitProtocol = 76;

class Session {
 public:
  Session(const Plugin::Definition& definition, int input_fd, int output_fd);

  int run();

  // Sends a frame at once, with whatever else was waiting. Any thread.
  void send(const v1::Frame& frame);
  // Sends what was answered so far and looks once, without waiting, for cancels and pings on the pipe. Only in a
  // handler on the reading thread; everything else that is found there is handled after the handler has returned.
  void look_at_input();
  // Asks the daemon on behalf of a call and waits for the reply; throws a refusal as a Failure. A handler on the
  // reading thread reads on meanwhile, as look_at_input() does; any other thread waits for that one to do so.
  std::string host_call(std::uint64_t call_id, std::string_view method, std::string_view request);
  const std::string& plugin_name() const { return hello_.plugin_name(); }
  const v1::FrameLimits& limits() const { return hello_.limits(); }

 private:
  enum class Waiting : std::uint8_t { kUntilInput, kNot };
  enum class State : std::uint8_t { kGreeting, kServing, kFinishing, kOver };

  void read_input(Waiting waiting);
  void handle_input();
  void handle(v1::Frame& frame);
  void handle_midcall(v1::Frame& frame);
  void handle_waiting_midcall();
  void take_host_reply(v1::HostReply& reply);
  void await_host_reply(std::uint64_t host_call_id);
  void end_host_calls();
  void greet(const v1::Hello& hello);
  void send_ready();
  void begin_call(v1::Invoke& invoke);
  void run_call(CallState& call);
  void answer(CallState& call, Outcome& outcome);
  void cancel(std::uint64_t call_id);
  void answer_ping(std::uint64_t nonce);
  void change_config(const std::string& config_json);
  void finish();
  void log_line(Level level, std::string_view line);
  void protocol_error(const std::string& what);
  const Operation* operation_named(const std::string& name) const;
  void remember(CallState& call);
  void forget(CallState& call);

  const Plugin::Definition& definition_;
  const int input_fd_;
  FrameDecoder decoder_;
  FrameWriter writer_;
  State state_ = State::kGreeting;
  int exit_code_ = 0;
  bool input_ended_ = false;
  v1::Hello hello_;
  std::shared_ptr<const std::string> config_json_;
  std::uint32_t concurrency_ = 1;
  std::deque<v1::Frame> deferred_;           // found by look_at_input(), at most kDeferredFramesMax
  std::set<std::uint64_t> cancelled_early_;  // calls among the deferred frames that nobody waits for any more
  std::chrono::steady_clock::time_point looked_at_;
  std::unique_ptr<WorkerPool> workers_;  // null: every call runs on the reading thread

  const std::thread::id reading_thread_ = std::this_thread::get_id();
  std::mutex host_mutex_;
  std::condition_variable host_replied_;
  std::uint64_t last_host_call_id_ = 0;                  // guarded, as the next two
  std::map<std::uint64_t, v1::HostReply> host_replies_;  // of calls under way; its id is set once it has come
  bool host_calls_ended_ = false;

  std::mutex live_mutex_;
  std::vector<CallState*> live_;  // guarded: begun or queued calls, the ones a Cancel can name
};

// Runs the handler of one call; whatever it throws becomes a failure.
Outcome outcome_of(Session& session, CallState& call, const Plugin::Definition& definition);

}  // namespace liongate::plugin
