// The calls that the log holds a PluginInvoked of and no outcome: what a start must end with DAEMON_RESTARTED.
//
// Ownership and thread: a value, one thread at a time. Only for replay: the living daemon asks its dispatcher, and that
// the two agree is what `verify-log --state` shows. No errors; bounded by the log, which the dispatcher bounds.
#pragma once

#include <map>
#include <string>
#include <unordered_map>

#include "kernel/base/ids.h"
#include "liongate/v1/event.pb.h"
#include "liongate/v1/snapshot.pb.h"

namespace liongate::registry {

class OpenCalls {
 public:
  void restore(const v1::KernelState& state);
  void apply(const v1::Event& event);
  // Adds them to `state`, in the order in which they began.
  void add_to(v1::KernelState& state) const;
  const std::map<EventSeq, v1::OpenCall>& by_seq() const { return by_seq_; }

 private:
  void end(const std::string& execution_id);

  std::map<EventSeq, v1::OpenCall> by_seq_;
  std::unordered_map<std::string, EventSeq> by_execution_;
};

}  // namespace liongate::registry
