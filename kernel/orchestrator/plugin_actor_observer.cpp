// A plugin that observes: its feed from Ready to its end. Declared in plugin_actor.h.
#include <algorithm>

#include "kernel/base/limits.h"
#include "kernel/orchestrator/plugin_actor.h"

namespace liongate::orchestrator {

using supervision::PluginInstance;

void PluginActor::begin_feed() {
  if (!record_.is_observer() || context_.observation == nullptr) return;
  const std::shared_ptr<PluginInstance> instance = instance_;
  observation::FeedOrder order;
  order.plugin_id = record_.id.str();
  order.settings = record_.loaded().manifest().observer();
  order.progress = progress_;
  acknowledged_before_ = progress_->acknowledged;
  // The feed tells nobody once it was ended, and it is ended with its instance.
  order.listener.failed = [this, instance](const Error& error) {
    instance->end(Error(error).in("observer " + name()));
  };
  order.listener.pipe_closed = [instance] { instance->on_outlet_closed(); };
  order.listener.gap = [this](const event_log::Gap& gap) { record_gap(gap); };
  order.listener.was_reset = [this](const v1::ObserverCursorReset& reset) {
    v1::Event event = plugin_event("ObserverCursorReset", record_, "system");
    *event.mutable_observer_cursor_reset() = reset;
    log_->add("log", "warning",
              "liongate: " + reset.message() + "; it begins with event " + std::to_string(reset.start_seq()), "");
    record_happening(event);
  };
  // The pipe is the outlet's from here on: what was queued for the plugin goes out first.
  auto outlet = std::make_shared<observation::FeedOutlet>();
  Result<PluginInstance::WriteEnd> end = instance->hand_over(outlet);
  if (!end) {
    instance->end(std::move(end).error());
    return;
  }
  order.pipe = std::move(end->pipe);
  order.unsent = std::move(end->unsent);
  feed_ = context_.observation->begin(std::move(order));
  outlet->set_feed(feed_);
}

void PluginActor::end_feed() {
  if (const auto feed = std::exchange(feed_, nullptr)) feed->end();
}

// What the last instance acknowledged; an Ack that was in its pipe may be missing.
supervision::Progress PluginActor::progress_of_instance() const {
  return progress_->acknowledged > acknowledged_before_ ? supervision::Progress::kMade : supervision::Progress::kNone;
}

bool PluginActor::on_instance_ack(PluginInstance& instance, const v1::Ack& ack) {
  if (feed_ == nullptr) return false;
  // A process that is being replaced may still have an answer in its pipe: its events are the new one's now.
  if (instance_.get() == &instance) feed_->acknowledge(ack.seq());
  return true;
}

// What nobody waits for and what tells of observing alone.
void PluginActor::record_happening(v1::Event& event) {
  static_cast<void>(
      context_.journal.record(event, event_log::SyncClass::kEventually, event_log::RecordUse::kNewWork).has_value());
}

void PluginActor::record_gap(const event_log::Gap& gap) {
  v1::Event event = plugin_event("ObserverGap", record_, "system");
  v1::ObserverGap& message = *event.mutable_observer_gap();
  message.set_first_missing_seq(gap.first_missing);
  message.set_last_missing_seq(gap.last_missing);
  message.set_count(gap.last_missing - gap.first_missing + 1);
  record_happening(event);
}

void PluginActor::describe_observer(v1::Plugin& plugin) const {
  if (!record_.is_observer()) return;
  v1::ObserverStatus& status = *plugin.mutable_observer();
  status.set_cursor_seq(progress_->cursor);
  status.set_lag_events(context_.journal.durable_seq() -
                        std::min<EventSeq>(context_.journal.durable_seq(), progress_->cursor));
  status.set_events_sent(progress_->sent);
  status.set_events_acknowledged(progress_->acknowledged);
  status.set_events_missed(progress_->missed);
  status.set_startup_error(record_.started.startup_error());
  status.set_listed_in(record_.loaded().listing().file());
}

}  // namespace liongate::orchestrator
