// The loaded plugins by id and name, built by applying events and by nothing else.
//
// Ownership and thread: owned by the orchestrator, used on the kernel thread alone. Pointers to records stay valid
// until the plugin is unloaded; who needs one for longer shares it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kernel/base/ids.h"
#include "kernel/base/result.h"
#include "kernel/lifecycle/transition.h"
#include "kernel/registry/role.h"
#include "liongate/v1/event.pb.h"
#include "liongate/v1/snapshot.pb.h"

namespace liongate::registry {

struct PluginRecord {
  PluginId id;
  // As the last PluginLoaded or PluginReloaded said. Replaced, never changed: copies of the state share it.
  std::shared_ptr<const v1::PluginLoaded> loaded_shared = std::make_shared<const v1::PluginLoaded>();
  lifecycle::State state = lifecycle::State::kAbsent;
  bool desired_running = false;
  std::string state_reason;
  std::string state_message;
  InstanceId instance_id;
  v1::PluginStarted started;  // what the current instance declared
  v1::Posture posture;
  google::protobuf::Timestamp load_time;
  google::protobuf::Timestamp start_time;
  std::uint32_t restart_count = 0;
  std::uint64_t calls_started = 0;
  std::uint64_t calls_completed = 0;
  std::uint64_t calls_failed = 0;
  double execution_time_ms_total = 0;
  std::uint64_t load_order = 0;

  const v1::PluginLoaded& loaded() const { return *loaded_shared; }
  const std::string& name() const { return loaded().manifest().name(); }
  bool is_observer() const { return registry::is_observer(loaded().manifest()); }
};

// The state at one moment, cheap to make on the kernel thread: what is large in it is shared, not copied.
struct StateCopy {
  v1::KernelState state;                                        // without each plugin's `loaded`
  std::vector<std::shared_ptr<const v1::PluginLoaded>> loaded;  // in the order of state.plugins
};

class Registry {
 public:
  // Applies one event, in the order of the log. An event that is illegal in the present state is kIllegalTransition and
  // changes nothing; events that concern no plugin are accepted and ignored.
  Result<void> apply(const v1::Event& event);

  // Whether apply() would accept it: asked before an event is given to the log, which forgets nothing.
  bool allows(const v1::Event& event) const;

  // What the events up to `seq`, the last one applied, made of it; the open calls are the caller's to add.
  StateCopy copy_state(EventSeq seq) const;

  // Makes an empty registry what a snapshot says. kInvalidArgument, and still empty, where that contradicts itself.
  Result<void> restore(const v1::KernelState& state);

  // When the clock last jumped forward, in the log's time; zero when it did not, or has been set back since.
  const google::protobuf::Timestamp& clock_jump_time() const { return clock_jump_time_; }

  // By id or by name; nullptr when there is none. A UUID is looked up as an id first.
  PluginRecord* find(std::string_view id_or_name);
  const PluginRecord* find(std::string_view id_or_name) const;

  // The record of a loaded plugin, kept by whoever asks even when it is unloaded (its state says so then).
  std::shared_ptr<PluginRecord> share(const PluginId& id) const;

  // In the order in which they were loaded.
  std::vector<const PluginRecord*> list() const;
  std::size_t size() const { return by_id_.size(); }

 private:
  Result<void> step(PluginRecord& record, lifecycle::Trigger trigger);
  Result<void> load(const v1::Event& event);
  Result<void> apply_lifecycle(PluginRecord& record, const v1::Event& event);
  Result<void> reload(PluginRecord& record, const v1::Event& event);
  static void grant(PluginRecord& record, const v1::PermissionsGranted& granted);
  static void override_permission(PluginRecord& record, const v1::PermissionOverridden& overridden);
  void restart_all();

  std::unordered_map<std::string, std::shared_ptr<PluginRecord>> by_id_;
  std::unordered_map<std::string, PluginRecord*> by_name_;
  std::uint64_t loads_ = 0;
  google::protobuf::Timestamp clock_jump_time_;
};

// The record as people see it; live figures (pid, queue) are added by the orchestrator.
v1::Plugin to_message(const PluginRecord& record);

}  // namespace liongate::registry
