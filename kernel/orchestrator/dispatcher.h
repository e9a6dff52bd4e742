// Takes calls, records their events, watches their deadlines and gives each its one outcome when it is durable.
//
// Ownership and thread: owned by the orchestrator; kernel thread. It owns every Call from accept to the end.
//
//   accept   bounds are checked, PluginInvoked is appended, the call goes to its plugin's queue
//   outcome  PluginResult or PluginError is appended; the handler is told when the durability asked for is reached
#pragma once

#include <boost/asio/steady_timer.hpp>
#include <memory>
#include <set>
#include <unordered_map>

#include "kernel/orchestrator/call.h"
#include "kernel/orchestrator/kernel_context.h"
#include "kernel/orchestrator/plugin_calls.h"
#include "kernel/policy/payload_policy.h"

namespace liongate::orchestrator {

class PluginActor;

class Dispatcher final : public CallSink {
 public:
  explicit Dispatcher(KernelContext& context);
  ~Dispatcher() override;

  // Takes a call for `actor`, which may be nullptr: there is no such plugin. The handler is told of a refusal at once.
  // Returns the key for cancel(), 0 for a call that was refused.
  CallKey accept(CallRequest request, PluginActor* actor, std::unique_ptr<CallHandler> handler);

  // The caller no longer waits. Unknown keys are ignored: the call has just ended.
  void cancel(CallKey key);

  // No call is accepted any more (kShuttingDown).
  void close() { closed_ = true; }

  std::size_t open_count() const { return calls_.size(); }
  // The calls whose outcome is not recorded, in the order in which they began.
  std::vector<v1::OpenCall> open_calls() const;
  // Of the oldest of them; nothing where there is none.
  std::optional<EventSeq> oldest_open_seq() const;
  // Called when the last open call has ended.
  void set_on_idle(std::function<void()> on_idle) { on_idle_ = std::move(on_idle); }

  // A call that the log remembers and nothing answers any more: cut by the end of the life before.
  Result<void> record_interrupted(const v1::OpenCall& interrupted);

 private:
  void succeed(Call& call, CallReply reply) override;
  void fail(Call& call, Error error, v1::CallFigures figures) override;

  Result<void> check(const CallRequest& request, PluginActor* actor);
  std::unique_ptr<Call> make_call(CallRequest request, PluginActor& actor, std::unique_ptr<CallHandler> handler);
  policy::PayloadRule payload_rule(const registry::PluginRecord& record) const;
  Result<EventSeq> record_invoked(Call& call, const registry::PluginRecord& record);
  void record_refused(const CallRequest& request, const PluginActor& actor, const Error& error);
  void complete(Call& call, Result<EventSeq> recorded, Result<CallReply> outcome);
  void deliver(CallKey key);
  void arm_deadlines();
  void on_deadline();
  Error deadline_error(const Call& call) const;

  KernelContext& context_;
  std::unordered_map<CallKey, std::unique_ptr<Call>> calls_;
  std::set<std::pair<MonotonicTime, CallKey>> deadlines_;
  boost::asio::steady_timer deadline_timer_;
  MonotonicTime armed_for_ = MonotonicTime::max();
  CallKey last_key_ = 0;
  bool closed_ = false;
  v1::Event invoked_event_;  // reused: their strings keep their memory
  v1::Event result_event_;
  // Refused calls of one kind that were recorded in the present second.
  struct RefusalWindow {
    int recorded_max;
    MonotonicTime since{};
    int recorded = 0;
  };
  RefusalWindow full_queues_{1};
  RefusalWindow other_refusals_{limits::kRefusalsRecordedPerSecondMax};
  std::uint64_t refusals_skipped_ = 0;  // since the last that was recorded
  std::function<void()> on_idle_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for what is posted and may come after the end
};

// The event log's sync class for an event of a call of this durability.
event_log::SyncClass sync_class_of(Durability durability);

}  // namespace liongate::orchestrator
