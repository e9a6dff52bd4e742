#include "kernel/supervision/plugin_instance.h"

#include <fcntl.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cerrno>

#include "kernel/base/limits.h"
#include "kernel/base/utf8.h"
#include "kernel/registry/role.h"
#include "kernel/supervision/pipe_end.h"

namespace liongate::supervision {

namespace asio = boost::asio;

namespace {

// At most so much is read from one plugin before the others have their turn.
constexpr int kReadsPerTurn = 1;
// At the end of the process its pipe holds at most this many reads more.
constexpr int kReadsAtEnd = 64;
constexpr std::size_t kCompactBytes = 1024 * 1024;
constexpr std::chrono::milliseconds kChatterWindow{100};
constexpr std::size_t kChatterFrameBytes = 256;  // what any frame costs besides its bytes

}  // namespace

PluginInstance::PluginInstance(asio::io_context& context, Launcher& launcher, const Clock& clock,
                               InstanceListener& listener, std::shared_ptr<PluginLog> log)
    : context_(context),
      launcher_(launcher),
      clock_(clock),
      listener_(&listener),
      log_(std::move(log)),
      to_plugin_(context),
      from_plugin_(context),
      timer_(context),
      midway_timer_(context),
      pace_timer_(context) {}

PluginInstance::~PluginInstance() {
  if (launched_) {
    launcher_.forget(launch_id_);
    launcher_.kill(launch_id_);
  }
}

Result<std::vector<UniqueFd>> PluginInstance::open_pipes() {
  LG_ASSIGN(UniqueFd null, sys::open("/dev/null", O_RDONLY));
  LG_ASSIGN(auto out, sys::pipe());
  LG_ASSIGN(auto err, sys::pipe());
  LG_ASSIGN(auto in_frames, sys::pipe());
  LG_ASSIGN(auto out_frames, sys::pipe());
  LG_ASSIGN(stdout_, OutputCapture::open(context_, std::move(out.first), "stdout", log_, ""));
  LG_ASSIGN(stderr_, OutputCapture::open(context_, std::move(err.first), "stderr", log_, ""));
  LG_TRY(watch_pipe_end(to_plugin_, std::move(in_frames.second)));
  LG_TRY(watch_pipe_end(from_plugin_, std::move(out_frames.first)));
  std::vector<UniqueFd> theirs;
  theirs.push_back(std::move(null));
  theirs.push_back(std::move(out.second));
  theirs.push_back(std::move(err.second));
  theirs.push_back(std::move(in_frames.first));
  theirs.push_back(std::move(out_frames.second));
  return theirs;
}

v1::Frame PluginInstance::make_hello(const InstanceOptions& options) const {
  v1::Frame frame;
  v1::Hello& hello = *frame.mutable_hello();
  hello.set_protocol_version_min(limits::kProtocolVersionMin);
  hello.set_protocol_version_max(limits::kProtocolVersionMax);
  hello.add_features("output");
  hello.add_features("log");
  hello.add_features("host_call");
  hello.mutable_limits()->set_frame_bytes_max(limits::kFrameBytesMax);
  hello.mutable_limits()->set_input_bytes_max(limits::kInputBytesMax);
  hello.mutable_limits()->set_output_bytes_max(limits::kOutputBytesMax);
  hello.mutable_limits()->set_concurrency_max(limits::kConcurrencyMax);
  hello.set_plugin_id(options.plugin_id);
  hello.set_instance_id(id_.str());
  hello.set_plugin_name(options.loaded->manifest().name());
  hello.set_plugin_version(options.loaded->manifest().version());
  if (registry::is_observer(options.loaded->manifest())) {
    const v1::ObserverSettings& settings = options.loaded->manifest().observer();
    hello.mutable_observer()->set_node_id(options.node_id);
    hello.mutable_observer()->set_retries(settings.retries());
    hello.mutable_observer()->set_stop_on_error(settings.on_error() == "stop");
  }
  hello.set_config_json(options.loaded->config_json().empty() ? "{}" : options.loaded->config_json());
  return frame;
}

Result<void> PluginInstance::start(InstanceOptions options) {
  name_ = options.loaded->manifest().name();
  is_observer_ = registry::is_observer(options.loaded->manifest());
  launch_time_ = clock_.now();
  LaunchOrder order;
  order.loaded = options.loaded;
  order.origin.set_plugin_id(options.plugin_id);
  order.origin.set_plugin_name(name_);
  order.origin.set_instance_id(id_.str());
  auto pipes = open_pipes();
  if (!pipes) {
    close_pipes();
    state_ = State::kEnded;
    return std::move(pipes).error();
  }
  order.descriptors = std::move(*pipes);
  order.secrets = std::move(options.secrets);
  auto launched = launcher_.launch(std::move(order), *this);
  if (!launched) {
    close_pipes();
    state_ = State::kEnded;
    return std::move(launched).error();
  }
  launch_id_ = *launched;
  launched_ = true;
  stdout_->start();
  stderr_->start();
  read();
  arm(options.ready_timeout_ms, &PluginInstance::on_ready_timeout);
  return send(make_hello(options));
}

void PluginInstance::arm(int timeout_ms, void (PluginInstance::*on_expiry)()) {
  timer_.expires_after(std::chrono::milliseconds(timeout_ms));
  timer_.async_wait([self = shared_from_this(), on_expiry](const boost::system::error_code& error) {
    if (!error && self->state_ != State::kEnded) (self.get()->*on_expiry)();
  });
}

void PluginInstance::on_ready_timeout() {
  end(make_error(Reason::kLoadFailure, "plugin " + name_ + " did not say Ready in time")
          .with_hint("a plugin must read Hello from fd 3 and answer Ready on fd 4; see docs/plugin-authors.md"));
}

void PluginInstance::on_stop_timeout() {
  launcher_.kill(launch_id_);
}

void PluginInstance::on_close_timeout() {
  end(make_error(Reason::kPluginProtocolError,
                 "plugin " + name_ + " closed a frame pipe (fd 3 or fd 4) while it runs"));
}

Result<void> PluginInstance::send(const v1::Frame& frame) {
  if (state_ == State::kEnded || close_after_flush_ || (!to_plugin_.is_open() && outlet_ == nullptr)) {
    return make_error(Reason::kPluginNotRunning, "plugin " + name_ + " is ending");
  }
  if (outlet_ != nullptr) {
    std::string bytes;
    LG_TRY(append_frame(frame, bytes));
    outlet_->send(std::move(bytes));
    return {};
  }
  if (outgoing_.size() - outgoing_sent_ > limits::kFrameWriteBacklogBytesMax) {
    return make_error(Reason::kQueueFull, "plugin " + name_ + " does not read its frames")
        .with_hint("it has " + std::to_string(limits::kFrameWriteBacklogBytesMax >> 20) + " MiB waiting; try later");
  }
  LG_TRY(append_frame(frame, outgoing_));
  flush_soon();
  return {};
}

Result<PluginInstance::WriteEnd> PluginInstance::hand_over(std::shared_ptr<FrameOutlet> outlet) {
  // Its own copy: what waits for ours to become writable ends with it.
  LG_ASSIGN(UniqueFd pipe, sys::duplicate(to_plugin_.native_handle()));
  WriteEnd end{std::move(pipe), outgoing_.substr(outgoing_sent_)};
  clear_outgoing();
  boost::system::error_code ignored;
  to_plugin_.close(ignored);
  outlet_ = std::move(outlet);
  return end;
}

void PluginInstance::on_outlet_closed() {
  if (state_ == State::kReady && !cause_) arm(limits::kExitAfterCloseMs, &PluginInstance::on_close_timeout);
}

Result<void> PluginInstance::send_secret(const v1::Frame& frame) {
  outgoing_is_secret_ = true;
  // Growing on the way would leave a copy behind: it grows here, and the old room is wiped.
  const std::size_t needed = outgoing_.size() + limits::kFrameHeaderBytes + frame.ByteSizeLong();
  if (needed > outgoing_.capacity()) {
    std::string roomier;
    roomier.reserve(2 * needed);
    roomier.append(outgoing_);
    outgoing_.swap(roomier);
    wipe(roomier);
  }
  return send(frame);
}

void PluginInstance::clear_outgoing() {
  if (outgoing_is_secret_) wipe(outgoing_);
  outgoing_is_secret_ = false;
  outgoing_.clear();
  outgoing_sent_ = 0;
}

void PluginInstance::flush_soon() {
  if (flush_queued_ || write_waiting_) return;
  flush_queued_ = true;
  asio::post(context_, [self = shared_from_this()] {
    self->flush_queued_ = false;
    self->flush();
  });
}

void PluginInstance::flush() {
  while (outgoing_sent_ < outgoing_.size() && to_plugin_.is_open()) {
    const ssize_t sent =
        ::write(to_plugin_.native_handle(), outgoing_.data() + outgoing_sent_, outgoing_.size() - outgoing_sent_);
    if (sent >= 0) {
      outgoing_sent_ += static_cast<std::size_t>(sent);
      continue;
    }
    if (errno == EINTR) continue;
    if (errno == EAGAIN) {
      // What was sent is forgotten now and then: a reader that never quite catches up must not make us keep it all.
      if (outgoing_sent_ > kCompactBytes && outgoing_sent_ > outgoing_.size() / 2) {
        outgoing_.erase(0, outgoing_sent_);
        outgoing_sent_ = 0;
      }
      write_waiting_ = true;
      to_plugin_.async_wait(asio::posix::stream_descriptor::wait_write,
                            [self = shared_from_this()](const boost::system::error_code& error) {
                              self->write_waiting_ = false;
                              if (!error) self->flush();
                            });
      return;
    }
    // EPIPE: the plugin closed fd 3 or died. Its exit, or its silence until the deadline, tells the callers.
    boost::system::error_code ignored;
    to_plugin_.close(ignored);
    if (state_ == State::kReady && !cause_) arm(limits::kExitAfterCloseMs, &PluginInstance::on_close_timeout);
    break;
  }
  clear_outgoing();
  if (close_after_flush_) {
    boost::system::error_code ignored;
    to_plugin_.close(ignored);
  }
}

void PluginInstance::read() {
  from_plugin_.async_wait(asio::posix::stream_descriptor::wait_read,
                          [self = shared_from_this()](const boost::system::error_code& error) {
                            if (!error && self->state_ != State::kEnded) self->on_readable(kReadsPerTurn);
                          });
}

void PluginInstance::on_readable(int reads) {
  for (int turn = 0; turn < reads; ++turn) {
    const std::span<char> room = decoder_.room();
    const ssize_t got = ::read(from_plugin_.native_handle(), room.data(), room.size());
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) break;
    if (got <= 0) {
      on_frames_closed();
      return;
    }
    decoder_.filled(static_cast<std::size_t>(got));
    for (;;) {
      const Result<bool> more = decoder_.next(incoming_);
      if (more && !*more) break;
      ++frames_taken_;
      const Result<void> taken = more ? take(incoming_) : Result<void>(more.error());
      if (!taken) {
        end(Error(taken.error()).in("plugin " + name_ + " broke the frame protocol"));
        return;
      }
      if (state_ == State::kEnded || cause_) return;
    }
    if (static_cast<std::size_t>(got) < room.size()) break;
  }
  watch_midway();
  if (chatter_bytes_ < limits::kChatterBytesPerWindowMax || !pause_reading()) read();
}

