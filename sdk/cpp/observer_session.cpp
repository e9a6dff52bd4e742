#include "sdk/cpp/observer_session.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <exception>
#include <utility>

#include "sdk/cpp/session.h"
#include "sdk/cpp/text.h"

namespace liongate::plugin {
namespace {

constexpr std::uint32_t kObserverProtocolVersion = 1;
constexpr char kObserverSdk[] = "liongate-cpp/" LIONGATE_VERSION;
constexpr std::size_t kBatchEventsMax = 256;            // acknowledged together
constexpr std::chrono::milliseconds kAckInterval{100};  // or as many as were handled in it
constexpr std::uint64_t kFailuresLoggedMax = 10;
constexpr std::chrono::milliseconds kRetryDelayMax{5000};

std::string what_of(const std::exception_ptr& thrown) {
  try {
    std::rethrow_exception(thrown);
  } catch (const std::exception& error) {
    return error.what();
  } catch (...) {
    return "an exception that is not a std::exception";
  }
}

}  // namespace

ObserverSession::ObserverSession(const ObserverMaker& make, int input_fd, int output_fd)
    : make_(make), input_fd_(input_fd), writer_(output_fd) {}

ObserverSession::~ObserverSession() = default;

int ObserverSession::run() {
  while (state_ < State::kFinishing) {
    if (!read_input()) break;
    take_frames();
    writer_.flush();
  }
  finish();
  return exit_code_;
}

// False at the end of the input.
bool ObserverSession::read_input() {
  const std::span<char> space = decoder_.space();
  const ssize_t count = ::read(input_fd_, space.data(), space.size());
  if (count > 0) {
    decoder_.commit(static_cast<std::size_t>(count));
    return true;
  }
  if (count < 0 && (errno == EINTR || errno == EAGAIN)) {
    pollfd readable{.fd = input_fd_, .events = POLLIN, .revents = 0};
    ::poll(&readable, 1, -1);
    return true;
  }
  if (state_ == State::kGreeting || decoder_.midway()) protocol_error("the input ended too early");
  return false;
}

void ObserverSession::take_frames() {
  v1::Frame frame;
  while (state_ < State::kFinishing) {
    const std::optional<std::string_view> bytes = decoder_.next();
    if (!bytes) break;
    if (!frame.ParseFromArray(bytes->data(), static_cast<int>(bytes->size()))) {
      protocol_error("a frame that is not a liongate.v1.Frame");
      return;
    }
    take(frame);
  }
  hand_over();
  if (state_ < State::kFinishing && !decoder_.error().empty()) protocol_error(decoder_.error());
}

void ObserverSession::take(v1::Frame& frame) {
  if (state_ == State::kGreeting) {
    if (frame.has_hello()) {
      greet(frame.hello());
    } else {
      protocol_error("the first frame is not Hello");
    }
    return;
  }
  switch (frame.kind_case()) {
    case v1::Frame::kEvent: {
      std::optional<Event> event = Event::from_bytes(std::move(*frame.mutable_event()->mutable_event()));
      if (!event) return protocol_error("an event that is no liongate.v1.Event");
      taken_.emplace_back(std::move(*event));
      return;
    }
    case v1::Frame::kGap:
      taken_.emplace_back(Gap{frame.gap().first_missing_seq(), frame.gap().last_missing_seq(), frame.gap().count()});
      return;
    case v1::Frame::kPing:
      return answer_ping(frame.ping().nonce());
    case v1::Frame::kShutdown:
      state_ = State::kFinishing;
      return;
    case v1::Frame::kPause:
    case v1::Frame::kResume:
    case v1::Frame::kConfigChanged:
      return;
    default:
      protocol_error("a frame of kind " + std::to_string(frame.kind_case()) + ", which an observer does not take");
  }
}

void ObserverSession::greet(const v1::Hello& hello) {
  hello_ = hello;
  if (kObserverProtocolVersion < hello.protocol_version_min() ||
      kObserverProtocolVersion > hello.protocol_version_max()) {
    return protocol_error("the daemon speaks versions " + std::to_string(hello.protocol_version_min()) + " to " +
                          std::to_string(hello.protocol_version_max()));
  }
  if (hello.limits().frame_bytes_max() > 0) {
    decoder_.set_frame_bytes_max(std::min(hello.limits().frame_bytes_max(), kFrameBytesMax));
  }
  try {
    observer_ = make_(hello.plugin_name(), hello.config_json().empty() ? "{}" : hello.config_json());
  } catch (...) {
    return refuse("the constructor threw: " + what_of(std::current_exception()));
  }
  try {
    observer_->on_startup();
  } catch (...) {
    startup_error_ = "on_startup: " + what_of(std::current_exception());
    log_error(hello.plugin_name() + ": " + startup_error_);
  }
  send_ready();
}

void ObserverSession::refuse(const std::string& message) {
  std::fprintf(stderr, "%s: %s\n", hello_.plugin_name().c_str(), message.c_str());
  v1::Frame frame;
  frame.mutable_refusal()->set_reason("LOAD_FAILURE");
  frame.mutable_refusal()->set_message(as_utf8(message));
  send(frame);
  exit_code_ = kExitFailure;
  state_ = State::kOver;
}

void ObserverSession::send_ready() {
  v1::Frame frame;
  v1::Ready& ready = *frame.mutable_ready();
  ready.set_protocol_version(kObserverProtocolVersion);
  ready.set_name(hello_.plugin_name());
  ready.set_version(hello_.plugin_version());
  ready.set_concurrency(1);
  ready.set_sdk(kObserverSdk);
  ready.add_features("on_event");
  ready.set_startup_error(as_utf8(startup_error_));
  send(frame);
  state_ = State::kServing;
  worker_ = std::thread([this] { work(); });
}

void ObserverSession::answer_ping(std::uint64_t nonce) {
  std::optional<Health> health;
  try {
    health = observer_->health();
  } catch (...) {
    health = Health{Health::State::kSick, what_of(std::current_exception())};
  }
  if (!health) {
    const std::lock_guard lock(mutex_);
    const std::uint64_t failed = failed_;
    health = failed == 0
                 ? Health{Health::State::kHealthy, std::to_string(handled_) + " events handled"}
                 : Health{Health::State::kSick, std::to_string(failed) + " of " + std::to_string(handled_ + failed) +
                                                    " events failed; last: " + last_failure_};
  }
  if (!startup_error_.empty()) {
    health = Health{Health::State::kSick, startup_error_ + (health->detail.empty() ? "" : "; " + health->detail)};
  }
  v1::Frame frame;
  frame.mutable_pong()->set_nonce(nonce);
  frame.mutable_pong()->set_healthy(health->state == Health::State::kHealthy);
  frame.mutable_pong()->set_detail(as_utf8(health->detail));
  send(frame);
}

// All that one read brought together: a wake of the other thread for each event costs more than the event.
void ObserverSession::hand_over() {
  if (taken_.empty()) return;
  const std::lock_guard lock(mutex_);
  for (Shown& shown : taken_) waiting_.push_back(std::move(shown));
  taken_.clear();
  arrived_.notify_one();
}

void ObserverSession::finish() {
  if (observer_) observer_->ask_to_stop();
  {
    const std::lock_guard lock(mutex_);
    finishing_ = true;
    arrived_.notify_one();
  }
  if (worker_.joinable()) worker_.join();
  writer_.flush();
}

void ObserverSession::protocol_error(const std::string& what) {
  std::fprintf(stderr, "%s: protocol error: %s\n", hello_.plugin_name().c_str(), what.c_str());
  exit_code_ = kExitProtocol;
  state_ = State::kOver;
}

// --- the observer's thread ---

void ObserverSession::work() {
  bool ends_itself = false;
  while (!ends_itself) {
    std::deque<Shown> batch;
    {
      std::unique_lock lock(mutex_);
      arrived_.wait(lock, [this] { return finishing_ || !waiting_.empty(); });
      if (finishing_) break;  // what is waiting was not acknowledged: it comes again
      while (!waiting_.empty() && batch.size() < kBatchEventsMax) {
        batch.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
      }
    }
    ends_itself = !handle_all(batch);
  }
  try {
    observer_->on_shutdown();
  } catch (...) {
    log_error(observer_->plugin_id() + ": on_shutdown: " + what_of(std::current_exception()));
    exit_code_ = kExitFailure;
  }
  bool is_finishing = false;
  {
    const std::lock_guard lock(mutex_);
    is_finishing = finishing_;
  }
  if (ends_itself && !is_finishing) {  // the reading thread waits for a frame that may never come
    writer_.flush();
    std::fflush(nullptr);
    ::_exit(exit_code_);
  }
}

// What was handled is acknowledged, whatever becomes of the rest: of a slow handler each by itself. False as of
// handle().
bool ObserverSession::handle_all(const std::deque<Shown>& batch) {
  auto next_ack = std::chrono::steady_clock::now() + kAckInterval;
  std::uint64_t handled_seq = 0;
  bool goes_on = true;
  for (const Shown& shown : batch) {
    goes_on = !observer_->stopping() && handle(shown);
    if (!goes_on) break;
    const auto* gap = std::get_if<Gap>(&shown);
    handled_seq = gap != nullptr ? gap->last_missing_seq : std::get<Event>(shown).seq();
    if (std::chrono::steady_clock::now() < next_ack) continue;
    acknowledge(std::exchange(handled_seq, 0));
    next_ack = std::chrono::steady_clock::now() + kAckInterval;
  }
  if (handled_seq > 0) acknowledge(handled_seq);
  return goes_on;
}

// False when the observer is to end: it gave up because it is asked to, or it is to stop at a failure.
bool ObserverSession::handle(const Shown& shown) {
  for (std::uint32_t attempt = 0; attempt <= hello_.observer().retries(); ++attempt) {
    const auto delay = std::min(std::chrono::milliseconds(10LL << std::min(attempt, 10U)), kRetryDelayMax);
    if (attempt > 0 && observer_->wait(delay)) return false;
    if (try_once(shown)) return true;
    if (observer_->stopping()) return false;
  }
  ++failed_;
  if (!hello_.observer().stop_on_error()) return true;
  exit_code_ = kExitFailure;
  return false;
}

bool ObserverSession::try_once(const Shown& shown) {
  const auto* event = std::get_if<Event>(&shown);
  try {
    if (event == nullptr) {
      observer_->on_gap(std::get<Gap>(shown));
      return true;
    }
    observer_->on_event(*event);
  } catch (...) {
    const std::string what = what_of(std::current_exception());
    note_failure(event == nullptr
                     ? "on_gap: " + what
                     : "on_event: " + what + " (event " + std::to_string(event->seq()) + " " + event->type() + ")");
    return false;
  }
  ++handled_;
  return true;
}

void ObserverSession::note_failure(const std::string& what) {
  const std::uint64_t failures = failed_ + 1;
  if (failures <= kFailuresLoggedMax || (failures & (failures - 1)) == 0) {
    log_error(observer_->plugin_id() + ": " + what);
  }
  const std::lock_guard lock(mutex_);
  last_failure_ = what;
}

void ObserverSession::acknowledge(std::uint64_t seq) {
  v1::Frame frame;
  frame.mutable_ack()->set_seq(seq);
  send(frame);
}

void ObserverSession::log_error(const std::string& line) {
  v1::Frame frame;
  frame.mutable_log()->set_level(v1::LOG_LEVEL_ERROR);
  frame.mutable_log()->set_message(as_utf8(line));
  send(frame);
}

void ObserverSession::send(const v1::Frame& frame) {
  writer_.add(frame);
  writer_.flush();
}

}  // namespace liongate::plugin
