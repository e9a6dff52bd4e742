#include "kernel/orchestrator/dispatcher.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "kernel/base/failpoint.h"
#include "kernel/base/utf8.h"
#include "kernel/orchestrator/plugin_actor.h"

namespace liongate::orchestrator {

using event_log::RecordUse;
using event_log::SyncClass;

namespace {

constexpr std::size_t kEventMetadataBytesMax = 64 * 1024;
constexpr auto kRefusalWindow = std::chrono::seconds(1);

std::size_t size_of(const v1::Payload& payload) {
  return payload.text().size() + payload.data().size();
}

// Metadata and warnings go into events and replies; what a plugin sends beyond the bound is dropped and said so.
void bound_metadata(CallReply& reply) {
  std::size_t bytes = 0;
  for (const std::string& warning : reply.warnings) bytes += warning.size();
  for (const auto& [key, value] : reply.metadata) bytes += key.size() + value.size();
  if (bytes <= kEventMetadataBytesMax) return;
  reply.metadata.clear();
  reply.warnings = {"the plugin's warnings and metadata were dropped: " + std::to_string(bytes) + " bytes, at most " +
                    std::to_string(kEventMetadataBytesMax) + " are kept"};
}

}  // namespace

std::string_view name_of(Durability durability) {
  switch (durability) {
    case Durability::kDurable:
      return "durable";
    case Durability::kBeforeRun:
      return "before_run";
    case Durability::kBatch:
      return "batch";
    case Durability::kAsync:
      return "async";
  }
  return "durable";
}

SyncClass sync_class_of(Durability durability) {
  switch (durability) {
    case Durability::kBatch:
      return SyncClass::kBatch;
    case Durability::kAsync:
      return SyncClass::kEventually;
    default:
      return SyncClass::kNow;
  }
}

Dispatcher::Dispatcher(KernelContext& context) : context_(context), deadline_timer_(context.io) {}
Dispatcher::~Dispatcher() = default;

Result<void> Dispatcher::check(const CallRequest& request, PluginActor* actor) {
  if (closed_) return make_error(Reason::kShuttingDown, "the daemon is shutting down");
  if (actor == nullptr) {
    return make_error(Reason::kPluginNotFound, "no plugin \"" + to_utf8(request.plugin) + "\" is loaded")
        .with_hint("`liongatectl list-plugins` shows what is");
  }
  if (request.operation.size() > limits::kOperationBytesMax) {
    return make_error(Reason::kInvalidArgument,
                      "the operation's name is longer than " + std::to_string(limits::kOperationBytesMax) + " bytes");
  }
  if (request.correlation_id.size() > limits::kCorrelationIdBytesMax) {
    return make_error(Reason::kInvalidArgument,
                      "the correlation id is longer than " + std::to_string(limits::kCorrelationIdBytesMax) + " bytes");
  }
  if (request.timeout && (request.timeout->count() <= 0 || request.timeout->count() > limits::kInvokeTimeoutMsMax)) {
    return make_error(Reason::kInvalidArgument, "the timeout must be above 0 and at most " +
                                                    std::to_string(limits::kInvokeTimeoutMsMax / 3'600'000) + " hours");
  }
  if (size_of(request.input) > limits::kInputBytesMax) {
    return make_error(Reason::kInputTooLarge, "an input of " + std::to_string(size_of(request.input)) +
                                                  " bytes is over the bound of " +
                                                  std::to_string(limits::kInputBytesMax));
  }
  LG_TRY(actor->takes_calls());
  if (actor->call_count() >= limits::kCallsPerPluginMax || calls_.size() >= limits::kCallsMax) {
    return make_error(Reason::kQueueFull, "plugin " + actor->record().name() + " has " +
                                              std::to_string(actor->call_count()) + " calls queued and running")
        .with_hint("try again in a moment, with fewer calls in flight")
        .with("retry_delay_ms", "100");
  }
  return {};
}

std::unique_ptr<Call> Dispatcher::make_call(CallRequest request, PluginActor& actor,
                                            std::unique_ptr<CallHandler> handler) {
  auto call = std::make_unique<Call>();
  call->key = ++last_key_;
  call->actor = &actor;
  call->execution_id = new_uuid();
  call->correlation_id = request.correlation_id.empty() ? new_uuid() : std::move(request.correlation_id);
  call->requested_by = std::move(request.actor);
  call->operation = std::move(request.operation);
  call->input.Swap(&request.input);
  call->durability = request.durability.value_or(context_.settings.durability);
  call->delivery = request.delivery;
  call->handler = std::move(handler);
  call->accept_time = context_.clock.now();
  auto timeout = request.timeout.value_or(std::chrono::milliseconds(context_.settings.invoke_timeout_ms));
  if (request.patience) timeout = std::min(timeout, *request.patience);
  const std::uint64_t wall_ms_max = actor.record().loaded().manifest().limits().wall_time_ms_max();
  if (wall_ms_max > 0 && wall_ms_max < static_cast<std::uint64_t>(timeout.count())) {
    timeout = std::chrono::milliseconds(wall_ms_max);
    call->deadline_source = Call::DeadlineSource::kWallTimeLimit;
  }
  call->deadline = call->accept_time + timeout;
  return call;
}

CallKey Dispatcher::accept(CallRequest request, PluginActor* actor, std::unique_ptr<CallHandler> handler) {
  if (Result<void> checked = check(request, actor); !checked) {
    if (actor != nullptr) record_refused(request, *actor, checked.error());
    handler->on_done(std::move(checked).error());
    return 0;
  }
  std::unique_ptr<Call> owned = make_call(std::move(request), *actor, std::move(handler));
  Call& call = *owned;
  const Result<EventSeq> invoked = record_invoked(call, actor->record());
  if (!invoked) {
    call.handler->on_done(invoked.error());
    return 0;
  }
  failpoint::reach(failpoint::Point::kCallInvoked);
  const CallKey key = call.key;
  calls_[key] = std::move(owned);
  deadlines_.emplace(call.deadline, key);
  arm_deadlines();
  if (call.durability == Durability::kBeforeRun) {
    actor->expect(call);
    context_.journal.when_durable(*invoked, [this, key] {
      const auto found = calls_.find(key);
      if (found == calls_.end() || found->second->state != Call::State::kCommittingStart) return;
      found->second->actor->enqueue(*found->second);
    });
  } else {
    actor->enqueue(call);
  }
  return key;
}

std::vector<v1::OpenCall> Dispatcher::open_calls() const {
  std::vector<v1::OpenCall> open;
  for (const auto& [key, call] : calls_) {
    if (call->state == Call::State::kCommittingEnd) continue;
    v1::OpenCall& one = open.emplace_back();
    one.set_seq(call->invoked_seq);
    one.set_plugin_id(call->actor->record().id.str());
    one.set_plugin_name(call->actor->record().name());
    one.set_instance_id(call->invoked_instance_id);
    const bool hidden = !call->recorded_correlation_id.empty();
    one.set_correlation_id(hidden ? call->recorded_correlation_id : call->correlation_id);
    one.set_execution_id(call->execution_id);
  }
  std::sort(open.begin(), open.end(), [](const v1::OpenCall& a, const v1::OpenCall& b) { return a.seq() < b.seq(); });
  return open;
}

std::optional<EventSeq> Dispatcher::oldest_open_seq() const {
  std::optional<EventSeq> oldest;
  for (const auto& [key, call] : calls_) {
    if (call->state == Call::State::kCommittingEnd) continue;
    oldest = std::min(oldest.value_or(call->invoked_seq), call->invoked_seq);
  }
  return oldest;
}

policy::PayloadRule Dispatcher::payload_rule(const registry::PluginRecord& record) const {
  return policy::payload_rule(record.loaded().manifest().log(), context_.settings.payload_bytes_max);
}

Result<EventSeq> Dispatcher::record_invoked(Call& call, const registry::PluginRecord& record) {
  call.invoked_instance_id = record.instance_id.str();
  v1::Event& event = invoked_event_;
  event.set_type("PluginInvoked");
  event.set_plugin_id(record.id.str());
  event.set_plugin_name(record.name());
  event.set_instance_id(record.instance_id.str());
  event.set_correlation_id(call.correlation_id);
  event.set_actor(call.requested_by);
  v1::PluginInvoked& invoked = *event.mutable_plugin_invoked();
  invoked.set_execution_id(call.execution_id);
  invoked.set_operation(call.operation);
  policy::store(call.input, payload_rule(record), *invoked.mutable_input());
  invoked.set_durability(std::string(name_of(call.durability)));
  invoked.set_timeout_ms(static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(call.deadline - call.accept_time).count()));
  SyncClass sync = sync_class_of(call.durability);
  // With `durable` the call's last event carries its first one to the disk: one sync, not two.
  if (call.durability == Durability::kDurable) sync = SyncClass::kEventually;
  LG_ASSIGN(call.invoked_seq, context_.journal.record(event, sync, RecordUse::kNewWork));
  if (event.correlation_id() != call.correlation_id) call.recorded_correlation_id = event.correlation_id();
  return call.invoked_seq;
}