// A plugin that floods us with frames which end no call is slowed down by its full pipe, as by a full stdout.
bool PluginInstance::pause_reading() {
  const MonotonicTime window_end = chatter_window_start_ + kChatterWindow;
  chatter_bytes_ = 0;
  if (clock_.now() >= window_end) return false;
  pace_timer_.expires_at(window_end);
  pace_timer_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (!error && self->state_ != State::kEnded) self->read();
  });
  return true;
}

void PluginInstance::count_chatter(const v1::Frame& frame) {
  const MonotonicTime now = clock_.now();
  if (now - chatter_window_start_ > kChatterWindow) {
    chatter_window_start_ = now;
    chatter_bytes_ = 0;
  }
  chatter_bytes_ += kChatterFrameBytes + frame.log().message().size() + frame.host_call().request().size();
}

void PluginInstance::watch_midway() {
  if (!decoder_.midway()) {
    if (midway_timer_.expiry() != asio::steady_timer::time_point::max()) {
      midway_timer_.expires_at(asio::steady_timer::time_point::max());
    }
    return;
  }
  if (midway_timer_.expiry() != asio::steady_timer::time_point::max() &&
      midway_timer_.expiry() > std::chrono::steady_clock::now()) {
    return;  // the same frame, or one begun right behind it: its time runs
  }
  midway_timer_.expires_after(std::chrono::milliseconds(limits::kFrameMidwayTimeoutMs));
  midway_timer_.async_wait([self = shared_from_this(), begun = frames_taken_](const boost::system::error_code& error) {
    if (error || self->state_ == State::kEnded || !self->decoder_.midway()) return;
    if (self->frames_taken_ != begun) {  // another frame is midway: a busy plugin is often seen so
      self->watch_midway();
      return;
    }
    self->end(make_error(Reason::kPluginProtocolError,
                         "plugin " + self->name_ + " began a frame and did not finish it in time"));
  });
}

