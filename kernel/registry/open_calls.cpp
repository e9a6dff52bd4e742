#include "kernel/registry/open_calls.h"

namespace liongate::registry {

void OpenCalls::restore(const v1::KernelState& state) {
  for (const v1::OpenCall& call : state.open_calls()) {
    by_execution_[call.execution_id()] = call.seq();
    by_seq_[call.seq()] = call;
  }
}

void OpenCalls::apply(const v1::Event& event) {
  switch (event.payload_case()) {
    case v1::Event::kPluginInvoked: {
      v1::OpenCall& call = by_seq_[event.seq()];
      call.set_seq(event.seq());
      call.set_plugin_id(event.plugin_id());
      call.set_plugin_name(event.plugin_name());
      call.set_instance_id(event.instance_id());
      call.set_correlation_id(event.correlation_id());
      call.set_execution_id(event.plugin_invoked().execution_id());
      by_execution_[call.execution_id()] = event.seq();
      return;
    }
    case v1::Event::kPluginResult:
      return end(event.plugin_result().execution_id());
    case v1::Event::kPluginError:
      return end(event.plugin_error().execution_id());
    default:
      return;
  }
}

void OpenCalls::end(const std::string& execution_id) {
  const auto found = by_execution_.find(execution_id);
  if (found == by_execution_.end()) return;
  by_seq_.erase(found->second);
  by_execution_.erase(found);
}

void OpenCalls::add_to(v1::KernelState& state) const {
  for (const auto& [seq, call] : by_seq_) *state.add_open_calls() = call;
}

}  // namespace liongate::registry
