// One call of a plugin: what was asked, who waits for it, and where it stands.
//
// Ownership and thread: a CallRequest is made by an edge and moved to the kernel thread; a Call belongs to the
// dispatcher. A handler is told of parts and of the end on the kernel thread and must only translate and pass on.
//
// States: COMMITTING_START (durability before_run: PluginInvoked is on its way to the disk) -> QUEUED (waits for a free
// slot) -> RUNNING (the plugin has it) -> COMMITTING_END (its terminal event is on its way to the disk) -> gone. Every
// accepted call has one PluginInvoked and exactly one PluginResult or PluginError in the log.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "kernel/base/clock.h"
#include "kernel/base/ids.h"
#include "kernel/base/result.h"
#include "kernel/event_log/event_log.h"
#include "kernel/supervision/file_watch.h"
#include "kernel/supervision/plugin_log.h"
#include "liongate/v1/frame.pb.h"
#include "liongate/v1/plugin.pb.h"

namespace liongate::orchestrator {

enum class Durability : std::uint8_t { kDurable, kBeforeRun, kBatch, kAsync };
std::string_view name_of(Durability durability);

enum class Delivery : std::uint8_t { kWhole, kStreamed };

struct CallRequest {
  std::string plugin;  // id or name
  std::string operation;
  v1::Payload input;
  std::string correlation_id;                         // assigned when empty
  std::optional<std::chrono::milliseconds> timeout;   // the configured default when absent
  std::optional<std::chrono::milliseconds> patience;  // the caller waits no longer than this, whatever the timeout
  std::optional<Durability> durability;               // the configured default when absent
  Delivery delivery = Delivery::kWhole;
  std::string actor;  // who asked, as events say it
};

struct CallReply {
  std::string execution_id;
  std::string correlation_id;
  std::string plugin_id;
  v1::Payload output;
  v1::CallFigures figures;
  std::vector<std::string> warnings;
  std::map<std::string, std::string> metadata;
  std::vector<supervision::LogLine> logs;
};

class CallHandler {
 public:
  virtual ~CallHandler() = default;
  virtual void on_part(v1::Payload part) = 0;
  // Exactly once, last. An error's metadata holds execution_id and correlation_id where the call was accepted.
  virtual void on_done(Result<CallReply> outcome) = 0;
};

using CallKey = std::uint64_t;  // also the call_id in frames; never 0, never reused in a life of the daemon

class PluginActor;

struct Call {
  enum class State : std::uint8_t { kCommittingStart, kQueued, kRunning, kCommittingEnd };
  // Which bound the deadline stands for: it decides the reason when it passes.
  enum class DeadlineSource : std::uint8_t { kCaller, kWallTimeLimit };

  CallKey key = 0;
  State state = State::kQueued;
  PluginActor* actor = nullptr;  // null once the call has ended
  std::string execution_id;
  std::string correlation_id;
  EventSeq invoked_seq = 0;             // of its PluginInvoked
  std::string recorded_correlation_id;  // where it held a secret; empty: as it is
  std::string invoked_instance_id;      // as that says it; the instance that runs the call may be a later one
  std::string requested_by;
  std::string operation;
  v1::Payload input;
  Durability durability = Durability::kDurable;
  Delivery delivery = Delivery::kWhole;
  MonotonicTime accept_time{};
  MonotonicTime start_time{};
  MonotonicTime deadline{};
  DeadlineSource deadline_source = DeadlineSource::kCaller;
  std::uint64_t cpu_charged_start_us = 0;  // of its instance's CpuShares
  bool cpu_exceeded = false;               // seen to be above cpu_time_ms_max: its process is ended for it
  std::size_t output_bytes = 0;
  std::vector<supervision::LogLine> logs;
  std::size_t log_bytes = 0;
  supervision::CreatedFiles created_files;
  std::uint64_t network_requests_start = 0;  // of its instance, when it began
  std::unique_ptr<CallHandler> handler;
  std::optional<Result<CallReply>> outcome;  // kCommittingEnd
};

}  // namespace liongate::orchestrator