void PluginInstance::on_frames_closed() {
  boost::system::error_code ignored;
  from_plugin_.close(ignored);
  if (state_ == State::kStopping) return;  // expected: it finishes
  if (decoder_.midway() && !cause_) {
    log_->add("stderr", "", "liongate: the plugin ended in the middle of a frame", "");
  }
  arm(limits::kExitAfterCloseMs, &PluginInstance::on_close_timeout);
}

Result<void> PluginInstance::take(v1::Frame& frame) {
  using K = v1::Frame::KindCase;
  if (state_ == State::kLaunching && frame.kind_case() == K::kRefusal) return take_refusal(frame.refusal());
  if (state_ == State::kLaunching && frame.kind_case() != K::kReady && frame.kind_case() != K::kLog) {
    return make_error(Reason::kPluginProtocolError, "the first frame must be Ready");
  }
  if (frame.kind_case() != K::kResult && frame.kind_case() != K::kOutput) count_chatter(frame);
  switch (frame.kind_case()) {
    case K::kReady:
      return take_ready(frame.ready());
    case K::kResult:
      if (listener_ != nullptr && !listener_->on_instance_result(*this, *frame.mutable_result())) {
        return make_error(Reason::kPluginProtocolError,
                          "a Result for call " + std::to_string(frame.result().call_id()) + ", which is not open");
      }
      return {};
    case K::kOutput:
      if (listener_ != nullptr && !listener_->on_instance_output(*this, *frame.mutable_output())) {
        return make_error(Reason::kPluginProtocolError,
                          "an Output for call " + std::to_string(frame.output().call_id()) + ", which is not open");
      }
      return {};
    case K::kLog:
      if (listener_ != nullptr) listener_->on_instance_log(*this, frame.log());
      return {};
    case K::kPong:
      if (listener_ != nullptr) listener_->on_instance_pong(*this, frame.pong());
      return {};
    case K::kHostCall:
      if (listener_ != nullptr) listener_->on_instance_host_call(*this, frame.host_call());
      return {};
    case K::kAck:
      if (is_observer_ && listener_ != nullptr && listener_->on_instance_ack(*this, frame.ack())) return {};
      return make_error(Reason::kPluginProtocolError, "an Ack of a plugin that is sent no events");
    default:
      return make_error(Reason::kPluginProtocolError, "a frame of a kind that only the daemon may send, or of none");
  }
}

