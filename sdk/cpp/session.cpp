#include "sdk/cpp/session.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <optional>
#include <utility>

#include "sdk/cpp/definition.h"
#include "sdk/cpp/text.h"

namespace liongate::plugin {
namespace {

constexpr std::uint32_t kProtocolVersion = 1;
constexpr std::chrono::milliseconds kLookInterval{1};
constexpr char kSdk[] = "liongate-cpp/" LIONGATE_VERSION;

}  // namespace

Session::Session(const Plugin::Definition& definition, int input_fd, int output_fd)
    : definition_(definition), input_fd_(input_fd), writer_(output_fd) {}

int Session::run() {
  while (state_ < State::kFinishing) {
    handle_input();
    writer_.flush();
    if (state_ >= State::kFinishing) break;
    if (input_ended_) {
      if (state_ == State::kGreeting || decoder_.midway()) {
        protocol_error(decoder_.midway() ? "the input ended in the middle of a frame" : "the input ended before Hello");
      } else {
        state_ = State::kFinishing;
      }
      break;
    }
    read_input(Waiting::kUntilInput);
  }
  finish();
  return exit_code_;
}

void Session::send(const v1::Frame& frame) {
  writer_.add(frame);
  writer_.flush();
}

void Session::look_at_input() {
  const auto now = std::chrono::steady_clock::now();
  if (state_ != State::kServing || now - looked_at_ < kLookInterval || deferred_.size() >= kDeferredFramesMax) return;
  looked_at_ = now;
  if (!input_ended_) read_input(Waiting::kNot);
  handle_waiting_midcall();
  writer_.flush();
}

void Session::handle_waiting_midcall() {
  while (deferred_.size() < kDeferredFramesMax) {
    const std::optional<std::string_view> bytes = decoder_.next();
    if (!bytes) break;
    v1::Frame frame;
    // What does not parse is kept as a frame of no kind, so that handle() refuses it in its turn.
    if (!frame.ParseFromArray(bytes->data(), static_cast<int>(bytes->size()))) frame.Clear();
    handle_midcall(frame);
  }
}

// Reads once. A signal, or nothing there yet, is not the end: the caller comes back.
void Session::read_input(Waiting waiting) {
  if (waiting == Waiting::kNot) {
    pollfd readable{.fd = input_fd_, .events = POLLIN, .revents = 0};
    if (::poll(&readable, 1, 0) <= 0) return;
  }
  const std::span<char> space = decoder_.space();
  const ssize_t count = ::read(input_fd_, space.data(), space.size());
  if (count > 0) {
    decoder_.commit(static_cast<std::size_t>(count));
  } else if (count == 0) {
    input_ended_ = true;
  } else if (errno == EAGAIN && waiting == Waiting::kUntilInput) {
    pollfd readable{.fd = input_fd_, .events = POLLIN, .revents = 0};
    ::poll(&readable, 1, -1);
  } else if (errno != EINTR && errno != EAGAIN) {
    protocol_error(std::string("cannot read frames: ") + std::strerror(errno));
  }
}

// Handles every whole frame that has arrived, the deferred ones first because they came first.
void Session::handle_input() {
  v1::Frame frame;
  while (state_ < State::kFinishing) {
    if (!deferred_.empty()) {
      frame = std::move(deferred_.front());
      deferred_.pop_front();
      handle(frame);
      continue;
    }
    const std::optional<std::string_view> bytes = decoder_.next();
    if (!bytes) break;
    if (!frame.ParseFromArray(bytes->data(), static_cast<int>(bytes->size()))) {
      protocol_error("a frame that is not a liongate.v1.Frame");
      return;
    }
    handle(frame);
  }
  if (state_ < State::kFinishing && !decoder_.error().empty()) protocol_error(decoder_.error());
}

void Session::handle(v1::Frame& frame) {
  if (state_ == State::kGreeting) {
    if (!frame.has_hello()) {
      protocol_error("the first frame is not Hello");
      return;
    }
    greet(frame.hello());
    return;
  }
  switch (frame.kind_case()) {
    case v1::Frame::kInvoke:
      begin_call(*frame.mutable_invoke());
      break;
    case v1::Frame::kCancel:
      if (frame.cancel().call_id() != kEveryCall) cancel(frame.cancel().call_id());
      break;
    case v1::Frame::kHostReply:
      take_host_reply(*frame.mutable_host_reply());
      break;
    case v1::Frame::kPing:
      answer_ping(frame.ping().nonce());
      break;
    case v1::Frame::kConfigChanged:
      change_config(frame.config_changed().config_json());
      break;
    case v1::Frame::kPause:  // the daemon holds calls back by itself; there is nothing to do for a plugin
    case v1::Frame::kResume:
      break;
    case v1::Frame::kShutdown:
      state_ = State::kFinishing;
      break;
    case v1::Frame::KIND_NOT_SET:
      protocol_error("a frame of no kind that this SDK knows");
      break;
    default:
      protocol_error("a frame of kind " + std::to_string(frame.kind_case()) + ", which a plugin does not take");
  }
}

void Session::handle_midcall(v1::Frame& frame) {
  if (frame.has_ping()) {
    answer_ping(frame.ping().nonce());
    return;
  }
  if (frame.has_host_reply()) {
    take_host_reply(*frame.mutable_host_reply());
    return;
  }
  if (frame.has_cancel() && frame.cancel().call_id() != kEveryCall) {
    const std::uint64_t call_id = frame.cancel().call_id();
    const auto waiting = std::find_if(deferred_.begin(), deferred_.end(), [&](const v1::Frame& deferred) {
      return deferred.has_invoke() && deferred.invoke().call_id() == call_id;
    });
    if (waiting == deferred_.end()) {
      cancel(call_id);
    } else {
      cancelled_early_.insert(call_id);
    }
    return;
  }
  deferred_.push_back(std::move(frame));
}

void Session::greet(const v1::Hello& hello) {
  hello_ = hello;
  if (kProtocolVersion < hello.protocol_version_min() || kProtocolVersion > hello.protocol_version_max()) {
    protocol_error("the daemon speaks versions " + std::to_string(hello.protocol_version_min()) + " to " +
                   std::to_string(hello.protocol_version_max()) + ", this plugin " + std::to_string(kProtocolVersion));
    return;
  }
  if (hello.limits().frame_bytes_max() > 0) {
    decoder_.set_frame_bytes_max(std::min(hello.limits().frame_bytes_max(), kFrameBytesMax));
  }
  config_json_ = std::make_shared<const std::string>(hello.config_json());
  try {
    if (definition_.on_start) definition_.on_start(*config_json_);
  } catch (const std::exception& error) {
    log_line(Level::kError, std::string("cannot start: ") + error.what());
    exit_code_ = kExitFailure;
    state_ = State::kOver;
    return;
  }
  send_ready();
}

void Session::send_ready() {
  const Options& options = definition_.options;
  concurrency_ = std::max(options.concurrency, 1U);
  const std::uint32_t granted = hello_.limits().concurrency_max();
  if (granted > 0) concurrency_ = std::min(concurrency_, granted);

  v1::Frame frame;
  v1::Ready& ready = *frame.mutable_ready();
  ready.set_protocol_version(kProtocolVersion);
  ready.set_name(as_utf8(options.name.empty() ? hello_.plugin_name() : options.name));
  ready.set_version(as_utf8(options.version.empty() ? hello_.plugin_version() : options.version));
  ready.set_concurrency(concurrency_);
  ready.set_sdk(kSdk);
  if (!definition_.any_operation) {
    for (const auto& [name, operation] : definition_.operations) ready.add_operations(name);
  }
  writer_.add(frame);
  state_ = State::kServing;
  if (concurrency_ > 1 || options.reader == Reader::kStaysFree) {
    workers_ = std::make_unique<WorkerPool>(concurrency_, [this](CallState& call) { run_call(call); });
  }
}

void Session::answer_ping(std::uint64_t nonce) {
  Health health;
  try {
    if (definition_.on_health) health = definition_.on_health();
  } catch (const std::exception& error) {
    health = {.state = Health::State::kSick, .detail = error.what()};
  }
  v1::Frame frame;
  v1::Pong& pong = *frame.mutable_pong();
  pong.set_nonce(nonce);
  pong.set_healthy(health.state == Health::State::kHealthy);
  pong.set_detail(as_utf8(health.detail));
  writer_.add(frame);
}

void Session::change_config(const std::string& config_json) {
  config_json_ = std::make_shared<const std::string>(config_json);
  try {
    if (definition_.on_config_changed) definition_.on_config_changed(*config_json_);
  } catch (const std::exception& error) {
    log_line(Level::kError, std::string("on_config_changed: ") + error.what());
  }
}

void Session::finish() {
  end_host_calls();
  if (workers_) workers_->finish();
  writer_.flush();
  if (state_ != State::kFinishing) return;
  try {
    if (definition_.on_shutdown) definition_.on_shutdown();
  } catch (const std::exception& error) {
    log_line(Level::kError, std::string("on_shutdown: ") + error.what());
    exit_code_ = kExitFailure;
  }
}

void Session::log_line(Level level, std::string_view line) {
  v1::Frame frame;
  frame.mutable_log()->set_level(static_cast<v1::LogLevel>(level));
  frame.mutable_log()->set_message(as_utf8(line));
  send(frame);
}

void Session::protocol_error(const std::string& what) {
  std::fprintf(stderr, "%s: protocol error: %s\n", definition_.options.name.c_str(), what.c_str());
  exit_code_ = kExitProtocol;
  state_ = State::kOver;
  cancel(kEveryCall);
}

}  // namespace liongate::plugin
