#include "kernel/registry/state.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include "kernel/base/digest.h"

namespace liongate::registry {

v1::PluginEntry to_entry(const PluginRecord& record) {
  v1::PluginEntry entry;
  entry.set_plugin_id(record.id.str());
  entry.set_state(static_cast<v1::PluginState>(record.state));
  entry.set_desired_running(record.desired_running);
  entry.set_state_reason(record.state_reason);
  entry.set_state_message(record.state_message);
  entry.set_instance_id(record.instance_id.str());
  *entry.mutable_started() = record.started;
  *entry.mutable_posture() = record.posture;
  *entry.mutable_load_time() = record.load_time;
  *entry.mutable_start_time() = record.start_time;
  entry.set_restart_count(record.restart_count);
  entry.set_calls_started(record.calls_started);
  entry.set_calls_completed(record.calls_completed);
  entry.set_calls_failed(record.calls_failed);
  entry.set_execution_time_ms_total(record.execution_time_ms_total);
  entry.set_load_order(record.load_order);
  return entry;
}

PluginRecord from_entry(const v1::PluginEntry& entry) {
  PluginRecord record;
  record.id = PluginId(entry.plugin_id());
  record.loaded_shared = std::make_shared<const v1::PluginLoaded>(entry.loaded());
  record.state = static_cast<lifecycle::State>(entry.state());
  record.desired_running = entry.desired_running();
  record.state_reason = entry.state_reason();
  record.state_message = entry.state_message();
  record.instance_id = InstanceId(entry.instance_id());
  record.started = entry.started();
  record.posture = entry.posture();
  record.load_time = entry.load_time();
  record.start_time = entry.start_time();
  record.restart_count = entry.restart_count();
  record.calls_started = entry.calls_started();
  record.calls_completed = entry.calls_completed();
  record.calls_failed = entry.calls_failed();
  record.execution_time_ms_total = entry.execution_time_ms_total();
  record.load_order = entry.load_order();
  return record;
}

StateCopy Registry::copy_state(EventSeq seq) const {
  StateCopy copy;
  copy.state.set_seq(seq);
  copy.state.set_loads(loads_);
  *copy.state.mutable_clock_jump_time() = clock_jump_time_;
  for (const PluginRecord* record : list()) {
    *copy.state.add_plugins() = to_entry(*record);
    copy.loaded.push_back(record->loaded_shared);
  }
  return copy;
}

Result<void> Registry::restore(const v1::KernelState& state) {
  LG_ASSERT(by_id_.empty());
  Registry fresh;
  for (const v1::PluginEntry& entry : state.plugins()) {
    const bool lives = entry.state() > v1::PLUGIN_STATE_UNSPECIFIED && entry.state() < v1::PLUGIN_STATE_UNLOADED;
    auto record = std::make_shared<PluginRecord>(from_entry(entry));
    const bool is_new = !fresh.by_id_.contains(record->id.str()) && !fresh.by_name_.contains(record->name());
    if (!lives || !is_new || record->id.empty() || record->name().empty() || record->load_order <= fresh.loads_) {
      return make_error(Reason::kInvalidArgument, "plugin " + entry.plugin_id() + " contradicts the others");
    }
    fresh.loads_ = record->load_order;
    fresh.by_name_[record->name()] = record.get();
    fresh.by_id_[record->id.str()] = std::move(record);
  }
  if (state.loads() < fresh.loads_) return make_error(Reason::kInvalidArgument, "it counts fewer loads than plugins");
  fresh.loads_ = state.loads();
  fresh.clock_jump_time_ = state.clock_jump_time();
  *this = std::move(fresh);
  return {};
}

v1::KernelState to_message(const StateCopy& copy) {
  v1::KernelState state = copy.state;
  for (int i = 0; i < state.plugins_size(); ++i) {
    *state.mutable_plugins(i)->mutable_loaded() = *copy.loaded[static_cast<std::size_t>(i)];
  }
  return state;
}

std::string canonical_bytes(const v1::KernelState& state) {
  std::string bytes;
  google::protobuf::io::StringOutputStream stream(&bytes);
  google::protobuf::io::CodedOutputStream out(&stream);
  out.SetSerializationDeterministic(true);
  state.SerializeToCodedStream(&out);
  out.Trim();
  return bytes;
}

std::string state_sha256(const v1::KernelState& state) {
  return sha256_hex(canonical_bytes(state));
}

}  // namespace liongate::registry