Result<void> PluginInstance::take_refusal(const v1::Refusal& refusal) {
  Reason reason = Reason::kLoadFailure;
  for (const Reason of_module : {Reason::kModuleNotFound, Reason::kSymbolNotFound, Reason::kNotAPlugin}) {
    if (traits_of(of_module).name == refusal.reason()) reason = of_module;
  }
  end(make_error(reason, to_utf8(refusal.message().substr(0, limits::kFailureMessageBytesMax))));
  return {};
}

Result<void> PluginInstance::take_ready(const v1::Ready& ready) {
  if (state_ != State::kLaunching) return make_error(Reason::kPluginProtocolError, "a second Ready");
  if (!launched_) return {};  // it ended right behind it: its exit is what counts
  if (ready.protocol_version() < limits::kProtocolVersionMin ||
      ready.protocol_version() > limits::kProtocolVersionMax) {
    return make_error(Reason::kPluginProtocolError,
                      "Ready chose protocol version " + std::to_string(ready.protocol_version()) + "; " +
                          std::to_string(limits::kProtocolVersionMin) + " to " +
                          std::to_string(limits::kProtocolVersionMax) + " are spoken here");
  }
  state_ = State::kReady;
  timer_.cancel();
  if (pid_ == 0) {  // its posture belongs to what Ready causes to be recorded
    early_ready_ = ready;
    return {};
  }
  if (listener_ != nullptr) listener_->on_instance_ready(*this, ready);
  return {};
}