void Dispatcher::record_refused(const CallRequest& request, const PluginActor& actor, const Error& error) {
  if (error.reason == Reason::kShuttingDown) return;  // nothing comes after DaemonStopped; the caller is told
  // A flood of refused calls must not fill the log: of full queues one is noted in a second, of the rest a hundred.
  RefusalWindow& window = error.reason == Reason::kQueueFull ? full_queues_ : other_refusals_;
  const MonotonicTime now = context_.clock.now();
  if (now - window.since >= kRefusalWindow) {
    window.since = now;
    window.recorded = 0;
  }
  if (window.recorded >= window.recorded_max) {
    ++refusals_skipped_;
    return;
  }
  ++window.recorded;
  v1::Event event = plugin_event("PluginError", actor.record(), request.actor);
  event.set_correlation_id(request.correlation_id.empty()
                               ? new_uuid()
                               : to_utf8(request.correlation_id.substr(0, limits::kCorrelationIdBytesMax)));
  event.mutable_plugin_error()->set_reason(std::string(error.reason_name()));
  event.mutable_plugin_error()->set_message(error.message);
  if (refusals_skipped_ > 0) {
    (*event.mutable_plugin_error()->mutable_metadata())["refusals_not_recorded"] =
        std::to_string(std::exchange(refusals_skipped_, 0));
  }
  // The caller is told in any case; a log that takes no new work says so by the error itself.
  static_cast<void>(context_.journal.record(event, SyncClass::kEventually, RecordUse::kNewWork).has_value());
}

