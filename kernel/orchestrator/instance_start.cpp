#include "kernel/orchestrator/instance_start.h"

#include <algorithm>
#include <boost/asio/post.hpp>

#include "kernel/base/utf8.h"
#include "kernel/orchestrator/host_calls.h"

namespace liongate::orchestrator {

using supervision::PluginInstance;

namespace {

constexpr std::size_t kOutputTailBytes = 1024;

}  // namespace

std::string_view name_of(v1::LogLevel level) {
  switch (level) {
    case v1::LOG_LEVEL_DEBUG:
      return "debug";
    case v1::LOG_LEVEL_INFO:
      return "info";
    case v1::LOG_LEVEL_WARNING:
      return "warning";
    case v1::LOG_LEVEL_ERROR:
      return "error";
    default:
      return "";
  }
}

InstanceStart::InstanceStart(boost::asio::io_context& context, supervision::Launcher& launcher, const Clock& clock,
                             std::shared_ptr<supervision::PluginLog> log)
    : context_(context),
      clock_(clock),
      log_(log),
      instance_(std::make_shared<PluginInstance>(context, launcher, clock, static_cast<InstanceListener&>(*this),
                                                 std::move(log))) {}

void InstanceStart::begin(supervision::InstanceOptions options, Done done) {
  done_ = std::move(done);
  self_ = shared_from_this();
  Result<void> started = instance_->start(std::move(options));
  if (!started) {
    boost::asio::post(context_, [self = self_, error = std::move(started).error()] { self->finish(error); });
  }
}

void InstanceStart::cancel() {
  done_ = nullptr;
  instance_->abandon();
  self_.reset();
}

std::shared_ptr<PluginInstance> InstanceStart::give_up(supervision::InstanceListener& listener, Error cause) {
  const auto self = std::move(self_);
  done_ = nullptr;
  instance_->set_listener(listener);
  instance_->end(std::move(cause));
  return instance_;
}

void InstanceStart::finish(Result<ReadyInstance> result) {
  const auto self = std::move(self_);
  if (const Done done = std::exchange(done_, nullptr)) done(std::move(result));
}

void InstanceStart::on_instance_ready(PluginInstance& instance, const v1::Ready& ready) {
  // What Ready says goes into an event, and an event has a bound.
  if (ready.operations_size() > limits::kReadyNamesMax || ready.capabilities_size() > limits::kReadyNamesMax ||
      ready.ByteSizeLong() > limits::kReadyBytesMax) {
    instance.end(make_error(Reason::kPluginProtocolError,
                            "plugin " + instance.name() + " declares too much in Ready: at most " +
                                std::to_string(limits::kReadyNamesMax) + " operations and capabilities, " +
                                std::to_string(limits::kReadyBytesMax) + " bytes in all"));
    return;
  }
  const auto& features = ready.features();
  if (instance.is_observer() && std::find(features.begin(), features.end(), "on_event") == features.end()) {
    instance.end(make_error(Reason::kLoadFailure,
                            "plugin " + instance.name() + " is an observer, and its Ready does not declare on_event")
                     .with_hint("derive it from PluginBase and give it on_event; see docs/observers.md"));
    return;
  }
  ReadyInstance result;
  result.instance = instance_;
  *result.started.mutable_operations() = ready.operations();
  for (const v1::Capability& capability : ready.capabilities()) result.started.add_capabilities(capability.name());
  result.started.set_concurrency(std::clamp<std::uint32_t>(ready.concurrency(), 1, limits::kConcurrencyMax));
  result.started.set_sdk(ready.sdk());
  if (instance.is_observer()) result.started.set_startup_error(to_utf8(ready.startup_error()));
  result.started.set_pid(instance.pid());
  result.started.set_start_time_ms(
      std::chrono::duration<double, std::milli>(clock_.now() - instance.launch_time()).count());
  finish(std::move(result));
}

void InstanceStart::on_instance_log(PluginInstance&, const v1::LogLine& line) {
  log_->add("log", name_of(line.level()), line.message(), "");
}

// Ready was said and the launcher's word that the process runs is not here yet: nobody is there to ask.
void InstanceStart::on_instance_host_call(PluginInstance& instance, const v1::HostCall& call) {
  answer_host_call(instance, call.host_call_id(),
                   make_error(Reason::kPluginNotRunning, "plugin " + instance.name() + " is still being started")
                       .with_hint("ask again in a moment"));
}

void InstanceStart::on_instance_ended(PluginInstance& instance, const supervision::PluginExit& exit,
                                      std::optional<Error> cause) {
  Error error = cause ? std::move(*cause) : supervision::load_error(instance.name(), exit);
  // A load fails for one reason, whatever the plugin did instead of saying Ready; the message tells what it was.
  if (error.reason == Reason::kPluginProtocolError) error.reason = Reason::kLoadFailure;
  if (exit.kind != supervision::ExitKind::kSetupFailed) {
    const std::string tail = to_utf8(log_->tail(kOutputTailBytes));
    if (!tail.empty()) {
      const std::string line = tail.substr(tail.rfind('\n', tail.size() - 2) + 1);
      const std::string words = line.substr(0, line.find('\n'));
      // What refused to start has often said so there as well.
      if (error.message.find(words) == std::string::npos) error.message += "; its last words: " + line;
      error.metadata["output"] = tail;
    }
  }
  finish(std::move(error));
}

}  // namespace liongate::orchestrator
