// New files under the same id: the old code serves until the new one is Ready. Declared in plugin_actor.h.
#include "kernel/orchestrator/plugin_actor.h"

namespace liongate::orchestrator {

using lifecycle::State;
using supervision::PluginInstance;

void PluginActor::reload(v1::PluginLoaded loaded, const std::string& actor, Done done) {
  submit([this, loaded = std::move(loaded), actor](const Done& finish) { begin_reload(loaded, actor, finish); },
         std::move(done));
}

void PluginActor::begin_reload(v1::PluginLoaded loaded, const std::string& actor, Done done) {
  const bool idle = record_.state == State::kStopped || (record_.state == State::kCreated && !record_.desired_running);
  if (!policy::carries_overrides(record_.loaded(), loaded)) {
    done(make_error(Reason::kIllegalTransition,
                    "permissions of plugin " + record_.name() + " changed while it was reloaded")
             .with_hint("reload it again"));
    return;
  }
  loaded.set_start(!idle);
  if (idle) {
    swap_in({}, std::move(loaded), actor, std::move(done));
    return;
  }
  // Of a command only to see that there are some, before the files that work are given up.
  auto pending = std::make_shared<v1::PluginLoaded>(std::move(loaded));
  context_.secret_delivery.fetch(pending->manifest(),
                                 [this, alive = alive_, pending, actor, done](Result<SecretDelivery::Values> secrets) {
                                   if (!*alive) return;
                                   if (shutting_down_) {
                                     done(make_error(Reason::kShuttingDown, "the daemon is shutting down"));
                                   } else if (!secrets) {  // the old code goes on
                                     done(std::move(secrets).error());
                                   } else {
                                     start_reloaded(std::move(*pending), actor, std::move(*secrets), done);
                                   }
                                 });
}

void PluginActor::start_reloaded(v1::PluginLoaded loaded, const std::string& actor, SecretDelivery::Values secrets,
                                 Done done) {
  auto pending = std::make_shared<v1::PluginLoaded>(std::move(loaded));
  if (pending->manifest().runtime() == "command") {
    context_.launcher.try_command(*pending, [this, alive = alive_, pending, actor, done](Result<v1::Posture> posture) {
      if (!*alive) return;
      if (!posture) {  // the old code goes on
        done(std::move(posture).error());
        return;
      }
      ReadyInstance none;
      none.started.set_concurrency(limits::kCommandConcurrencyMax);
      swap_in(std::move(none), std::move(*pending), actor, done);
      calls_.note_posture(*posture);
    });
    return;
  }
  starting_ = std::make_shared<InstanceStart>(context_.io, context_.launcher, context_.clock, log_);
  if (const Result<void> recorded = record_delivery(secrets, actor); !recorded) {
    starting_.reset();
    done(recorded.error());
    return;
  }
  starting_->begin(instance_options(*pending, std::move(secrets)),
                   [this, alive = alive_, pending, actor, done = std::move(done)](Result<ReadyInstance> ready) {
                     if (!*alive) return;
                     starting_.reset();
                     if (!ready) {  // the old code goes on
                       done(std::move(ready).error());
                       return;
                     }
                     swap_in(std::move(*ready), std::move(*pending), actor, done);
                   });
}

void PluginActor::swap_in(ReadyInstance ready, v1::PluginLoaded loaded, const std::string& actor, Done done) {
  const bool idle = !loaded.start();
  v1::Event event = plugin_event("PluginReloaded", record_, actor);
  if (ready.instance) event.set_instance_id(ready.instance->id().str());
  event.mutable_plugin_reloaded()->set_running(!idle);
  const v1::Manifest manifest = loaded.manifest();
  *event.mutable_plugin_reloaded()->mutable_loaded() = std::move(loaded);
  const Result<EventSeq> recorded = context_.journal.record_state(event);
  if (!recorded) {
    if (ready.instance) ready.instance->abandon();
    done(recorded.error());
    return;
  }
  ending_ = false;
  restart_timer_.cancel();
  restart_policy_.reset();
  if (idle) {
    done_when_durable(*recorded, std::move(done));
    return;
  }
  std::shared_ptr<PluginInstance> old = std::move(instance_);
  EventSeq seq = *recorded;
  if (ready.instance) {
    seq = record_started(ready, actor);
    take_instance(std::move(ready));
  } else {
    v1::Event started = plugin_event("PluginStarted", record_, actor);
    *started.mutable_plugin_started() = ready.started;
    if (const Result<EventSeq> second = context_.journal.record_state(started)) seq = *second;
    calls_.serve_commands();
  }
  // What still runs under the old manifest keeps its calls, and no host that the new one does not name.
  if (old) drain(std::move(old));
  narrow_network(manifest);
  done_when_durable(seq, std::move(done));
}

void PluginActor::drain(std::shared_ptr<PluginInstance> old) {
  draining_.push_back(old);
  if (calls_.open_on(*old) == 0) old->stop(context_.settings.stop_grace_ms);
}

}  // namespace liongate::orchestrator