Result<void> Dispatcher::record_interrupted(const v1::OpenCall& interrupted) {
  v1::Event event;
  event.set_type("PluginError");
  event.set_plugin_id(interrupted.plugin_id());
  event.set_plugin_name(interrupted.plugin_name());
  event.set_instance_id(interrupted.instance_id());
  event.set_correlation_id(interrupted.correlation_id());
  event.set_actor("system");
  v1::PluginError& error = *event.mutable_plugin_error();
  error.set_execution_id(interrupted.execution_id());
  error.set_reason(std::string(traits_of(Reason::kDaemonRestarted).name));
  error.set_message("the daemon ended while the call was open; it may or may not have run");
  LG_TRY(context_.journal.record_state(event));
  return {};
}

void Dispatcher::succeed(Call& call, CallReply reply) {
  bound_metadata(reply);
  v1::Event& event = result_event_;
  const registry::PluginRecord& record = call.actor->record();
  event.set_type("PluginResult");
  event.set_plugin_id(record.id.str());
  event.set_plugin_name(record.name());
  event.set_instance_id(record.instance_id.str());
  event.set_correlation_id(call.correlation_id);
  event.set_actor(call.requested_by);
  v1::PluginResult& result = *event.mutable_plugin_result();
  result.set_execution_id(call.execution_id);
  policy::store(reply.output, payload_rule(record), *result.mutable_output());
  *result.mutable_figures() = reply.figures;
  result.clear_warnings();
  for (const std::string& warning : reply.warnings) result.add_warnings(warning);
  result.mutable_metadata()->clear();
  result.mutable_metadata()->insert(reply.metadata.begin(), reply.metadata.end());
  const Result<EventSeq> recorded =
      context_.journal.record(event, sync_class_of(call.durability), RecordUse::kTerminal);
  if (!recorded && recorded.error().reason == Reason::kInputTooLarge) {
    // Every call has its end in the log, if only in few words.
    fail(call,
         make_error(Reason::kPluginProtocolError, "the Result does not fit an event: " + recorded.error().message),
         reply.figures);
    return;
  }
  reply.execution_id = call.execution_id;
  reply.correlation_id = call.correlation_id;
  reply.plugin_id = record.id.str();
  reply.logs = std::move(call.logs);
  complete(call, recorded, std::move(reply));
}

