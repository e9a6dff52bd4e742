// Launches an instance and waits for its Ready or its end: the one way a plugin's process comes to life.
//
// Ownership and thread: shared by whoever waits and by the instance's callbacks; kernel thread. `done` is called
// exactly once and never inside begin(), unless cancel() came first.
#pragma once

#include <functional>
#include <memory>

#include "kernel/supervision/plugin_instance.h"

namespace liongate::orchestrator {

// An instance that said Ready. Whoever takes it becomes its listener at once.
struct ReadyInstance {
  std::shared_ptr<supervision::PluginInstance> instance;
  v1::PluginStarted started;
};

class InstanceStart final : public std::enable_shared_from_this<InstanceStart>, private supervision::InstanceListener {
 public:
  using Done = std::function<void(Result<ReadyInstance>)>;

  InstanceStart(boost::asio::io_context& context, supervision::Launcher& launcher, const Clock& clock,
                std::shared_ptr<supervision::PluginLog> log);

  // Fails with kLoadFailure (ended or silent before Ready; the last of its stderr is in the message),
  // kSandboxUnavailable.
  void begin(supervision::InstanceOptions options, Done done);

  // Kills what was launched; `done` will not be called.
  void cancel();

  // The same, for who wants to see the process end: it becomes the listener of the instance that is given out.
  std::shared_ptr<supervision::PluginInstance> give_up(supervision::InstanceListener& listener, Error cause);

  const InstanceId& instance_id() const { return instance_->id(); }

 private:
  void on_instance_ready(supervision::PluginInstance& instance, const v1::Ready& ready) override;
  bool on_instance_result(supervision::PluginInstance&, v1::Result&) override { return false; }
  bool on_instance_output(supervision::PluginInstance&, v1::Output&) override { return false; }
  void on_instance_log(supervision::PluginInstance& instance, const v1::LogLine& line) override;
  void on_instance_pong(supervision::PluginInstance&, const v1::Pong&) override {}
  void on_instance_host_call(supervision::PluginInstance& instance, const v1::HostCall& call) override;
  void on_instance_ended(supervision::PluginInstance& instance, const supervision::PluginExit& exit,
                         std::optional<Error> cause) override;
  void finish(Result<ReadyInstance> result);

  boost::asio::io_context& context_;
  const Clock& clock_;
  std::shared_ptr<supervision::PluginLog> log_;
  std::shared_ptr<supervision::PluginInstance> instance_;
  std::shared_ptr<InstanceStart> self_;  // keeps itself until it is done
  Done done_;
};

// "info" and so on; "" for an unset level.
std::string_view name_of(v1::LogLevel level);

}  // namespace liongate::orchestrator
