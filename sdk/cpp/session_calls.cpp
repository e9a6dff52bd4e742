// The part of a Session that runs calls: from Invoke to Result, and what may happen to one in between.
#include <algorithm>
#include <exception>
#include <utility>

#include "sdk/cpp/definition.h"
#include "sdk/cpp/session.h"
#include "sdk/cpp/text.h"

namespace liongate::plugin {
namespace {

Failure unknown_operation(const std::string& name, const Plugin::Definition& definition) {
  std::string known;
  for (const auto& [known_name, operation] : definition.operations) {
    known += (known.empty() ? "\"" : ", \"") + known_name + '"';
  }
  return {.code = "UNKNOWN_OPERATION",
          .message = "no operation \"" + name + "\"; there is " + (known.empty() ? "none" : known)};
}

void fill_failure(const Failure& failure, v1::Failure& out) {
  out.set_code(as_utf8(failure.code));
  out.set_message(as_utf8(failure.message));
  out.set_retryable(failure.retry == Retry::kYes);
}

void fill_result(Outcome& outcome, v1::Result& result) {
  switch (outcome.kind()) {
    case Outcome::Kind::kText:
      if (is_utf8(outcome.output())) {
        result.mutable_output()->set_text(std::move(outcome.output()));
        break;
      }
      [[fallthrough]];
    case Outcome::Kind::kData:
      result.mutable_output()->set_data(std::move(outcome.output()));
      break;
    case Outcome::Kind::kFailure:
      fill_failure(outcome.failure(), *result.mutable_failure());
      break;
  }
  for (const std::string& warning : outcome.warnings()) result.add_warnings(as_utf8(warning));
  for (const auto& [key, value] : outcome.metadata()) (*result.mutable_metadata())[as_utf8(key)] = as_utf8(value);
}

}  // namespace

Outcome outcome_of(Session& session, CallState& state, const Plugin::Definition& definition) {
  if (state.operation == nullptr) return unknown_operation(state.invoke.operation(), definition);
  if (state.cancelled.load(std::memory_order_relaxed)) {
    return Failure{.code = "CANCELLED", .message = "cancelled before it began"};
  }
  Call call(session, state);
  try {
    return state.operation->handler(call);
  } catch (Failure& failure) {
    return std::move(failure);
  } catch (const std::exception& error) {
    return Failure{.code = "PLUGIN_EXCEPTION", .message = error.what()};
  } catch (...) {
    return Failure{.code = "PLUGIN_EXCEPTION", .message = "an exception that is not a std::exception"};
  }
}

const Operation* Session::operation_named(const std::string& name) const {
  const auto found = definition_.operations.find(name);
  if (found != definition_.operations.end()) return &found->second;
  return definition_.any_operation ? &*definition_.any_operation : nullptr;
}

void Session::begin_call(v1::Invoke& invoke) {
  if (invoke.call_id() == 0) {
    protocol_error("an Invoke with call id 0");
    return;
  }
  auto call = std::make_unique<CallState>();
  call->invoke.Swap(&invoke);
  call->operation = operation_named(call->invoke.operation());
  call->config_json = config_json_;
  if (call->invoke.time_left_ms() > 0) {
    call->deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(call->invoke.time_left_ms());
  }
  call->cancelled.store(cancelled_early_.erase(call->invoke.call_id()) > 0, std::memory_order_relaxed);
  remember(*call);
  const bool ordinary = call->operation != nullptr && call->operation->pace == Pace::kOrdinary;
  if (ordinary && workers_) {
    call->runs_on = RunsOn::kWorker;
    workers_->submit(std::move(call));
    return;
  }
  // An ordinary handler may take its time: the answers of the calls before it must not wait for it.
  if (ordinary) writer_.flush();
  run_call(*call);
}

void Session::run_call(CallState& call) {
  Outcome outcome = outcome_of(*this, call, definition_);
  forget(call);
  answer(call, outcome);
  if (call.runs_on == RunsOn::kWorker) writer_.flush();
}

void Session::answer(CallState& call, Outcome& outcome) {
  v1::Frame frame;
  v1::Result& result = *frame.mutable_result();
  result.set_call_id(call.invoke.call_id());
  fill_result(outcome, result);

  const std::uint64_t output_bytes_max = hello_.limits().output_bytes_max();
  const std::uint64_t frame_bytes_max = hello_.limits().frame_bytes_max();
  const std::size_t output_bytes = result.output().text().size() + result.output().data().size();
  const std::size_t frame_bytes = frame.ByteSizeLong();
  const bool output_fits = output_bytes_max == 0 || output_bytes <= output_bytes_max;
  if (!output_fits || frame_bytes > (frame_bytes_max == 0 ? kFrameBytesMax : frame_bytes_max)) {
    result.Clear();
    result.set_call_id(call.invoke.call_id());
    const Failure failure{.code = "OUTPUT_TOO_LARGE",
                          .message = "the result has " + std::to_string(output_fits ? frame_bytes : output_bytes) +
                                     " bytes, the daemon takes at most " +
                                     std::to_string(output_fits ? frame_bytes_max : output_bytes_max)};
    fill_failure(failure, *result.mutable_failure());
  }
  writer_.add(frame);
}

std::string Session::host_call(std::uint64_t call_id, std::string_view method, std::string_view request) {
  v1::Frame frame;
  v1::HostCall& asked = *frame.mutable_host_call();
  asked.set_call_id(call_id);
  asked.set_method(std::string(method));
  asked.set_request(std::string(request));
  {
    const std::lock_guard lock(host_mutex_);
    asked.set_host_call_id(++last_host_call_id_);
    host_replies_[last_host_call_id_];
  }
  const std::uint64_t id = asked.host_call_id();
  send(frame);
  await_host_reply(id);
  std::unique_lock lock(host_mutex_);
  v1::HostReply reply = std::move(host_replies_.extract(id).mapped());
  lock.unlock();
  if (reply.host_call_id() != id) {
    throw Failure{.code = "SHUTTING_DOWN", .message = "the daemon went before it answered", .retry = Retry::kYes};
  }
  if (!reply.error_reason().empty()) {
    throw Failure{.code = reply.error_reason(), .message = reply.error_message()};
  }
  return std::move(*reply.mutable_reply());
}

void Session::await_host_reply(std::uint64_t host_call_id) {
  const auto has_come = [&] { return host_calls_ended_ || host_replies_[host_call_id].host_call_id() != 0; };
  if (std::this_thread::get_id() != reading_thread_) {
    std::unique_lock lock(host_mutex_);
    host_replied_.wait(lock, has_come);
    return;
  }
  for (;;) {
    handle_waiting_midcall();
    {
      const std::lock_guard lock(host_mutex_);
      if (has_come()) return;
    }
    // Frames that must wait for the handler's end are bounded, and a broken pipe says nothing any more.
    if (input_ended_ || state_ != State::kServing || !decoder_.error().empty() ||
        deferred_.size() >= kDeferredFramesMax) {
      return;
    }
    writer_.flush();
    read_input(Waiting::kUntilInput);
  }
}

void Session::take_host_reply(v1::HostReply& reply) {
  const std::lock_guard lock(host_mutex_);
  const auto asked = host_replies_.find(reply.host_call_id());
  if (asked == host_replies_.end()) return;  // of a call that was given up
  asked->second.Swap(&reply);
  host_replied_.notify_all();
}

// Nothing is read any more: whoever waits for a reply waits in vain.
void Session::end_host_calls() {
  const std::lock_guard lock(host_mutex_);
  host_calls_ended_ = true;
  host_replied_.notify_all();
}

void Session::cancel(std::uint64_t call_id) {
  std::vector<std::stop_source> to_stop;
  {
    const std::lock_guard lock(live_mutex_);
    for (CallState* call : live_) {
      if (call_id != kEveryCall && call->invoke.call_id() != call_id) continue;
      const std::lock_guard call_lock(call->mutex);
      call->cancelled.store(true, std::memory_order_relaxed);
      if (call->stop_source) to_stop.push_back(*call->stop_source);
    }
  }
  // Outside the locks, because a stop callback may use its Call. An id that is not there has just been answered.
  for (std::stop_source& source : to_stop) source.request_stop();
}

void Session::remember(CallState& call) {
  const std::lock_guard lock(live_mutex_);
  live_.push_back(&call);
}

void Session::forget(CallState& call) {
  const std::lock_guard lock(live_mutex_);
  live_.erase(std::find(live_.begin(), live_.end(), &call));
}

}  // namespace liongate::plugin