void Dispatcher::fail(Call& call, Error error, v1::CallFigures figures) {
  v1::Event event = plugin_event("PluginError", call.actor->record(), call.requested_by);
  event.set_correlation_id(call.correlation_id);
  v1::PluginError& failed = *event.mutable_plugin_error();
  failed.set_execution_id(call.execution_id);
  failed.set_reason(std::string(error.reason_name()));
  failed.set_message(error.message);
  failed.mutable_figures()->Swap(&figures);
  for (const auto& [key, value] : error.metadata) {
    if (key == "plugin_code") {
      failed.set_plugin_code(value);
    } else {
      (*failed.mutable_metadata())[key] = value;
    }
  }
  const Result<EventSeq> recorded =
      context_.journal.record(event, sync_class_of(call.durability), RecordUse::kTerminal);
  error.metadata["execution_id"] = call.execution_id;
  error.metadata["correlation_id"] = call.correlation_id;
  complete(call, recorded, std::move(error));
}

void Dispatcher::complete(Call& call, Result<EventSeq> recorded, Result<CallReply> outcome) {
  deadlines_.erase({call.deadline, call.key});
  call.state = Call::State::kCommittingEnd;
  call.actor = nullptr;
  const CallKey key = call.key;
  if (!recorded) {  // it ran, but nobody can prove it: the caller must know
    call.outcome = Result<CallReply>(std::move(recorded).error());
    deliver(key);
    return;
  }
  failpoint::reach(failpoint::Point::kCallEnded);
  call.outcome = std::move(outcome);
  if (call.durability == Durability::kBatch || call.durability == Durability::kAsync) {
    deliver(key);
    return;
  }
  context_.journal.when_durable(*recorded, [this, key] { deliver(key); });
}

void Dispatcher::deliver(CallKey key) {
  const auto found = calls_.find(key);
  LG_ASSERT(found != calls_.end());
  const std::unique_ptr<Call> call = std::move(found->second);
  calls_.erase(found);
  call->handler->on_done(std::move(*call->outcome));
  failpoint::reach(failpoint::Point::kCallReplied);
  if (!calls_.empty() || !on_idle_) return;
  // Not from here: what follows ends plugins, and one of them may be on the stack below.
  boost::asio::post(context_.io, [on_idle = on_idle_, alive = std::weak_ptr(alive_)] {
    if (!alive.expired()) on_idle();
  });
}

void Dispatcher::cancel(CallKey key) {
  const auto found = calls_.find(key);
  if (found == calls_.end() || found->second->state == Call::State::kCommittingEnd) return;
  found->second->actor->withdraw(*found->second, make_error(Reason::kCancelled, "the caller cancelled the call"));
}

void Dispatcher::arm_deadlines() {
  if (deadlines_.empty() || deadlines_.begin()->first >= armed_for_) return;
  armed_for_ = deadlines_.begin()->first;
  deadline_timer_.expires_at(armed_for_);
  deadline_timer_.async_wait([this](const boost::system::error_code& error) {
    if (!error) on_deadline();
  });
}

Error Dispatcher::deadline_error(const Call& call) const {
  const auto allowed = std::chrono::duration_cast<std::chrono::milliseconds>(call.deadline - call.accept_time).count();
  const auto passed =
      std::chrono::duration_cast<std::chrono::milliseconds>(context_.clock.now() - call.accept_time).count();
  const std::string where = call.state == Call::State::kRunning ? "while it ran" : "while it waited in the queue";
  if (call.deadline_source == Call::DeadlineSource::kWallTimeLimit) {
    return make_error(Reason::kLimitExceeded,
                      "the plugin's wall_time_ms_max of " + std::to_string(allowed) + " ms passed " + where)
        .with("limit", "wall_time_ms_max")
        .with("limit_value", std::to_string(allowed))
        .with("used", std::to_string(passed));
  }
  return make_error(Reason::kDeadlineExceeded,
                    "the call's timeout of " + std::to_string(allowed) + " ms passed " + where);
}

void Dispatcher::on_deadline() {
  armed_for_ = MonotonicTime::max();
  const MonotonicTime now = context_.clock.now();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const CallKey key = deadlines_.begin()->second;
    deadlines_.erase(deadlines_.begin());
    Call& call = *calls_.at(key);
    call.actor->withdraw(call, deadline_error(call));
  }
  arm_deadlines();
}

}  // namespace liongate::orchestrator