void PluginInstance::stop(int grace_ms) {
  if (state_ == State::kEnded || state_ == State::kStopping) return;
  v1::Frame frame;
  frame.mutable_shutdown()->set_grace_ms(static_cast<std::uint64_t>(grace_ms));
  // A plugin whose pipe is closed or full is killed after the grace all the same.
  const Result<void> sent = send(frame);
  state_ = State::kStopping;
  close_after_flush_ = sent.has_value();
  if (outlet_ != nullptr) outlet_->finish();
  arm(grace_ms, &PluginInstance::on_stop_timeout);
}

void PluginInstance::end(Error cause) {
  if (state_ == State::kEnded) return;
  if (!cause_) cause_ = std::move(cause);
  timer_.cancel();
  launcher_.kill(launch_id_);
}

void PluginInstance::abandon() {
  listener_ = nullptr;
  if (launched_) {
    launcher_.forget(launch_id_);
    launcher_.kill(launch_id_);
    launched_ = false;
  }
  // What waits for its pipes and timers holds the object: it ends with them, not with the loop. Its output is not read
  // to the end: its writers may still live.
  state_ = State::kEnded;
  if (stdout_) stdout_->drop();
  if (stderr_) stderr_->drop();
  close_pipes();
}

void PluginInstance::narrow_network(const v1::Manifest& manifest) {
  if (launched_) launcher_.narrow_network(launch_id_, manifest);
}

void PluginInstance::on_launch_started(LaunchStarted started) {
  pid_ = started.pid;
  posture_ = std::move(started.posture);
  meter_ = ProcessMeter(static_cast<pid_t>(started.pid));
  created_files_ = std::move(started.created_files);
  network_requests_ = std::move(started.network_requests);
  if (early_ready_ && state_ == State::kReady && listener_ != nullptr) {
    listener_->on_instance_ready(*this, *std::exchange(early_ready_, std::nullopt));
  }
}

void PluginInstance::on_launch_ended(PluginExit exit) {
  const auto self = shared_from_this();  // the listener may drop the last owner
  launched_ = false;
  // What was in the pipe when the process ended still counts: results, and why it could not start.
  if (from_plugin_.is_open() && !cause_) on_readable(kReadsAtEnd);
  state_ = State::kEnded;
  close_pipes();
  if (listener_ != nullptr) listener_->on_instance_ended(*this, exit, std::move(cause_));
}

void PluginInstance::close_pipes() {
  timer_.cancel();
  midway_timer_.cancel();
  pace_timer_.cancel();
  boost::system::error_code ignored;
  to_plugin_.close(ignored);
  from_plugin_.close(ignored);
  if (outgoing_is_secret_) clear_outgoing();
  if (stdout_) stdout_->finish();
  if (stderr_) stderr_->finish();
}

}  // namespace liongate::supervision
