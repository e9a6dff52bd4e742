#include "kernel/orchestrator/plugin_calls.h"

#include <algorithm>

#include "kernel/base/limits.h"
#include "kernel/base/utf8.h"
#include "kernel/supervision/limit_error.h"

namespace liongate::orchestrator {

using supervision::CommandRun;
using supervision::PluginInstance;

namespace {

constexpr std::size_t kPartOverheadBytes = 256;  // what a part costs besides its bytes: empty ones must cost too
constexpr int kCpuCheckMsMin = 10;
constexpr const char* kCpuTimeLimit = "cpu_time_ms_max";

double milliseconds(MonotonicTime::duration duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

void keep_names(const supervision::CreatedFiles& created, Call& call) {
  supervision::CreatedFiles& kept = call.created_files;
  kept.left_out += created.left_out;
  for (const std::string& name : created.names) {
    if (kept.names.size() < supervision::kCreatedFilesMax) {
      kept.names.push_back(name);
    } else {
      ++kept.left_out;
    }
  }
}

void show_names(Call& call, v1::CallFigures& figures) {
  supervision::CreatedFiles created = std::exchange(call.created_files, {});
  for (std::string& name : created.names) figures.add_created_files(std::move(name));
  figures.set_created_files_left_out(created.left_out);
}

// The first `bytes_max` bytes; what is cut off is cut behind the hiding, for half a secret is one.
std::string cut(const std::string& text, std::size_t bytes_max, const policy::Secrets& secrets) {
  if (text.size() <= bytes_max) return to_utf8(text);
  return to_utf8(secrets.hidden(to_utf8(text.substr(0, bytes_max + policy::kHidingReachBytes))).substr(0, bytes_max));
}

Error failure_error(const v1::Failure& failure, const policy::Secrets& secrets) {
  std::string message = cut(failure.message(), limits::kFailureMessageBytesMax, secrets);
  Error error = make_error(Reason::kPluginError, message.empty() ? "the plugin failed without a message" : message);
  if (!failure.code().empty())
    error.metadata["plugin_code"] = cut(failure.code(), limits::kFailureMessageBytesMax, secrets);
  error.metadata["retryable"] = failure.retryable() ? "true" : "false";
  return error;
}

}  // namespace

PluginCalls::PluginCalls(KernelContext& context, CallSink& sink, const registry::PluginRecord& record,
                         std::shared_ptr<supervision::PluginLog> log)
    : context_(context), sink_(sink), record_(record), log_(std::move(log)), cpu_timer_(context.io) {}

PluginCalls::~PluginCalls() {
  *alive_ = false;
  for (auto& [key, run] : commands_) run->abandon();
}

void PluginCalls::serve(std::shared_ptr<PluginInstance> instance, std::uint32_t concurrency) {
  mode_ = Mode::kInstance;
  instance_ = std::move(instance);
  concurrency_ = concurrency;
  slots_used_ = 0;
  pump();
}

void PluginCalls::serve_commands() {
  mode_ = Mode::kCommands;
  instance_.reset();
  concurrency_ = limits::kCommandConcurrencyMax;
  slots_used_ = commands_.size();
  pump();
}

void PluginCalls::hold() {
  mode_ = Mode::kHold;
  instance_.reset();
}

void PluginCalls::expect(Call& call) {
  call.state = Call::State::kCommittingStart;
  committing_.insert(&call);
}

void PluginCalls::enqueue(Call& call) {
  committing_.erase(&call);
  call.state = Call::State::kQueued;
  waiting_.push_back(&call);
  pump();
}

bool PluginCalls::has_free_slot() const {
  return mode_ != Mode::kHold && slots_used_ < concurrency_;
}

void PluginCalls::pump() {
  while (!waiting_.empty() && has_free_slot()) {
    Call& call = *waiting_.front();
    waiting_.pop_front();
    call.state = Call::State::kRunning;
    call.start_time = context_.clock.now();
    running_[call.key] = Running{&call, mode_ == Mode::kInstance ? instance_ : nullptr};
    ++slots_used_;
    if (mode_ == Mode::kCommands) {
      run_command(call);
    } else {
      run_on_instance(call);
    }
  }
}

void PluginCalls::run_on_instance(Call& call) {
  note_created_files(*instance_);  // what appeared before belongs to the calls before
  call.network_requests_start = instance_->network_requests();
  const std::uint64_t cpu_time_us = instance_->meter().cpu_time_us();
  call.cpu_charged_start_us = instance_->cpu_shares().charged_us(cpu_time_us);
  instance_->cpu_shares().begin_call(cpu_time_us);
  v1::Invoke& invoke = *frame_.mutable_invoke();
  invoke.set_call_id(call.key);
  invoke.set_operation(call.operation);
  invoke.mutable_input()->Swap(&call.input);
  invoke.set_execution_id(call.execution_id);
  invoke.set_correlation_id(call.correlation_id);
  invoke.set_time_left_ms(
      static_cast<std::uint64_t>(std::max(1.0, milliseconds(call.deadline - context_.clock.now()))));
  invoke.set_stream(call.delivery == Delivery::kStreamed);
  const Result<void> sent = instance_->send(frame_);
  call.input.Clear();
  if (sent) {
    watch_cpu();
    return;
  }
  instance_->cpu_shares().end_call();
  remove_running(call.key);
  --slots_used_;
  sink_.fail(call, sent.error(), {});
}

void PluginCalls::run_command(Call& call) {
  auto run = std::make_shared<CommandRun>(context_.io, context_.launcher, static_cast<CommandListener&>(*this), log_,
                                          call.key);
  std::string input =
      call.input.has_data() ? std::move(*call.input.mutable_data()) : std::move(*call.input.mutable_text());
  call.input.Clear();
  v1::Event origin;
  origin.set_plugin_id(record_.id.str());
  origin.set_plugin_name(record_.name());
  origin.set_correlation_id(call.correlation_id);
  if (!secrets_of(record_.loaded().manifest()).empty()) {
    commands_[call.key] = run;
    origin.set_actor(call.requested_by);
    fetch_secrets({std::move(run), std::move(origin), std::move(input)});
    return;
  }
  const Result<void> started = run->start(record_.loaded(), std::move(origin), std::move(input), call.execution_id);
  if (started) {
    commands_[call.key] = std::move(run);
    return;
  }
  remove_running(call.key);
  --slots_used_;
  sink_.fail(call, started.error(), {});
}

void PluginCalls::fetch_secrets(Waiting waiting) {
  context_.secret_delivery.fetch(record_.loaded().manifest(), [this, alive = alive_, waiting = std::move(waiting)](
                                                                  Result<SecretDelivery::Values> secrets) mutable {
    if (*alive && !waiting.run->ended()) run_with_secrets(std::move(waiting), std::move(secrets));
  });
}

void PluginCalls::run_with_secrets(Waiting waiting, Result<SecretDelivery::Values> secrets) {
  CommandRun& run = *waiting.run;
  const Call* const call = running_on(nullptr, run.call_key());
  if (call == nullptr) return;
  if (!secrets) {
    run.end(std::move(secrets).error());
    return;
  }
  const std::vector<std::string> granted = secrets_of(record_.loaded().manifest());
  const auto same = [](const std::string& name, const policy::SecretValue& one) { return name == one.name; };
  if (!std::equal(granted.begin(), granted.end(), secrets->begin(), secrets->end(), same)) {
    fetch_secrets(std::move(waiting));  // one was granted or revoked meanwhile
    return;
  }
  Result<void> started = context_.secret_delivery.record(waiting.origin, *secrets, kDeliveredAsFile);
  if (started) {
    started = run.start(record_.loaded(), std::move(waiting.origin), std::move(waiting.input), call->execution_id,
                        std::move(*secrets));
  }
  if (!started) run.end(std::move(started).error());
}

std::string PluginCalls::correlation_id_of(const PluginInstance& instance, CallKey key) {
  const Call* const call = running_on(&instance, key);
  return call == nullptr ? "" : call->correlation_id;
}

Call* PluginCalls::running_on(const PluginInstance* instance, CallKey key) {
  const auto found = running_.find(key);
  return found != running_.end() && found->second.instance.get() == instance ? found->second.call : nullptr;
}

void PluginCalls::remove_running(CallKey key) {
  running_.erase(key);
}

void PluginCalls::narrow_network(const v1::Manifest& manifest) {
  for (const auto& [key, run] : commands_) run->narrow_network(manifest);
}

v1::CallFigures PluginCalls::times_of(const Call& call) const {
  v1::CallFigures figures;
  figures.set_queue_time_ms(milliseconds(call.start_time - call.accept_time));
  figures.set_execution_time_ms(milliseconds(context_.clock.now() - call.start_time));
  return figures;
}

// Names are written down for every call that runs there: who made a file, nobody can tell.
void PluginCalls::note_created_files(PluginInstance& instance) {
  if (!instance.created_files().valid()) return;
  const supervision::CreatedFiles created = instance.created_files().take();
  if (created.names.empty()) return;
  for (const auto& [key, running] : running_) {
    if (running.instance.get() == &instance) keep_names(created, *running.call);
  }
}

v1::CallFigures PluginCalls::figures_of(Call& call, PluginInstance& instance) {
  v1::CallFigures figures = times_of(call);
  const std::uint64_t charged_us = instance.cpu_shares().charged_us(instance.meter().cpu_time_us());
  figures.set_cpu_time_ms(static_cast<double>(charged_us - call.cpu_charged_start_us) / 1000.0);
  figures.set_memory_used_bytes(instance.meter().resident_bytes(context_.clock.now()));
  figures.set_memory_peak_bytes(instance.meter().peak_bytes());
  figures.set_network_requests(instance.network_requests() - call.network_requests_start);
  note_created_files(instance);
  show_names(call, figures);
  return figures;
}

// The process has gone: its end tells what it used in all.
v1::CallFigures PluginCalls::last_figures_of(Call& call, PluginInstance& instance,
                                             const supervision::PluginExit& exit) {
  v1::CallFigures figures = times_of(call);
  const std::uint64_t charged_us = instance.cpu_shares().charged_us(exit.cpu_time_us);
  figures.set_cpu_time_ms(static_cast<double>(charged_us - call.cpu_charged_start_us) / 1000.0);
  figures.set_memory_used_bytes(exit.memory_peak_bytes);
  figures.set_memory_peak_bytes(exit.memory_peak_bytes);
  figures.set_network_requests(instance.network_requests() - call.network_requests_start);
  show_names(call, figures);
  return figures;
}

std::optional<Error> PluginCalls::output_error(std::size_t bytes) const {
  const std::uint64_t asked = manifest_limits().output_bytes_max();
  const std::uint64_t bytes_max = asked != 0 ? asked : limits::kOutputBytesMax;
  if (bytes <= bytes_max) return std::nullopt;
  return supervision::make_limit_error(
      "the output of the call is larger than output_bytes_max (" + std::to_string(bytes_max) + ") allows",
      "output_bytes_max", bytes_max, bytes);
}

bool PluginCalls::take_result(PluginInstance& instance, v1::Result& result) {
  if (const auto late = withdrawn_.find(result.call_id());
      late != withdrawn_.end() && late->second.instance.get() == &instance) {
    withdrawn_.erase(late);
    instance.cpu_shares().charged_us(instance.meter().cpu_time_us());
    instance.cpu_shares().end_call();
    if (&instance == instance_.get()) --slots_used_;
    left();
    return true;
  }
  Call* call = running_on(&instance, result.call_id());
  if (call == nullptr) return false;
  v1::CallFigures figures = figures_of(*call, instance);
  instance.cpu_shares().end_call();
  remove_running(call->key);
  if (&instance == instance_.get()) --slots_used_;
  if (result.warnings_size() > limits::kResultEntriesMax || result.metadata_size() > limits::kResultEntriesMax) {
    sink_.fail(
        *call,
        make_error(Reason::kPluginProtocolError,
                   "the Result has more than " + std::to_string(limits::kResultEntriesMax) + " warnings or metadata"),
        std::move(figures));
  } else if (auto too_large =
                 output_error(call->output_bytes + result.output().text().size() + result.output().data().size())) {
    sink_.fail(*call, std::move(*too_large), std::move(figures));
  } else if (result.has_output()) {
    CallReply reply;
    reply.output.Swap(result.mutable_output());
    reply.figures.Swap(&figures);
    for (std::string& warning : *result.mutable_warnings()) reply.warnings.push_back(std::move(warning));
    for (auto& [key, value] : *result.mutable_metadata()) reply.metadata[key] = std::move(value);
    sink_.succeed(*call, std::move(reply));
  } else if (result.has_failure()) {
    sink_.fail(*call, failure_error(result.failure(), context_.secrets), std::move(figures));
  } else {
    sink_.fail(*call, make_error(Reason::kPluginProtocolError, "the Result has neither output nor failure"),
               std::move(figures));
  }
  left();
  return true;
}

bool PluginCalls::take_output(PluginInstance& instance, v1::Output& output) {
  if (withdrawn_.contains(output.call_id())) return true;
  Call* call = running_on(&instance, output.call_id());
  if (call == nullptr) return false;
  call->output_bytes += output.part().text().size() + output.part().data().size() + kPartOverheadBytes;
  if (auto too_large = output_error(call->output_bytes)) {
    withdraw(*call, std::move(*too_large));
    return true;
  }
  if (call->handler != nullptr) call->handler->on_part(std::move(*output.mutable_part()));
  return true;
}

void PluginCalls::take_log(PluginInstance& instance, const v1::LogLine& line) {
  Call* call = line.call_id() == 0 ? nullptr : running_on(&instance, line.call_id());
  const auto level = std::string_view(line.level() == v1::LOG_LEVEL_DEBUG     ? "debug"
                                      : line.level() == v1::LOG_LEVEL_WARNING ? "warning"
                                      : line.level() == v1::LOG_LEVEL_ERROR   ? "error"
                                                                              : "info");
  log_->add("log", level, line.message(), call != nullptr ? std::string_view(call->execution_id) : "");
  if (call == nullptr || call->logs.size() >= limits::kCallLogLinesMax) return;
  call->log_bytes += line.message().size();
  if (call->log_bytes <= limits::kCallLogBytesMax) call->logs.push_back(log_->lines().back());
}

void PluginCalls::lose(PluginInstance& instance, const supervision::PluginExit& exit, const Error& error) {
  std::erase_if(withdrawn_, [&](const auto& entry) { return entry.second.instance.get() == &instance; });
  note_created_files(instance);
  std::vector<Call*> lost;
  for (const auto& [key, running] : running_) {
    if (running.instance.get() == &instance) lost.push_back(running.call);
  }
  std::sort(lost.begin(), lost.end(), [](const Call* a, const Call* b) { return a->key < b->key; });
  const auto limit = error.metadata.find("limit");
  // Whose fault it is was settled when it was seen: until the process has gone, others may pass the limit as well.
  const bool is_one_calls_fault = limit != error.metadata.end() && limit->second == kCpuTimeLimit &&
                                  std::ranges::any_of(lost, &Call::cpu_exceeded);
  for (Call* call : lost) {
    remove_running(call->key);
    v1::CallFigures figures = last_figures_of(*call, instance, exit);
    if (is_one_calls_fault && !call->cpu_exceeded) {
      sink_.fail(*call,
                 make_error(Reason::kPluginCrashed,
                            "plugin " + record_.name() + " was killed: another of its calls exceeded cpu_time_ms_max"),
                 std::move(figures));
    } else {
      sink_.fail(*call, error, std::move(figures));
    }
  }
  if (&instance == instance_.get()) hold();
  left();
}

void PluginCalls::withdraw(Call& call, Error error) {
  if (call.state == Call::State::kQueued || call.state == Call::State::kCommittingStart) {
    std::erase(waiting_, &call);
    committing_.erase(&call);
    v1::CallFigures figures;
    figures.set_queue_time_ms(milliseconds(context_.clock.now() - call.accept_time));
    sink_.fail(call, std::move(error), std::move(figures));
    return;
  }
  if (call.state != Call::State::kRunning) return;
  if (const auto run = commands_.find(call.key); run != commands_.end()) {
    run->second->end(std::move(error));  // its end ends the call: nothing of it is left then
    return;
  }
  cancel_on_instance(call, running_.at(call.key).instance, error);
}

void PluginCalls::cancel_on_instance(Call& call, std::shared_ptr<PluginInstance> instance, const Error& error) {
  v1::Frame frame;
  frame.mutable_cancel()->set_call_id(call.key);
  frame.mutable_cancel()->set_reason(error.reason == Reason::kCancelled ? "cancelled" : "deadline");
  // A plugin that cannot be told is killed after the grace like one that does not listen.
  if (const Result<void> sent = instance->send(frame); !sent) log_->add("log", "warning", sent.error().message, "");
  Withdrawn withdrawn{instance, std::make_unique<boost::asio::steady_timer>(context_.io)};
  withdrawn.grace->expires_after(std::chrono::milliseconds(limits::kCancelGraceMs));
  withdrawn.grace->async_wait([this, alive = alive_, key = call.key](const boost::system::error_code& aborted) {
    if (aborted || !*alive) return;
    const auto late = withdrawn_.find(key);
    if (late == withdrawn_.end()) return;
    late->second.instance->end(make_error(Reason::kPluginCrashed,
                                          "plugin " + record_.name() + " was killed: it did not end a cancelled call"));
  });
  withdrawn_.emplace(call.key, std::move(withdrawn));
  v1::CallFigures figures = figures_of(call, *instance);
  remove_running(call.key);
  sink_.fail(call, error, std::move(figures));
}

void PluginCalls::fail_waiting(const Error& error) {
  waiting_.insert(waiting_.end(), committing_.begin(), committing_.end());
  committing_.clear();
  while (!waiting_.empty()) {
    Call& call = *waiting_.front();
    waiting_.pop_front();
    v1::CallFigures figures;
    figures.set_queue_time_ms(milliseconds(context_.clock.now() - call.accept_time));
    sink_.fail(call, error, std::move(figures));
  }
}

void PluginCalls::end_commands(const Error& error) {
  for (auto& [key, run] : commands_) run->end(error);
}

std::size_t PluginCalls::open_on(const PluginInstance& instance) const {
  std::size_t count = 0;
  for (const auto& [key, running] : running_) count += running.instance.get() == &instance ? 1 : 0;
  for (const auto& [key, late] : withdrawn_) count += late.instance.get() == &instance ? 1 : 0;
  return count;
}

void PluginCalls::on_command_output(CommandRun& run, std::string_view part) {
  Call* call = running_on(nullptr, run.call_key());
  if (call == nullptr || call->delivery != Delivery::kStreamed || call->handler == nullptr) return;
  v1::Payload payload;
  if (is_utf8(part)) {
    payload.set_text(std::string(part));
  } else {
    payload.set_data(std::string(part));
  }
  call->handler->on_part(std::move(payload));
}

Error PluginCalls::command_error(const supervision::PluginExit& exit, const std::string& stderr_tail) const {
  const std::string name = "command " + record_.name();
  if (exit.kind == supervision::ExitKind::kSetupFailed || exit.kind == supervision::ExitKind::kLauncherLost) {
    // What the plugin named does not exist or cannot be run: its own fault. All else is the host's.
    Error error = supervision::load_error(record_.name(), exit);
    if (error.reason == Reason::kLoadFailure) {
      error.reason = supervision::is_passing(exit.step_errno) ? Reason::kSandboxUnavailable : Reason::kPluginError;
    }
    return error;
  }
  using supervision::CpuTimeOf;
  if (auto limit = supervision::limit_error(name, exit, manifest_limits(), CpuTimeOf::kOneCall))
    return std::move(*limit);
  if (exit.kind == supervision::ExitKind::kSignalled) {
    Error error = make_error(Reason::kPluginCrashed, name + " " + supervision::describe(exit));
    return supervision::with_memory_hint(std::move(error), exit, manifest_limits());
  }
  std::string message = name + " " + supervision::describe(exit);
  std::string tail = to_utf8(stderr_tail);
  if (stderr_tail.size() > limits::kCommandStderrTailBytes) {
    tail = context_.secrets.hidden(std::move(tail));
    tail = to_utf8(tail.substr(tail.size() - std::min(tail.size(), limits::kCommandStderrTailBytes)));
  }
  while (!tail.empty() && (tail.back() == '\n' || tail.back() == ' ')) tail.pop_back();
  if (!tail.empty()) message += ": " + tail.substr(tail.rfind('\n') + 1);
  Error error = make_error(Reason::kPluginError, std::move(message))
                    .with("exit_code", std::to_string(exit.exit_code))
                    .with("stderr", std::move(tail));
  return supervision::with_memory_hint(std::move(error), exit, manifest_limits());
}

// A command has a sandbox for each call; that it is confined otherwise than before is an event, not each call.
void PluginCalls::note_posture(const v1::Posture& posture) {
  const auto& now = posture.mechanisms();
  const auto& before = record_.posture.mechanisms();
  const auto same = [](const v1::MechanismState& one, const v1::MechanismState& other) {
    return one.name() == other.name() && one.state() == other.state();
  };
  if (now.empty() || std::equal(now.begin(), now.end(), before.begin(), before.end(), same)) return;
  v1::Event event = plugin_event("SandboxPosture", record_, "system");
  *event.mutable_sandbox_posture()->mutable_posture() = posture;
  // A log that takes no new work says so elsewhere; the next call tries again.
  static_cast<void>(
      context_.journal.record(event, event_log::SyncClass::kBatch, event_log::RecordUse::kNewWork).has_value());
}

void PluginCalls::on_command_ended(CommandRun& run, const supervision::PluginExit& exit, std::optional<Error> cause,
                                   std::string output, std::string stderr_tail) {
  const auto found = commands_.find(run.call_key());
  const std::shared_ptr<CommandRun> keep = found->second;
  note_posture(run.posture());
  commands_.erase(found);
  if (slots_used_ > 0 && mode_ == Mode::kCommands) --slots_used_;
  if (Call* call = running_on(nullptr, run.call_key())) {
    remove_running(call->key);
    v1::CallFigures figures = times_of(*call);
    figures.set_cpu_time_ms(static_cast<double>(exit.cpu_time_us) / 1000.0);
    figures.set_memory_used_bytes(exit.memory_peak_bytes);
    figures.set_memory_peak_bytes(exit.memory_peak_bytes);
    figures.set_network_requests(run.network_requests());
    keep_names(run.created_files().take(), *call);
    show_names(*call, figures);
    if (cause) {
      sink_.fail(*call, std::move(*cause), std::move(figures));
    } else if (!exit.is_success()) {
      sink_.fail(*call, command_error(exit, stderr_tail), std::move(figures));
    } else {
      CallReply reply;
      reply.figures.Swap(&figures);
      if (is_utf8(output)) {
        reply.output.set_text(std::move(output));
      } else {
        reply.output.set_data(std::move(output));
      }
      sink_.succeed(*call, std::move(reply));
    }
  }
  left();
}

void PluginCalls::left() {
  pump();
  if (on_call_left_) on_call_left_();
}

void PluginCalls::watch_cpu() {
  const std::uint64_t limit_ms = manifest_limits().cpu_time_ms_max();
  if (limit_ms == 0 || cpu_watched_) return;
  cpu_watched_ = true;
  // One thread cannot use a limit's worth of CPU in less time than that; several can, so it looks more often.
  cpu_timer_.expires_after(std::chrono::milliseconds(std::max<std::uint64_t>(kCpuCheckMsMin, limit_ms / 4)));
  cpu_timer_.async_wait([this, alive = alive_](const boost::system::error_code& error) {
    if (error || !*alive) return;
    cpu_watched_ = false;
    check_cpu();
  });
}

void PluginCalls::check_cpu() {
  const std::uint64_t limit_ms = manifest_limits().cpu_time_ms_max();
  if (!instance_ || running_.empty()) return;
  const std::uint64_t charged_us = instance_->cpu_shares().charged_us(instance_->meter().cpu_time_us());
  std::uint64_t most_us = 0;
  for (const auto& [key, running] : running_) {
    if (running.instance != instance_) continue;
    const std::uint64_t used_us = charged_us - running.call->cpu_charged_start_us;
    if (used_us <= limit_ms * 1000) continue;
    running.call->cpu_exceeded = true;
    most_us = std::max(most_us, used_us);
  }
  if (most_us == 0) {
    watch_cpu();
    return;
  }
  instance_->end(supervision::make_limit_error(
      "plugin " + record_.name() + " used more than " + std::to_string(limit_ms) + " ms of CPU time in one call",
      kCpuTimeLimit, limit_ms, most_us / 1000));
}

}  // namespace liongate::orchestrator
