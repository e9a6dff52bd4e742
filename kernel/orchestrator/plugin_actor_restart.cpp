// How a plugin's process ended and when it is started again. Declared in plugin_actor.h.
#include <algorithm>

#include "kernel/orchestrator/plugin_actor.h"
#include "kernel/supervision/limit_error.h"

namespace liongate::orchestrator {

using lifecycle::State;
using supervision::PluginExit;
using supervision::PluginInstance;

// What the calls are told that a process had which ended by itself.
Error PluginActor::end_error(const PluginExit& exit) const {
  const v1::ManifestLimits& limits = record_.loaded().manifest().limits();
  const std::string name = "plugin " + record_.name();
  if (auto limit = supervision::limit_error(name, exit, limits, supervision::CpuTimeOf::kManyCalls)) {
    return std::move(*limit);
  }
  Error error = make_error(Reason::kPluginCrashed, name + " " + supervision::describe(exit) + " during the call");
  return supervision::with_memory_hint(std::move(error), exit, limits);
}

void PluginActor::on_instance_ended(PluginInstance& instance, const PluginExit& exit, std::optional<Error> cause) {
  calls_.lose(instance, exit, cause ? *cause : end_error(exit));
  host_calls_.flush();
  const auto old =
      std::find_if(draining_.begin(), draining_.end(), [&](const auto& one) { return one.get() == &instance; });
  if (old != draining_.end()) {
    const std::shared_ptr<PluginInstance> keep = std::move(*old);
    draining_.erase(old);
    check_quiet();
    return;
  }
  if (instance_.get() != &instance) return;
  const std::shared_ptr<PluginInstance> keep = std::move(instance_);
  end_feed();
  last_exit_ = exit;
  answer_pings(make_error(Reason::kPluginNotRunning, "plugin " + record_.name() + " ended"));
  if (on_quiet_.empty()) {
    on_crashed(instance, exit, cause);
  } else {
    check_quiet();
  }
}

void PluginActor::on_crashed(const PluginInstance& instance, const PluginExit& exit,
                             const std::optional<Error>& cause) {
  v1::Event event = plugin_event("InstanceCrashed", record_, "system");
  event.set_instance_id(instance.id().str());
  *event.mutable_instance_crashed()->mutable_exit() = supervision::to_message(exit);
  event.mutable_instance_crashed()->set_message(cause ? cause->message : supervision::describe(exit));
  if (const Result<EventSeq> recorded = context_.journal.record_state(event); !recorded) {
    log_->add("log", "error", recorded.error().message, "");
    return;
  }
  schedule_restart(std::exchange(ready_time_, std::nullopt), Reason::kPluginCrashed, progress_of_instance());
}

void PluginActor::schedule_restart(std::optional<MonotonicTime> started, Reason last, supervision::Progress progress) {
  if (starts_no_more_) {
    calls_.fail_waiting(make_error(Reason::kShuttingDown, "the daemon is shutting down"));
    return;
  }
  const double jitter = std::uniform_real_distribution<double>(0.0, 1.0)(jitter_);
  const auto wait = restart_policy_.on_crash(context_.clock.now(), started, jitter, progress);
  if (!wait) {
    fail_plugin(
        "system",
        make_error(last, "it ended or did not start more than " + std::to_string(limits::kRestartsPerMinuteMax) +
                             " times within a minute; last: " + record_.state_message)
            .with_hint(last == Reason::kSandboxUnavailable
                           ? "`liongatectl check-host` shows what this host lacks and the remedy"
                           : "`liongatectl get-plugin-logs " + record_.name() + "` shows what it said"),
        [](const Result<void>&) {});
    return;
  }
  restart_timer_.expires_after(*wait);
  restart_timer_.async_wait([this, alive = alive_, wait = *wait](const boost::system::error_code& error) {
    if (error || !*alive || starts_no_more_) return;
    submit(
        [this, wait](const Done& finish) {
          if (record_.state != State::kCrashed) {  // a command was faster
            finish({});
            return;
          }
          v1::Event event = plugin_event("InstanceRestarted", record_, "system");
          event.mutable_instance_restarted()->set_attempt(record_.restart_count + 1);
          event.mutable_instance_restarted()->set_backoff_ms(static_cast<std::uint64_t>(wait.count()));
          if (const Result<EventSeq> recorded = context_.journal.record_state(event); !recorded) {
            finish(recorded.error());
            return;
          }
          begin_start(StartKind::kBySupervisor, "system", finish);
        },
        [](const Result<void>&) {});
  });
}

// Its files could not be looked at for want of something that comes back: nothing is wrong with the plugin.
void PluginActor::try_start_later(const Error& error) {
  if (starts_no_more_) return;
  const double jitter = std::uniform_real_distribution<double>(0.0, 1.0)(jitter_);
  const auto wait = restart_policy_.on_crash(context_.clock.now(), std::nullopt, jitter);
  if (!wait) {
    fail_plugin("system", error, [](const Result<void>&) {});
    return;
  }
  log_->add("log", "warning", error.message + "; tried again in " + std::to_string(wait->count()) + " ms", "");
  restart_timer_.expires_after(*wait);
  restart_timer_.async_wait([this, alive = alive_](const boost::system::error_code& aborted) {
    if (aborted || !*alive || starts_no_more_) return;
    submit(
        [this](const Done& finish) {
          if (record_.state == State::kRunning || record_.state == State::kFailed) {  // a command was faster
            finish({});
          } else {
            begin_start(StartKind::kBySupervisor, "system", finish);
          }
        },
        [](const Result<void>&) {});
  });
}

}  // namespace liongate::orchestrator
