// The one way events come into being: given to the log, applied to the registry, and waited for until they are on disk.
//
// Ownership and thread: kernel thread; owned by the orchestrator.
#pragma once

#include <deque>
#include <functional>
#include <string>

#include "kernel/event_log/event_log.h"
#include "kernel/policy/policy.h"
#include "kernel/policy/secrets.h"
#include "kernel/registry/registry.h"

namespace liongate::orchestrator {

class Journal {
 public:
  Journal(event_log::EventLog& log, registry::Registry& registry, const policy::Secrets& secrets)
      : log_(log), registry_(registry), secrets_(secrets), durable_seq_(log.durable_seq()) {}

  // Appends `event` (its seq and time are filled in, secrets in it hidden) and applies it. Fails without any effect
  // when the log refuses it (kLogReadOnly, kQueueFull), or when the registry would refuse it (kIllegalTransition): the
  // log never holds an event that a replay could not apply.
  Result<EventSeq> record(v1::Event& event, event_log::SyncClass sync, event_log::RecordUse use);

  // A state change: synced at once, allowed to use the reserve because something depends on it. The first of several
  // that follow one another need not ask for a sync of its own.
  Result<EventSeq> record_state(v1::Event& event, event_log::SyncClass sync = event_log::SyncClass::kNow);

  // Told of each state change that was recorded (not of calls); it must not record anything itself.
  void set_on_state_change(std::function<void(const v1::Event&)> on_state_change) {
    on_state_change_ = std::move(on_state_change);
  }

  // Calls `then` when everything up to `seq` is on disk; at once if it is. Order is that of the numbers.
  void when_durable(EventSeq seq, std::function<void()> then);

  // The log says so (posted from its thread).
  void on_durable(EventSeq seq);

  EventSeq last_seq() const { return log_.last_seq(); }
  EventSeq durable_seq() const { return durable_seq_; }
  // Of all events recorded in this life, as they were serialised.
  std::uint64_t bytes_recorded() const { return bytes_recorded_; }
  bool read_only() const { return log_.read_only(); }
  event_log::EventLog& log() { return log_; }

 private:
  void mark_observer(v1::Event& event) const;

  struct Waiter {
    EventSeq seq;
    std::function<void()> then;
  };

  event_log::EventLog& log_;
  registry::Registry& registry_;
  const policy::Secrets& secrets_;
  EventSeq durable_seq_ = 0;
  std::uint64_t bytes_recorded_ = 0;
  std::function<void(const v1::Event&)> on_state_change_;
  std::deque<Waiter> waiters_;  // ascending by seq: numbers are given in the order of the calls
};

// Makes `event`, which names a plugin or none, the PermissionDenied of a manifest's permission.
void fill_denial(v1::Event& event, const policy::Refusal& refusal, const std::string& action);

// An event of type `type` that concerns the plugin of `record`.
v1::Event plugin_event(const char* type, const registry::PluginRecord& record, const std::string& actor);

}  // namespace liongate::orchestrator
