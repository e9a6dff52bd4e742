// Loads plugins: inspects the files, asks the policy, starts the process, and registers it only when it said Ready.
//
// Ownership and thread: owned by the orchestrator; kernel thread. Loads of different names run side by side; a name
// that is being loaded is taken. A load that fails leaves one PluginLoadFailed in the log and nothing in the registry.
// What replaces a loaded plugin and asks for permissions that this one did not ask for is refused (kPermissionDenied)
// unless the request says that they are accepted.
// An entry of plugins.yaml is registered before it is started, and registered as FAILED where that cannot be: whoever
// wrote the entry finds it in the list of plugins with what is wrong with it. `done` then gets the error.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "kernel/orchestrator/instance_start.h"
#include "kernel/orchestrator/kernel_context.h"

namespace liongate::orchestrator {

enum class OnDuplicate { kRefuse, kReplace };
enum class AfterLoad { kStart, kLeaveStopped };
// Whether whoever replaces a plugin accepts that it asks for more than before.
enum class Consent { kNotGiven, kGiven };

struct LoadRequest {
  registry::PluginSource source;
  OnDuplicate on_duplicate = OnDuplicate::kRefuse;
  AfterLoad after_load = AfterLoad::kStart;
  Consent consent = Consent::kNotGiven;
  std::string actor;
  std::function<void()> on_registered;  // of an entry of plugins.yaml: it is in the list of plugins; may be null
};

// What the loader needs of the orchestrator: the plugins at work.
class PluginHost {
 public:
  virtual ~PluginHost() = default;
  // PluginLoaded was just recorded for `id`: makes its actor.
  virtual PluginActor& add_plugin(const PluginId& id, std::shared_ptr<supervision::PluginLog> log) = 0;
  // By id or name; nullptr when there is none.
  virtual PluginActor* find_plugin(std::string_view id_or_name) = 0;
};

class Loader {
 public:
  using Done = std::function<void(Result<PluginId>)>;

  Loader(KernelContext& context, PluginHost& host) : context_(context), host_(host) {}
  ~Loader();

  void load(LoadRequest request, Done done);

  // Reads the plugin's manifest and files again and reloads it under its id.
  void reload(PluginActor& plugin, uid_t caller_uid, const std::string& actor, Consent consent, Done done);

  // Kills what is being loaded; their `done` is called with kShuttingDown.
  void shut_down();

 private:
  struct Load;

  void on_inspected(const std::shared_ptr<Load>& load, Result<v1::PluginLoaded> inspected);
  Result<void> check(Load& load);
  Result<void> check_policy(Load& load);
  std::optional<policy::Refusal> ask_consent(Load& load);
  void start(const std::shared_ptr<Load>& load);
  void launch(const std::shared_ptr<Load>& load, SecretDelivery::Values secrets);
  void register_plugin(const std::shared_ptr<Load>& load, std::optional<ReadyInstance> ready);
  void start_listed(const std::shared_ptr<Load>& load, PluginActor& plugin);
  bool fail_listed(const std::shared_ptr<Load>& load, const Error& error);
  void enroll(const Load& load, EventSeq loaded_seq);
  void fail(const std::shared_ptr<Load>& load, Error error);
  void replace(const std::shared_ptr<Load>& load, PluginActor& plugin);

  KernelContext& context_;
  PluginHost& host_;
  std::set<std::string> names_being_loaded_;
  std::set<std::shared_ptr<Load>> loads_;
};

}  // namespace liongate::orchestrator
