// What a plugin's process asks of the daemon while it runs: HostCall in, exactly one HostReply out.
//
// The methods, with the permission each needs and what request and reply hold, are listed in frame.proto. A call that
// is refused is recorded before it is answered: the first denial of a kind at once, those that follow within
// limits::kHostDenialRepeatMs are counted in a later one, so that a plugin cannot fill the log by asking.
//
// Bounds: limits::kHostCallsInFlightMax under way, limits::kHostCallsPerSecondMax begun in a second; what is more is
// answered QUEUE_FULL.
//
// Ownership and thread: one a plugin, owned by its actor; kernel thread. An answer that comes after the instance has
// gone is dropped.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "kernel/orchestrator/kernel_context.h"
#include "kernel/supervision/plugin_instance.h"

namespace liongate::orchestrator {

class HostCalls {
 public:
  HostCalls(KernelContext& context, const registry::PluginRecord& record) : context_(context), record_(record) {}
  ~HostCalls() { *alive_ = false; }
  HostCalls(const HostCalls&) = delete;
  HostCalls& operator=(const HostCalls&) = delete;

  // `correlation_id` is that of the call it names; empty where it names none that is open there.
  void take(supervision::PluginInstance& instance, const v1::HostCall& call, const std::string& correlation_id);

  // An instance has ended: tells the denials that were only counted so far.
  void flush();

 private:
  struct Denials {
    MonotonicTime told{};
    std::uint64_t untold = 0;
    std::string method;
  };
  // Who asked, kept until the answer.
  struct Asked {
    std::weak_ptr<supervision::PluginInstance> instance;
    std::uint64_t id = 0;
    v1::Event origin;
  };

  bool is_in_rate();
  v1::Event asked_by(const supervision::PluginInstance& instance) const;
  void give_secret(const std::string& name, Asked asked);
  void fetch_next();
  void give_value(const Asked& asked, policy::SecretValue value);
  bool has(const std::string& permission) const;
  void deny(const std::string& method, const std::string& permission, const Asked& asked);
  void record_denial(const std::string& permission, Denials& denials, v1::Event event);

  KernelContext& context_;
  const registry::PluginRecord& record_;
  // One after the other: a source that is slow holds up the plugin that asks for it, and nobody else.
  std::deque<std::pair<std::string, Asked>> secrets_wanted_;  // at most kHostCallsInFlightMax
  bool is_fetching_ = false;
  std::size_t in_flight_ = 0;
  MonotonicTime second_began_{};
  std::uint32_t begun_in_second_ = 0;
  std::map<std::string, Denials> denials_;                      // by permission; at most kHostDenialKindsMax
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // for answers that come after the end
};

// Refuses one, where no actor is there to take it.
void answer_host_call(supervision::PluginInstance& instance, std::uint64_t host_call_id, const Error& error);

}  // namespace liongate::orchestrator
