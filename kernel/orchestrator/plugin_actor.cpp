#include "kernel/orchestrator/plugin_actor.h"

#include <boost/asio/post.hpp>

#include "kernel/base/limits.h"

namespace liongate::orchestrator {

using lifecycle::State;
using supervision::PluginExit;
using supervision::PluginInstance;

PluginActor::PluginActor(KernelContext& context, CallSink& sink, std::shared_ptr<registry::PluginRecord> record,
                         std::shared_ptr<supervision::PluginLog> log)
    : context_(context),
      shared_record_(std::move(record)),
      record_(*shared_record_),
      log_(log),
      calls_(context, sink, record_, std::move(log)),
      host_calls_(context, record_),
      stop_timer_(context.io),
      restart_timer_(context.io),
      ping_timer_(context.io) {
  calls_.set_on_call_left([this] { on_call_left(); });
}

PluginActor::~PluginActor() {
  *alive_ = false;
  end_feed();
  if (starting_) starting_->cancel();
  if (instance_) instance_->abandon();
  for (auto& old : draining_) old->abandon();
  for (Command& command : commands_) command.done(make_error(Reason::kPluginNotFound, "the plugin was unloaded"));
  if (current_done_) current_done_(make_error(Reason::kShuttingDown, "the daemon is shutting down"));
}

// --- commands, one at a time ---

void PluginActor::submit(std::function<void(Done)> run, Done done) {
  if (shutting_down_) {
    done(make_error(Reason::kShuttingDown, "the daemon is shutting down"));
    return;
  }
  if (commands_.size() >= limits::kCommandsPerPluginMax) {
    done(make_error(Reason::kQueueFull, "plugin " + record_.name() + " has " +
                                            std::to_string(limits::kCommandsPerPluginMax) +
                                            " lifecycle commands waiting"));
    return;
  }
  commands_.push_back(Command{std::move(run), std::move(done)});
  run_next();
}

void PluginActor::run_next() {
  if (command_running_ || commands_.empty()) return;
  command_running_ = true;
  Command command = std::move(commands_.front());
  commands_.pop_front();
  current_done_ = std::move(command.done);
  command.run([this, alive = alive_](Result<void> result) {
    if (*alive) finish_command(std::move(result));
  });
}

void PluginActor::finish_command(Result<void> result) {
  const Done done = std::exchange(current_done_, nullptr);
  command_running_ = false;
  boost::asio::post(context_.io, [this, alive = alive_] {
    if (*alive) run_next();
  });
  if (done) done(std::move(result));
}

void PluginActor::done_when_durable(EventSeq seq, Done done) {
  context_.journal.when_durable(seq, [done = std::move(done)] { done({}); });
}

Error PluginActor::wrong_state(const char* what) const {
  return make_error(
      Reason::kIllegalTransition,
      "plugin " + record_.name() + " is " + std::string(lifecycle::name_of(record_.state)) + ": it cannot be " + what);
}

supervision::InstanceOptions PluginActor::instance_options(const v1::PluginLoaded& loaded,
                                                           SecretDelivery::Values secrets) const {
  return {record_.id.str(), &loaded, context_.settings.ready_timeout_ms, std::move(secrets),
          context_.journal.log().node_id()};
}

// --- calls ---

Result<void> PluginActor::takes_calls() const {
  if (record_.is_observer()) {
    return make_error(Reason::kInvalidArgument, "plugin " + name() + " is an observer: it takes no calls")
        .with_hint("`liongatectl get-plugin " + name() + "` shows how far it is");
  }
  if (ending_) return make_error(Reason::kPluginNotRunning, "plugin " + record_.name() + " is being stopped");
  switch (record_.state) {
    case State::kRunning:
    case State::kStarting:
    case State::kCrashed:
      return {};
    case State::kCreated:
      if (record_.desired_running) return {};
      break;
    default:
      break;
  }
  Error error = make_error(Reason::kPluginNotRunning,
                           "plugin " + record_.name() + " is " + std::string(lifecycle::name_of(record_.state)));
  if (!record_.state_message.empty()) error.message += ": " + record_.state_message;
  error.hint = record_.state_reason == traits_of(Reason::kEntryPointChanged).name
                   ? "`liongatectl reload-plugin " + record_.name() + "` accepts the changed files"
                   : "`liongatectl start-plugin " + record_.name() + "`";
  return error;
}

bool PluginActor::on_instance_result(PluginInstance& instance, v1::Result& result) {
  return calls_.take_result(instance, result);
}

bool PluginActor::on_instance_output(PluginInstance& instance, v1::Output& output) {
  return calls_.take_output(instance, output);
}

void PluginActor::on_instance_log(PluginInstance& instance, const v1::LogLine& line) {
  calls_.take_log(instance, line);
}

void PluginActor::on_instance_host_call(PluginInstance& instance, const v1::HostCall& call) {
  host_calls_.take(instance, call, calls_.correlation_id_of(instance, call.call_id()));
}

void PluginActor::on_call_left() {
  for (auto& old : draining_) {
    if (calls_.open_on(*old) == 0) old->stop(context_.settings.stop_grace_ms);
  }
  check_quiet();
}

// --- start ---

void PluginActor::start(const std::string& actor, Done done) {
  submit(
      [this, actor](const Done& finish) {
        if (record_.state == State::kRunning || record_.state == State::kStarting) {
          finish(wrong_state("started"));
          return;
        }
        restart_timer_.cancel();
        restart_policy_.reset();
        begin_start(StartKind::kByRequest, actor, finish);
      },
      std::move(done));
}

void PluginActor::begin_start(StartKind kind, const std::string& actor, Done done) {
  ending_ = false;
  if (const Result<void> asked = ask_policy(actor); !asked) {
    fail_plugin(actor, asked.error(), std::move(done));
    return;
  }
  if (const Result<void> hidden = context_.secrets.learn(record_.loaded().manifest()); !hidden) {
    fail_plugin(actor, hidden.error(), std::move(done));
    return;
  }
  // Changed code never runs silently: the files are compared with what was loaded before every start.
  context_.inspector.digest(
      record_.loaded(), [this, alive = alive_, kind, actor, done = std::move(done)](Result<std::string> digest) {
        if (!*alive) return;
        if (shutting_down_) {
          done(make_error(Reason::kShuttingDown, "the daemon is shutting down"));
        } else if (!digest && kind == StartKind::kBySupervisor &&
                   (digest.error().reason == Reason::kQueueFull || supervision::is_passing(digest.error().sys_errno))) {
          try_start_later(digest.error());
          done(digest.error());
        } else if (!digest) {
          fail_plugin(actor, digest.error(), done);
        } else if (*digest != record_.loaded().digest_sha256()) {
          fail_plugin(actor,
                      make_error(Reason::kEntryPointChanged,
                                 "the files of plugin " + record_.name() + " changed since it was loaded")
                          .with_hint("look at them, then `liongatectl reload-plugin " + record_.name() + "`"),
                      done);
        } else {
          launch(kind, actor, done);
        }
      });
}

void PluginActor::fail_plugin(const std::string& actor, const Error& error, Done done) {
  v1::Event event = plugin_event("PluginFailed", record_, actor);
  event.mutable_plugin_failed()->set_reason(std::string(error.reason_name()));
  event.mutable_plugin_failed()->set_message(error.message);
  const Result<EventSeq> recorded = context_.journal.record_state(event);
  calls_.hold();
  calls_.fail_waiting(make_error(Reason::kPluginNotRunning, "plugin " + record_.name() + " failed: " + error.message)
                          .with_hint(error.hint));
  if (!recorded) {
    done(recorded.error());
    return;
  }
  context_.journal.when_durable(*recorded, [done = std::move(done), error] { done(error); });
}

void PluginActor::launch(StartKind kind, const std::string& actor, Done done) {
  if (shutting_down_) {
    done(make_error(Reason::kShuttingDown, "the daemon is shutting down"));
    return;
  }
  context_.secret_delivery.fetch(
      record_.loaded().manifest(),
      [this, alive = alive_, kind, actor, done = std::move(done)](Result<SecretDelivery::Values> secrets) {
        if (!*alive) return;
        if (shutting_down_) {
          done(make_error(Reason::kShuttingDown, "the daemon is shutting down"));
        } else if (!secrets && kind == StartKind::kBySupervisor) {  // its source may come back
          try_start_later(secrets.error());
          done(secrets.error());
        } else if (!secrets) {
          fail_plugin(actor, secrets.error(), done);
        } else if (is_command()) {
          start_command(actor, done);  // each call gets its own: these only showed that there are some
        } else {
          start_instance(kind, actor, std::move(*secrets), done);
        }
      });
}

void PluginActor::start_command(const std::string& actor, Done done) {
  v1::Event event = plugin_event("PluginStarted", record_, actor);
  event.mutable_plugin_started()->set_concurrency(limits::kCommandConcurrencyMax);
  const Result<EventSeq> recorded = context_.journal.record_state(event);
  if (!recorded) {
    done(recorded.error());
    return;
  }
  calls_.serve_commands();
  done_when_durable(*recorded, std::move(done));
}

Result<void> PluginActor::record_delivery(const SecretDelivery::Values& secrets, const std::string& actor) {
  v1::Event origin = plugin_event("SecretDelivered", record_, actor);
  origin.set_instance_id(starting_->instance_id().str());
  return context_.secret_delivery.record(origin, secrets, kDeliveredAsFile);
}

void PluginActor::start_instance(StartKind kind, const std::string& actor, SecretDelivery::Values secrets, Done done) {
  starting_ = std::make_shared<InstanceStart>(context_.io, context_.launcher, context_.clock, log_);
  v1::Event event = plugin_event("InstanceCreated", record_, actor);
  event.set_instance_id(starting_->instance_id().str());
  event.mutable_instance_created();
  // First what may be refused: what follows InstanceCreated must be a start or a crash.
  Result<void> recorded = record_delivery(secrets, actor);
  if (recorded) {
    if (const Result<EventSeq> created = context_.journal.record_state(event); !created) recorded = created.error();
  }
  if (!recorded) {
    starting_.reset();
    done(recorded.error());
    return;
  }
  starting_->begin(instance_options(record_.loaded(), std::move(secrets)),
                   [this, alive = alive_, kind, actor, done = std::move(done)](Result<ReadyInstance> ready) {
                     if (!*alive) return;
                     starting_.reset();
                     if (!ready) {
                       on_start_failed(kind, actor, std::move(ready).error(), done);
                       return;
                     }
                     const EventSeq seq = record_started(*ready, actor);
                     take_instance(std::move(*ready));
                     done_when_durable(seq, done);
                   });
}

void PluginActor::on_start_failed(StartKind kind, const std::string& actor, Error error, Done done) {
  v1::Event event = plugin_event("InstanceCrashed", record_, "system");
  event.mutable_instance_crashed()->set_message(error.message);
  const Result<EventSeq> recorded = context_.journal.record_state(event);
  if (kind == StartKind::kByRequest || !recorded) {
    fail_plugin(actor, error, std::move(done));
    return;
  }
  schedule_restart(std::nullopt, error.reason == Reason::kSandboxUnavailable ? error.reason : Reason::kPluginCrashed);
  done(std::move(error));
}

EventSeq PluginActor::record_started(const ReadyInstance& ready, const std::string& actor) {
  v1::Event posture = plugin_event("SandboxPosture", record_, "system");
  posture.set_instance_id(ready.instance->id().str());
  *posture.mutable_sandbox_posture()->mutable_posture() = ready.instance->posture();
  v1::Event started = plugin_event("PluginStarted", record_, actor);
  started.set_instance_id(ready.instance->id().str());
  *started.mutable_plugin_started() = ready.started;
  // A log that refuses even terminal records is fatal soon (on_fatal); the plugin serves until then.
  const Result<EventSeq> first = context_.journal.record_state(posture, event_log::SyncClass::kEventually);
  const Result<EventSeq> second = context_.journal.record_state(started);
  return second ? *second : first ? *first : context_.journal.last_seq();
}

void PluginActor::take_instance(ReadyInstance ready) {
  end_feed();  // of the process that this one replaces: what that has not acknowledged this one gets
  instance_ = std::move(ready.instance);
  instance_->set_listener(*this);
  ready_time_ = context_.clock.now();
  begin_feed();
  calls_.serve(instance_, ready.started.concurrency());
}

void PluginActor::adopt(ReadyInstance ready, const std::string& actor) {
  v1::Event event = plugin_event("InstanceCreated", record_, actor);
  event.set_instance_id(ready.instance->id().str());
  event.mutable_instance_created();
  // PluginLoaded was recorded a moment ago; this can only fail when the log has just become unusable.
  static_cast<void>(context_.journal.record_state(event, event_log::SyncClass::kEventually).has_value());
  record_started(ready, actor);
  take_instance(std::move(ready));
}

void PluginActor::adopt_command(const std::string& actor, const v1::Posture& posture) {
  calls_.note_posture(posture);
  v1::Event event = plugin_event("PluginStarted", record_, actor);
  event.mutable_plugin_started()->set_concurrency(limits::kCommandConcurrencyMax);
  // PluginLoaded was recorded a moment ago; this can only fail when the log has just become unusable.
  if (context_.journal.record_state(event)) calls_.serve_commands();
}

void PluginActor::resume_desired_state() {
  // STOPPED and wanted: the daemon ended in the middle of a restart.
  if (!record_.desired_running || (record_.state != State::kCreated && record_.state != State::kStopped)) return;
  submit([this](const Done& finish) { begin_start(StartKind::kBySupervisor, "system", finish); },
         [](const Result<void>&) {});
}

// --- stop, restart, unload ---

void PluginActor::stop(const std::string& actor, Done done) {
  submit(
      [this, actor](const Done& finish) {
        if (record_.state == State::kStopped) {
          finish(wrong_state("stopped"));
          return;
        }
        ending_ = true;
        calls_.fail_waiting(make_error(Reason::kPluginNotRunning, "plugin " + record_.name() + " is being stopped"));
        begin_stop(actor, "stop", finish);
      },
      std::move(done));
}

void PluginActor::begin_stop(const std::string& actor, const char* reason, Done done) {
  restart_timer_.cancel();
  if (record_.state == State::kRunning) {
    v1::Event event = plugin_event("PluginStopping", record_, actor);
    event.mutable_plugin_stopping()->set_reason(reason);
    if (const Result<EventSeq> recorded = context_.journal.record_state(event); !recorded) {
      done(recorded.error());
      return;
    }
  }
  calls_.hold();
  last_exit_ = PluginExit{};
  end_processes([this, actor, done = std::move(done)] { finish_stop(actor, done); });
}

// Every process of the plugin is asked to end, and killed after the grace; `on_quiet` is called when none is left.
void PluginActor::end_processes(std::function<void()> on_quiet) {
  on_quiet_.push_back(std::move(on_quiet));
  const int grace_ms = context_.settings.stop_grace_ms;
  if (instance_) instance_->stop(grace_ms);
  for (auto& old : draining_) old->stop(grace_ms);
  stop_timer_.expires_after(std::chrono::milliseconds(grace_ms));
  stop_timer_.async_wait([this, alive = alive_](const boost::system::error_code& error) {
    if (error || !*alive) return;
    calls_.end_commands(make_error(Reason::kCancelled, "plugin " + record_.name() + " was stopped"));
  });
  check_quiet();
}

void PluginActor::check_quiet() {
  if (on_quiet_.empty() || instance_ || !draining_.empty() || calls_.running_count() > 0) return;
  stop_timer_.cancel();
  for (const auto& on_quiet : std::exchange(on_quiet_, {})) on_quiet();
}

void PluginActor::finish_stop(const std::string& actor, Done done) {
  ending_ = false;  // from here on its state says that it takes no calls
  v1::Event event = plugin_event("PluginStopped", record_, actor);
  *event.mutable_plugin_stopped()->mutable_exit() = supervision::to_message(last_exit_);
  const Result<EventSeq> recorded = context_.journal.record_state(event);
  if (!recorded) {
    done(recorded.error());
    return;
  }
  done_when_durable(*recorded, std::move(done));
}

void PluginActor::restart(const std::string& actor, Done done) {
  submit(
      [this, actor](const Done& finish) {
        restart_policy_.reset();
        if (record_.state != State::kRunning) {
          restart_timer_.cancel();
          begin_start(StartKind::kByRequest, actor, finish);
          return;
        }
        begin_stop(actor, "restart", [this, alive = alive_, actor, finish](Result<void> stopped) {
          if (!*alive) return;
          if (stopped && shutting_down_) {
            finish(make_error(Reason::kShuttingDown, "the daemon is shutting down"));
          } else if (stopped) {
            begin_start(StartKind::kByRequest, actor, finish);
          } else {
            finish(std::move(stopped));
          }
        });
      },
      std::move(done));
}

void PluginActor::unload(const std::string& actor, Done done) {
  submit(
      [this, actor](const Done& finish) {
        ending_ = true;
        calls_.hold();
        calls_.fail_waiting(make_error(Reason::kPluginNotRunning, "plugin " + record_.name() + " is being unloaded"));
        if (record_.state == State::kRunning) {
          begin_stop(actor, "unload", [this, alive = alive_, actor, finish](Result<void> stopped) {
            if (!*alive) return;
            if (stopped && shutting_down_) {
              finish(make_error(Reason::kShuttingDown, "the daemon is shutting down"));
            } else if (stopped) {
              forget(actor, finish);
            } else {
              finish(std::move(stopped));
            }
          });
          return;
        }
        restart_timer_.cancel();
        end_processes([this, actor, finish] { forget(actor, finish); });
      },
      std::move(done));
}

void PluginActor::forget(const std::string& actor, Done done) {
  v1::Event event = plugin_event("PluginUnloaded", record_, actor);
  event.mutable_plugin_unloaded();
  const Result<EventSeq> recorded = context_.journal.record_state(event);
  if (!recorded) {
    done(recorded.error());
    return;
  }
  if (record_.is_observer() && context_.observation != nullptr) context_.observation->forget(record_.id.str());
  // The command does not finish: none may follow it, and those that wait are told when this actor goes.
  context_.journal.when_durable(*recorded, [this, alive = alive_] {
    if (!*alive) return;
    if (const Done waiting = std::exchange(current_done_, nullptr)) waiting({});
  });
}

void PluginActor::start_no_more() {
  starts_no_more_ = true;
  restart_timer_.cancel();
  if (record_.state == State::kCrashed) {
    calls_.fail_waiting(make_error(Reason::kShuttingDown, "the daemon is shutting down"));
  }
}

void PluginActor::shut_down(std::function<void()> done) {
  shutting_down_ = true;
  const Error error = make_error(Reason::kShuttingDown, "the daemon is shutting down");
  restart_timer_.cancel();
  calls_.hold();
  calls_.fail_waiting(error);
  calls_.end_commands(error);
  if (starting_) {
    auto instance = std::exchange(starting_, nullptr)->give_up(*this, error);
    if (!instance->ended()) draining_.push_back(std::move(instance));
  }
  if (const Done waiting = std::exchange(current_done_, nullptr)) waiting(error);
  for (Command& command : std::exchange(commands_, {})) command.done(error);
  end_processes(std::move(done));
}

}  // namespace liongate::orchestrator
