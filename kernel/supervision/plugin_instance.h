// One start of a plugin that speaks frames: its process, its pipes, its handshake and its end.
//
// Ownership and thread: shared by the plugin's actor and its own pending reads and writes; kernel thread only.
//
// States: LAUNCHING (Hello is in the pipe) -> READY (Ready was read) -> STOPPING (Shutdown was sent) -> ENDED. Every
// instance ends exactly once by on_instance_ended, after its process was reaped; nothing of it is left then. What the
// plugin sends against the protocol ends it with kPluginProtocolError: the instance is killed and says so when it
// ended.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "kernel/base/clock.h"
#include "kernel/base/ids.h"
#include "kernel/supervision/frame_codec.h"
#include "kernel/supervision/frame_outlet.h"
#include "kernel/supervision/launcher.h"
#include "kernel/supervision/output_capture.h"
#include "kernel/supervision/process_meter.h"

namespace liongate::supervision {

class PluginInstance;

// Whoever owns the calls. All are called on the kernel thread, never from inside a method of the instance.
class InstanceListener {
 public:
  virtual ~InstanceListener() = default;
  virtual void on_instance_ready(PluginInstance& instance, const v1::Ready& ready) = 0;
  // False when no such call is open: the instance is then ended as a protocol error.
  virtual bool on_instance_result(PluginInstance& instance, v1::Result& result) = 0;
  virtual bool on_instance_output(PluginInstance& instance, v1::Output& output) = 0;
  virtual void on_instance_log(PluginInstance& instance, const v1::LogLine& line) = 0;
  virtual void on_instance_pong(PluginInstance& instance, const v1::Pong& pong) = 0;
  // Of an observer alone. False for one that is not fed: it is then ended as a protocol error.
  virtual bool on_instance_ack(PluginInstance&, const v1::Ack&) { return false; }
  // To be answered with one HostReply.
  virtual void on_instance_host_call(PluginInstance& instance, const v1::HostCall& call) = 0;
  // `cause` is set when we ended it (protocol error, limit, deadline); else the process ended by itself.
  virtual void on_instance_ended(PluginInstance& instance, const PluginExit& exit, std::optional<Error> cause) = 0;
};

struct InstanceOptions {
  std::string plugin_id;
  const v1::PluginLoaded* loaded = nullptr;  // valid during start() only
  int ready_timeout_ms = limits::kReadyTimeoutMs;
  std::vector<policy::SecretValue> secrets = {};  // wiped as soon as the launcher has them
  std::string node_id = {};                       // of the log, for an observer
};

class PluginInstance final : public std::enable_shared_from_this<PluginInstance>, private LaunchListener {
 public:
  PluginInstance(boost::asio::io_context& context, Launcher& launcher, const Clock& clock, InstanceListener& listener,
                 std::shared_ptr<PluginLog> log);
  ~PluginInstance() override;

  // Launches the process and sends Hello. An error means that nothing was started and no callback will come.
  Result<void> start(InstanceOptions options);

  // Queues a frame; frames queued in one turn of the loop go out in one write.
  Result<void> send(const v1::Frame& frame);

  // The same for a frame that may hold a secret: our copies of its bytes are wiped once they are in the pipe.
  Result<void> send_secret(const v1::Frame& frame);

  // From now on `outlet` writes what send() is given. Returns the pipe, and what of earlier frames it has not taken
  // yet.
  struct WriteEnd {
    UniqueFd pipe;
    std::string unsent;
  };
  Result<WriteEnd> hand_over(std::shared_ptr<FrameOutlet> outlet);
  // The outlet found the pipe closed at its other end.
  void on_outlet_closed();

  // Sends Shutdown, closes our end after it, and kills what is still there after `grace_ms`.
  void stop(int grace_ms);

  // Kills it now; `cause` is what its open calls get.
  void end(Error cause);

  // No callback after this; the process is killed if it still runs.
  void abandon();

  // From now on it reaches the hosts that `manifest` names, and no others.
  void narrow_network(const v1::Manifest& manifest);

  // Who is told from now on.
  void set_listener(InstanceListener& listener) { listener_ = &listener; }

  const InstanceId& id() const { return id_; }
  const std::string& name() const { return name_; }
  std::int64_t pid() const { return pid_; }
  const v1::Posture& posture() const { return posture_; }
  bool ready() const { return state_ == State::kReady; }
  bool is_observer() const { return is_observer_; }
  bool ended() const { return state_ == State::kEnded; }
  MonotonicTime launch_time() const { return launch_time_; }
  ProcessMeter& meter() { return meter_; }
  CpuShares& cpu_shares() { return cpu_shares_; }
  FileWatch& created_files() { return created_files_; }
  // Flows to granted hosts since it was started.
  std::uint64_t network_requests() const { return network_requests_ ? *network_requests_ : 0; }

 private:
  enum class State { kLaunching, kReady, kStopping, kEnded };

  void on_launch_started(LaunchStarted started) override;
  void on_launch_ended(PluginExit exit) override;

  Result<std::vector<UniqueFd>> open_pipes();
  v1::Frame make_hello(const InstanceOptions& options) const;
  void read();
  void on_readable(int reads);
  void on_frames_closed();
  Result<void> take(v1::Frame& frame);
  Result<void> take_ready(const v1::Ready& ready);
  Result<void> take_refusal(const v1::Refusal& refusal);
  void flush_soon();
  void flush();
  void clear_outgoing();
  bool pause_reading();
  void count_chatter(const v1::Frame& frame);
  void watch_midway();
  void arm(int timeout_ms, void (PluginInstance::*on_expiry)());
  void on_ready_timeout();
  void on_stop_timeout();
  void on_close_timeout();
  void close_pipes();

  boost::asio::io_context& context_;
  Launcher& launcher_;
  const Clock& clock_;
  InstanceListener* listener_;
  std::shared_ptr<PluginLog> log_;
  InstanceId id_ = InstanceId::make();
  std::string name_;
  bool is_observer_ = false;
  State state_ = State::kLaunching;
  LaunchId launch_id_ = 0;
  bool launched_ = false;
  std::int64_t pid_ = 0;
  v1::Posture posture_;
  ProcessMeter meter_;
  CpuShares cpu_shares_;
  FileWatch created_files_;
  std::shared_ptr<const std::uint64_t> network_requests_;
  MonotonicTime launch_time_{};
  std::optional<Error> cause_;
  std::optional<v1::Ready> early_ready_;  // came before the launcher's word that the process runs

  boost::asio::posix::stream_descriptor to_plugin_;
  boost::asio::posix::stream_descriptor from_plugin_;
  std::shared_ptr<OutputCapture> stdout_;
  std::shared_ptr<OutputCapture> stderr_;
  boost::asio::steady_timer timer_;         // the one thing waited for: Ready, the stop's grace, the exit after EOF
  boost::asio::steady_timer midway_timer_;  // a frame that was begun
  boost::asio::steady_timer pace_timer_;    // the end of a window whose share of chatter is used up
  std::size_t chatter_bytes_ = 0;           // of frames that end no call, in this window
  MonotonicTime chatter_window_start_{};
  FrameDecoder decoder_;
  std::uint64_t frames_taken_ = 0;
  v1::Frame incoming_;
  std::shared_ptr<FrameOutlet> outlet_;  // writes in our place
  std::string outgoing_;
  std::size_t outgoing_sent_ = 0;
  bool outgoing_is_secret_ = false;  // it holds, or held, bytes to be wiped
  bool flush_queued_ = false;
  bool write_waiting_ = false;
  bool close_after_flush_ = false;
};

}  // namespace liongate::supervision
