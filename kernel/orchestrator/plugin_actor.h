// One loaded plugin at work: its lifecycle commands one after the other, its process, its restarts.
//
// Ownership and thread: owned by the orchestrator from PluginLoaded to PluginUnloaded; kernel thread. Every change of
// state is an event recorded here; the record in the registry only mirrors them.
//
// Commands (start, stop, restart, reload, unload) of one plugin run one at a time, in the order they came; at most
// limits::kCommandsPerPluginMax wait. A restart after a crash is a command like the others.
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "kernel/orchestrator/host_calls.h"
#include "kernel/orchestrator/instance_start.h"
#include "kernel/orchestrator/kernel_context.h"
#include "kernel/orchestrator/plugin_calls.h"
#include "kernel/supervision/restart_policy.h"

namespace liongate::orchestrator {

class PluginActor final : private supervision::InstanceListener {
 public:
  using Done = std::function<void(Result<void>)>;
  using HealthDone = std::function<void(Result<v1::Pong>)>;

  PluginActor(KernelContext& context, CallSink& sink, std::shared_ptr<registry::PluginRecord> record,
              std::shared_ptr<supervision::PluginLog> log);
  ~PluginActor() override;

  const registry::PluginRecord& record() const { return record_; }
  const std::string& name() const { return record_.name(); }
  supervision::PluginLog& log() { return *log_; }
  std::shared_ptr<supervision::PluginInstance> instance() const { return instance_; }
  bool is_command() const { return record_.loaded().manifest().runtime() == "command"; }

  // --- calls ---
  Result<void> takes_calls() const;  // kPluginNotRunning where a call could never run
  std::size_t call_count() const { return calls_.waiting_count() + calls_.running_count(); }
  std::size_t waiting_count() const { return calls_.waiting_count(); }
  std::size_t running_count() const { return calls_.running_count(); }
  void expect(Call& call) { calls_.expect(call); }
  void enqueue(Call& call) { calls_.enqueue(call); }
  void withdraw(Call& call, Error error) { calls_.withdraw(call, std::move(error)); }

  // --- lifecycle; `done` is called when what happened is durable, or with what was wrong ---
  // Takes the process that made the load succeed; PluginLoaded is recorded already.
  void adopt(ReadyInstance ready, const std::string& actor);
  // The same for a command, whose files were looked at a moment ago: it runs from now on, without a process.
  void adopt_command(const std::string& actor, const v1::Posture& posture);
  void start(const std::string& actor, Done done);
  void stop(const std::string& actor, Done done);
  void restart(const std::string& actor, Done done);
  // Replaces manifest and files; calls move to the new process once it is Ready.
  void reload(v1::PluginLoaded loaded, const std::string& actor, Done done);
  // Grants or revokes `permission`, in its canonical spelling, from the next start on (a command: the next call).
  // kInvalidArgument where it has it already, or has it not; kPermissionDenied where the policy denies it.
  void override_permission(std::string permission, policy::Override what, const std::string& actor, Done done);
  // Records PluginUnloaded at the end; the owner destroys this actor in `done`'s turn or later, not inside it.
  void unload(const std::string& actor, Done done);
  // After a restart of the daemon: starts what was running.
  void resume_desired_state();
  // The daemon is about to stop: what ends from now on is not started again, and that counts as no failure of the
  // plugin's.
  void start_no_more();
  // The daemon stops: the process ends, the wish to run stays.
  void shut_down(std::function<void()> done);

  // Registered and not started: what kept it from being started is told by its state.
  void fail_at_load(const Error& error, Done done) { fail_plugin("system", error, std::move(done)); }
  // How far it is, for whoever looks at an observer.
  void describe_observer(v1::Plugin& plugin) const;

  // Asks the instance how it is; a command is healthy while it is RUNNING.
  void check_health(HealthDone done);

 private:
  // A command is given how to end itself; whoever asked for it waits in `done`.
  struct Command {
    std::function<void(Done)> run;
    Done done;
  };

  void on_instance_ready(supervision::PluginInstance&, const v1::Ready&) override {}
  bool on_instance_result(supervision::PluginInstance& instance, v1::Result& result) override;
  bool on_instance_output(supervision::PluginInstance& instance, v1::Output& output) override;
  void on_instance_log(supervision::PluginInstance& instance, const v1::LogLine& line) override;
  void on_instance_pong(supervision::PluginInstance& instance, const v1::Pong& pong) override;
  bool on_instance_ack(supervision::PluginInstance& instance, const v1::Ack& ack) override;
  void on_instance_host_call(supervision::PluginInstance& instance, const v1::HostCall& call) override;
  void on_instance_ended(supervision::PluginInstance& instance, const supervision::PluginExit& exit,
                         std::optional<Error> cause) override;

