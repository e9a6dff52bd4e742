#include "kernel/orchestrator/journal.h"

#include <algorithm>
#include <vector>

#include "kernel/base/failpoint.h"
#include "kernel/base/utf8.h"
#include "kernel/registry/role.h"

namespace liongate::orchestrator {
namespace {

// A path is bytes, a string of an event is text: what is none would be written, and never read again.
void make_text(google::protobuf::Message& message) {
  using google::protobuf::FieldDescriptor;
  const auto* reflection = message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection->ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    const int count = field->is_repeated() ? reflection->FieldSize(message, field) : 1;
    for (int i = 0; i < count; ++i) {
      if (field->cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
        make_text(*(field->is_repeated() ? reflection->MutableRepeatedMessage(&message, field, i)
                                         : reflection->MutableMessage(&message, field)));
      } else if (field->type() == FieldDescriptor::TYPE_STRING) {
        const std::string text = field->is_repeated() ? reflection->GetRepeatedString(message, field, i)
                                                      : reflection->GetString(message, field);
        if (is_utf8(text)) continue;
        if (field->is_repeated()) {
          reflection->SetRepeatedString(&message, field, i, to_utf8(text));
        } else {
          reflection->SetString(&message, field, to_utf8(text));
        }
      }
    }
  }
}

// Of calls, which are many, each text is made one where it comes in.
bool is_of_a_call(const v1::Event& event) {
  using P = v1::Event::PayloadCase;
  return event.payload_case() == P::kPluginInvoked || event.payload_case() == P::kPluginResult ||
         event.payload_case() == P::kPluginError;
}

}  // namespace

// Calls are left out: they are many, and none is an observer's.
void Journal::mark_observer(v1::Event& event) const {
  if (is_of_a_call(event)) return;
  if (event.has_plugin_loaded()) {
    event.set_from_observer(registry::is_observer(event.plugin_loaded().manifest()));
    return;
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
  if (!is_of_a_call(event)) make_text(event);
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
