// The calls of one plugin: who waits, who runs where, and what becomes of them when an instance answers, hangs or dies.
//
// Ownership and thread: one a plugin, owned by its actor; kernel thread. Calls belong to the dispatcher; this holds
// pointers to those that wait or run and gives each back exactly once through CallSink.
//
// A call that ran into its deadline or was cancelled ends for its caller at once, but the plugin still has it: a Cancel
// frame is sent, its slot stays taken, and a plugin that has not answered it after limits::kCancelGraceMs is killed.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <unordered_map>

#include "kernel/orchestrator/call.h"
#include "kernel/orchestrator/kernel_context.h"
#include "kernel/supervision/command_run.h"
#include "kernel/supervision/plugin_instance.h"

namespace liongate::orchestrator {

// Where the outcome of a call goes: the dispatcher.
class CallSink {
 public:
  virtual ~CallSink() = default;
  virtual void succeed(Call& call, CallReply reply) = 0;
  virtual void fail(Call& call, Error error, v1::CallFigures figures) = 0;
};

class PluginCalls final : private supervision::CommandListener {
 public:
  PluginCalls(KernelContext& context, CallSink& sink, const registry::PluginRecord& record,
              std::shared_ptr<supervision::PluginLog> log);
  ~PluginCalls() override;

  // Commands that run may reach only the hosts that `manifest` names from now on.
  void narrow_network(const v1::Manifest& manifest);

  // Calls run on `instance` from now on. Those that run elsewhere stay there.
  void serve(std::shared_ptr<supervision::PluginInstance> instance, std::uint32_t concurrency);
  // Each call is a command of its own from now on.
  // How a command's calls are confined; an event where that is otherwise than before.
  void note_posture(const v1::Posture& posture);
  void serve_commands();
  // Calls wait until the next serve.
  void hold();

  // A call whose PluginInvoked is on its way to the disk; enqueue follows unless the call ends first.
  void expect(Call& call);
  void enqueue(Call& call);
  // The caller no longer waits (deadline, cancel): ends the call with `error`, wherever it is.
  void withdraw(Call& call, Error error);
  // Ends every call that has not begun to run.
  void fail_waiting(const Error& error);
  // Ends every command that runs.
  void end_commands(const Error& error);

  // What the instances say; false: no such call is open there.
  bool take_result(supervision::PluginInstance& instance, v1::Result& result);
  bool take_output(supervision::PluginInstance& instance, v1::Output& output);
  void take_log(supervision::PluginInstance& instance, const v1::LogLine& line);
  // The instance has ended: every call that it had gets `error`, but where one call's use of CPU ended it the others
  // are told that it was another's.
  void lose(supervision::PluginInstance& instance, const supervision::PluginExit& exit, const Error& error);

  // Of a call that is open on `instance`; empty where there is no such call.
  std::string correlation_id_of(const supervision::PluginInstance& instance, CallKey key);

  std::size_t waiting_count() const { return waiting_.size() + committing_.size(); }
  std::size_t running_count() const { return running_.size(); }
  // Calls that `instance` still has, withdrawn ones included.
  std::size_t open_on(const supervision::PluginInstance& instance) const;

  // Called whenever a call left an instance or a command ended: drains and stops wait for it.
  void set_on_call_left(std::function<void()> on_call_left) { on_call_left_ = std::move(on_call_left); }

 private:
  struct Running {
    Call* call = nullptr;
    std::shared_ptr<supervision::PluginInstance> instance;  // null for a command
  };
  struct Withdrawn {
    std::shared_ptr<supervision::PluginInstance> instance;
    std::unique_ptr<boost::asio::steady_timer> grace;
  };

  void on_command_output(supervision::CommandRun& run, std::string_view part) override;
  void on_command_ended(supervision::CommandRun& run, const supervision::PluginExit& exit, std::optional<Error> cause,
                        std::string output, std::string stderr_tail) override;

  void pump();
  bool has_free_slot() const;
  void run_on_instance(Call& call);
  void run_command(Call& call);
  // A command that has its slot, and can be withdrawn, while its secrets are on their way.
  struct Waiting {
    std::shared_ptr<supervision::CommandRun> run;
    v1::Event origin;
    std::string input;
  };
  void fetch_secrets(Waiting waiting);
  void run_with_secrets(Waiting waiting, Result<SecretDelivery::Values> secrets);
  void cancel_on_instance(Call& call, std::shared_ptr<supervision::PluginInstance> instance, const Error& error);
  Call* running_on(const supervision::PluginInstance* instance, CallKey key);
  void remove_running(CallKey key);
  const v1::ManifestLimits& manifest_limits() const { return record_.loaded().manifest().limits(); }
  v1::CallFigures times_of(const Call& call) const;
  v1::CallFigures figures_of(Call& call, supervision::PluginInstance& instance);
  v1::CallFigures last_figures_of(Call& call, supervision::PluginInstance& instance,
                                  const supervision::PluginExit& exit);
  void note_created_files(supervision::PluginInstance& instance);
  std::optional<Error> output_error(std::size_t bytes) const;
  Error command_error(const supervision::PluginExit& exit, const std::string& stderr_tail) const;
  void watch_cpu();
  void check_cpu();
  void left();

  KernelContext& context_;
  CallSink& sink_;
  const registry::PluginRecord& record_;
  std::shared_ptr<supervision::PluginLog> log_;
  enum class Mode { kHold, kInstance, kCommands };
  Mode mode_ = Mode::kHold;
  std::shared_ptr<supervision::PluginInstance> instance_;
  std::uint32_t concurrency_ = 1;
  std::size_t slots_used_ = 0;  // of instance_, or of the commands
  std::deque<Call*> waiting_;
  std::set<Call*> committing_;
  std::unordered_map<CallKey, Running> running_;
  std::map<CallKey, Withdrawn> withdrawn_;
  std::map<CallKey, std::shared_ptr<supervision::CommandRun>> commands_;
  boost::asio::steady_timer cpu_timer_;
  bool cpu_watched_ = false;
  v1::Frame frame_;  // reused
  std::function<void()> on_call_left_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for timers that expire in the turn of the end
};

}  // namespace liongate::orchestrator