  void submit(std::function<void(Done)> run, Done done);
  void run_next();
  void finish_command(Result<void> result);

  enum class StartKind { kByRequest, kBySupervisor };
  // Records the denial and returns its error, or what kept it from being recorded.
  Result<void> refuse(policy::Refusal refusal, const char* action, const std::string& actor);
  // Everything of it that runs reaches only what `manifest` names from now on.
  void narrow_network(const v1::Manifest& manifest);
  Result<EventSeq> record_override(const std::string& permission, policy::Override what, const std::string& actor);
  // Asks the policy of today. Grants that differ from those on record are recorded; a refusal is, too, and returned.
  Result<void> ask_policy(const std::string& actor);
  void begin_start(StartKind kind, const std::string& actor, Done done);
  // Gets its secrets, then starts it.
  void launch(StartKind kind, const std::string& actor, Done done);
  void start_command(const std::string& actor, Done done);
  void start_instance(StartKind kind, const std::string& actor, SecretDelivery::Values secrets, Done done);
  Result<void> record_delivery(const SecretDelivery::Values& secrets, const std::string& actor);
  void on_start_failed(StartKind kind, const std::string& actor, Error error, Done done);
  void fail_plugin(const std::string& actor, const Error& error, Done done);
  void take_instance(ReadyInstance ready);
  EventSeq record_started(const ReadyInstance& ready, const std::string& actor);
  void begin_feed();
  void end_feed();
  void record_happening(v1::Event& event);
  void record_gap(const event_log::Gap& gap);
  void begin_stop(const std::string& actor, const char* reason, Done done);
  void finish_stop(const std::string& actor, Done done);
  void forget(const std::string& actor, Done done);
  void end_processes(std::function<void()> on_quiet);
  void check_quiet();
  void begin_reload(v1::PluginLoaded loaded, const std::string& actor, Done done);
  void start_reloaded(v1::PluginLoaded loaded, const std::string& actor, SecretDelivery::Values secrets, Done done);
  void swap_in(ReadyInstance ready, v1::PluginLoaded loaded, const std::string& actor, Done done);
  void drain(std::shared_ptr<supervision::PluginInstance> old);
  void on_call_left();
  Error end_error(const supervision::PluginExit& exit) const;
  void on_crashed(const supervision::PluginInstance& instance, const supervision::PluginExit& exit,
                  const std::optional<Error>& cause);
  // After a crash, or a start that failed; `last` is the reason to be FAILED with when there were too many.
  void schedule_restart(std::optional<MonotonicTime> started, Reason last,
                        supervision::Progress progress = supervision::Progress::kNone);
  supervision::Progress progress_of_instance() const;
  void try_start_later(const Error& error);
  void answer_pings(Result<v1::Pong> pong);
  void done_when_durable(EventSeq seq, Done done);
  Error wrong_state(const char* what) const;
  supervision::InstanceOptions instance_options(const v1::PluginLoaded& loaded, SecretDelivery::Values secrets) const;

  KernelContext& context_;
  std::shared_ptr<registry::PluginRecord> shared_record_;  // outlives the unloading of what it describes
  registry::PluginRecord& record_;
  std::shared_ptr<supervision::PluginLog> log_;
  PluginCalls calls_;
  HostCalls host_calls_;
  std::shared_ptr<supervision::PluginInstance> instance_;
  std::shared_ptr<InstanceStart> starting_;
  std::vector<std::shared_ptr<supervision::PluginInstance>> draining_;
  std::optional<MonotonicTime> ready_time_;

  // Of an observer: the feed of `instance_`, and how far all feeds of this life have come.
  std::shared_ptr<observation::Feed> feed_;
  std::shared_ptr<observation::FeedProgress> progress_ = std::make_shared<observation::FeedProgress>();
  std::uint64_t acknowledged_before_ = 0;  // of it, when the feed began

  std::deque<Command> commands_;
  bool command_running_ = false;
  Done current_done_;  // of the command that runs
  std::vector<std::function<void()>>
      on_quiet_;  // who waits until no process of it is left; while set, no end is a crash
  supervision::PluginExit last_exit_;
  bool starts_no_more_ = false;
  bool shutting_down_ = false;
  bool ending_ = false;  // being stopped or unloaded: no call is taken
  boost::asio::steady_timer stop_timer_;
  boost::asio::steady_timer restart_timer_;
  supervision::RestartPolicy restart_policy_;
  std::minstd_rand jitter_{std::random_device{}()};

  std::vector<HealthDone> pings_;
  std::uint64_t ping_nonce_ = 0;
  boost::asio::steady_timer ping_timer_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for callbacks that may come after the end
};

}  // namespace liongate::orchestrator
