#include "kernel/orchestrator/journal.h"

#include <algorithm>

#include "kernel/base/failpoint.h"
#include "kernel/registry/role.h"

namespace liongate::orchestrator {

// Calls are left out: they are many, and none is an observer's.
void Journal::mark_observer(v1::Event& event) const {
  using P = v1::Event::PayloadCase;
  switch (event.payload_case()) {
    case P::kPluginInvoked:
    case P::kPluginResult:
    case P::kPluginError:
      return;
    case P::kPluginLoaded:
      event.set_from_observer(registry::is_observer(event.plugin_loaded().manifest()));
      return;
    default:
      break;
  }
  if (event.plugin_id().empty()) return;
  const registry::PluginRecord* record = registry_.find(event.plugin_id());
  event.set_from_observer(record != nullptr && record->is_observer());
}

Result<EventSeq> Journal::record(v1::Event& event, event_log::SyncClass sync, event_log::RecordUse use) {
  if (!registry_.allows(event)) {
    return make_error(Reason::kIllegalTransition,
                      "plugin " + event.plugin_name() + ": " + event.type() + " is not possible in its present state");
  }
  mark_observer(event);
  if (!secrets_.empty()) secrets_.hide(event);
  LG_ASSIGN(const EventSeq seq, log_.append(event, sync, use));
  bytes_recorded_ += static_cast<std::uint64_t>(event.GetCachedSize());
  const Result<void> applied = registry_.apply(event);
  LG_ASSERT(applied.has_value());
  return seq;
}

Result<EventSeq> Journal::record_state(v1::Event& event, event_log::SyncClass sync) {
  LG_ASSIGN(const EventSeq seq, record(event, sync, event_log::RecordUse::kTerminal));
  failpoint::reach(failpoint::Point::kStateRecorded);
  if (on_state_change_) on_state_change_(event);
  return seq;
}

void Journal::when_durable(EventSeq seq, std::function<void()> then) {
  if (seq <= durable_seq_) {
    then();
    return;
  }
  // Almost always the largest so far; a `batch` call may wait for an older one than a later state change.
  auto at = waiters_.end();
  while (at != waiters_.begin() && std::prev(at)->seq > seq) --at;
  waiters_.insert(at, Waiter{seq, std::move(then)});
}

void Journal::on_durable(EventSeq seq) {
  durable_seq_ = std::max(durable_seq_, seq);
  while (!waiters_.empty() && waiters_.front().seq <= durable_seq_) {
    const auto then = std::move(waiters_.front().then);
    waiters_.pop_front();
    then();
  }
}

void fill_denial(v1::Event& event, const policy::Refusal& refusal, const std::string& action) {
  event.set_type("PermissionDenied");
  event.mutable_permission_denied()->set_permission(refusal.permission);
  event.mutable_permission_denied()->set_rule(refusal.rule);
  event.mutable_permission_denied()->set_message(refusal.error.message);
  event.mutable_permission_denied()->set_action(action);
}

v1::Event plugin_event(const char* type, const registry::PluginRecord& record, const std::string& actor) {
  v1::Event event;
  event.set_type(type);
  event.set_plugin_id(record.id.str());
  event.set_plugin_name(record.name());
  event.set_instance_id(record.instance_id.str());
  event.set_actor(actor);
  return event;
}

}  // namespace liongate::orchestrator
