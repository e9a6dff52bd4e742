// The methods of Call and Outcome: what a handler uses.
#include <algorithm>
#include <utility>

#include "liongate/plugin.h"
#include "sdk/cpp/session.h"
#include "sdk/cpp/text.h"

namespace liongate::plugin {
namespace {

constexpr std::size_t kLogLineBytesMax = 8UL * 1024;  // what the daemon keeps of a line

void send_part(Session& session, std::uint64_t call_id, std::string_view bytes, Outcome::Kind kind) {
  const std::uint32_t bytes_max = session.limits().output_bytes_max();
  if (bytes_max > 0 && bytes.size() > bytes_max) {
    throw Failure{.code = "OUTPUT_TOO_LARGE",
                  .message = "a part of the output has " + std::to_string(bytes.size()) +
                             " bytes, the daemon takes at most " + std::to_string(bytes_max)};
  }
  v1::Frame frame;
  frame.mutable_output()->set_call_id(call_id);
  v1::Payload& part = *frame.mutable_output()->mutable_part();
  if (kind == Outcome::Kind::kText && is_utf8(bytes)) {
    part.set_text(std::string(bytes));
  } else {
    part.set_data(std::string(bytes));
  }
  session.send(frame);
}

}  // namespace

Outcome& Outcome::warn(std::string warning) {
  warnings_.push_back(std::move(warning));
  return *this;
}

Outcome& Outcome::with_metadata(std::string key, std::string value) {
  metadata_.insert_or_assign(std::move(key), std::move(value));
  return *this;
}

std::string_view Call::input() const {
  const v1::Payload& input = state_.invoke.input();
  return input_is_data() ? input.data() : input.text();
}

std::string Call::take_input() {
  v1::Payload& input = *state_.invoke.mutable_input();
  return std::move(input_is_data() ? *input.mutable_data() : *input.mutable_text());
}

bool Call::input_is_data() const {
  return state_.invoke.input().has_data();
}
const std::string& Call::operation() const {
  return state_.invoke.operation();
}
const std::string& Call::execution_id() const {
  return state_.invoke.execution_id();
}
const std::string& Call::correlation_id() const {
  return state_.invoke.correlation_id();
}
const std::string& Call::traceparent() const {
  return state_.invoke.traceparent();
}
bool Call::streaming() const {
  return state_.invoke.stream();
}
const std::string& Call::plugin_name() const {
  return session_.plugin_name();
}
const std::string& Call::config_json() const {
  return *state_.config_json;
}

bool Call::cancelled() {
  if (state_.runs_on == RunsOn::kReadingThread) session_.look_at_input();
  return state_.cancelled.load(std::memory_order_relaxed);
}

std::stop_token Call::stop_token() {
  const std::lock_guard lock(state_.mutex);
  if (!state_.stop_source) {
    state_.stop_source.emplace();
    if (state_.cancelled.load(std::memory_order_relaxed)) state_.stop_source->request_stop();
  }
  return state_.stop_source->get_token();
}

std::optional<std::chrono::steady_clock::time_point> Call::deadline() const {
  return state_.deadline;
}

void Call::output(std::string_view text) {
  send_part(session_, state_.invoke.call_id(), text, Outcome::Kind::kText);
}

void Call::output(const Data& data) {
  send_part(session_, state_.invoke.call_id(), data.bytes, Outcome::Kind::kData);
}

std::string Call::secret(std::string_view name) {
  return session_.host_call(state_.invoke.call_id(), "secret", name);
}

void Call::log(Level level, std::string_view line) {
  v1::Frame frame;
  v1::LogLine& log = *frame.mutable_log();
  log.set_level(static_cast<v1::LogLevel>(level));
  log.set_message(as_utf8(line.substr(0, kLogLineBytesMax)));
  log.set_call_id(state_.invoke.call_id());
  session_.send(frame);
}

}  // namespace liongate::plugin
