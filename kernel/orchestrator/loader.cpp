#include "kernel/orchestrator/loader.h"

#include <algorithm>
#include <charconv>

#include "kernel/base/utf8.h"
#include "kernel/orchestrator/plugin_actor.h"

namespace liongate::orchestrator {

// One load under way.
struct Loader::Load {
  LoadRequest request;
  Done done;
  v1::PluginLoaded loaded;
  PluginId id = PluginId::make();
  std::shared_ptr<supervision::PluginLog> log;
  std::shared_ptr<InstanceStart> start;
  v1::Posture command_posture;  // of its trial
  std::string reserved_name;
};

Loader::~Loader() {
  for (const auto& load : loads_) {
    if (load->start) load->start->cancel();
  }
}

void Loader::load(LoadRequest request, Done done) {
  auto load = std::make_shared<Load>();
  load->request = std::move(request);
  load->done = std::move(done);
  loads_.insert(load);
  if (context_.journal.read_only()) {
    fail(load, make_error(Reason::kLogReadOnly, "the event log takes no new work: the disk is full")
                   .with_hint("free space on the file system of the event log; it goes on by itself"));
    return;
  }
  context_.inspector.inspect(load->request.source, [this, load](Result<v1::PluginLoaded> inspected) {
    if (loads_.contains(load)) on_inspected(load, std::move(inspected));
  });
}

void Loader::on_inspected(const std::shared_ptr<Load>& load, Result<v1::PluginLoaded> inspected) {
  if (!inspected) {
    fail(load, std::move(inspected).error());
    return;
  }
  load->loaded = std::move(*inspected);
  load->loaded.set_start(load->request.after_load == AfterLoad::kStart);
  load->loaded.set_caller(load->request.actor);
  if (Result<void> checked = check(*load); !checked) {
    fail(load, std::move(checked).error());
    return;
  }
  const std::string& name = load->loaded.manifest().name();
  if (PluginActor* present = host_.find_plugin(name)) {
    replace(load, *present);
    return;
  }
  names_being_loaded_.insert(name);
  load->reserved_name = name;
  start(load);
}

Result<void> Loader::check(Load& load) {
  // Events are protobuf, whose texts are UTF-8; and a path that was mended would name another file.
  for (const std::string* path :
       {&load.loaded.folder(), &load.loaded.entry_point_path(), &load.loaded.manifest_path()}) {
    if (is_utf8(*path)) continue;
    return make_error(Reason::kUnsafeFolder, "the path " + to_utf8(*path) + " is not UTF-8")
        .with_hint("rename the folder or file");
  }
  const std::string& name = load.loaded.manifest().name();
  const bool is_observer = registry::is_observer(load.loaded.manifest());
  if (is_observer && context_.observation == nullptr) {
    return make_error(Reason::kUnimplemented, "observers are not offered here");
  }
  if (const auto* loaded = context_.registry.find(name); loaded != nullptr && loaded->is_observer() != is_observer) {
    return make_error(load.request.source.listing ? Reason::kDuplicatePlugin : Reason::kInvalidManifest,
                      "plugin \"" + name + "\" is loaded with another role")
        .with_hint("unload it first, or choose another name");
  }
  if (names_being_loaded_.contains(name)) {
    return make_error(Reason::kDuplicatePlugin, "plugin \"" + name + "\" is being loaded by somebody else");
  }
  const bool present = context_.registry.find(name) != nullptr;
  if (present && load.request.on_duplicate == OnDuplicate::kRefuse) {
    return make_error(Reason::kDuplicatePlugin, "plugin \"" + name + "\" is loaded already")
        .with_hint("use --replace to take over its id, or reload-plugin to read its files again")
        .with("plugin_id", context_.registry.find(name)->id.str());
  }
  if (!present && context_.registry.size() + names_being_loaded_.size() >= limits::kPluginsMax) {
    return make_error(Reason::kQueueFull, std::to_string(limits::kPluginsMax) + " plugins are loaded: no more fit");
  }
  return check_policy(load);
}

std::optional<policy::Refusal> Loader::ask_consent(Load& load) {
  const registry::PluginRecord* present = context_.registry.find(load.loaded.manifest().name());
  if (present == nullptr) return std::nullopt;
  const policy::PermissionChange change = policy::compare_permissions(present->loaded(), load.loaded);
  if (change.added.empty()) return std::nullopt;
  if (load.request.consent == Consent::kGiven) {
    for (const std::string& permission : change.added) load.loaded.add_accepted_permissions(permission);
    return std::nullopt;
  }
  const auto joined = [](const std::vector<std::string>& texts) {
    std::string out;
    for (const std::string& text : texts) out += (out.empty() ? "" : ", ") + text;
    return out;
  };
  std::string message = "it asks for permissions that it did not ask for before: " + joined(change.added);
  if (!change.removed.empty()) message += " (and no longer for " + joined(change.removed) + ")";
  Error error = make_error(Reason::kPermissionDenied, std::move(message))
                    .with_hint("look at what is new, then repeat it with --accept-permissions")
                    .with("rule", "consent")
                    .with("added", joined(change.added))
                    .with("removed", joined(change.removed));
  return policy::Refusal{joined(change.added), "consent", std::move(error)};
}

Result<void> Loader::check_policy(Load& load) {
  if (const registry::PluginRecord* present = context_.registry.find(load.loaded.manifest().name())) {
    policy::carry_overrides(present->loaded(), load.loaded);
  }
  const v1::PolicyDecision decision = policy::decide(context_.settings.policy, load.loaded);
  auto refusal = policy::refusal_in(decision);
  if (!refusal) refusal = ask_consent(load);
  if (!refusal) {
    policy::write_grants(decision, load.loaded);
    return context_.secrets.learn(load.loaded.manifest());  // before anything of it runs
  }
  v1::Event event;
  fill_denial(event, *refusal, "load");
  event.set_plugin_name(load.loaded.manifest().name());
  event.set_actor(load.request.actor);
  LG_TRY(context_.journal.record_state(event));
  return std::move(refusal->error).in("plugin " + load.loaded.manifest().name());
}

void Loader::replace(const std::shared_ptr<Load>& load, PluginActor& plugin) {
  const PluginId id = plugin.record().id;
  plugin.reload(load->loaded, load->request.actor, [this, load, id](Result<void> reloaded) {
    if (!loads_.contains(load)) return;
    if (!reloaded) {
      fail(load, std::move(reloaded).error());
      return;
    }
    loads_.erase(load);
    load->done(id);
  });
}

void Loader::start(const std::shared_ptr<Load>& load) {
  load->log = make_plugin_log(context_);
  if (load->request.after_load == AfterLoad::kLeaveStopped || load->request.source.listing) {
    register_plugin(load, std::nullopt);
    return;
  }
  context_.secret_delivery.fetch(load->loaded.manifest(), [this, load](Result<SecretDelivery::Values> secrets) {
    if (!loads_.contains(load)) return;
    if (secrets) {
      launch(load, std::move(*secrets));
    } else {
      fail(load, std::move(secrets).error());
    }
  });
}

void Loader::launch(const std::shared_ptr<Load>& load, SecretDelivery::Values secrets) {
  if (load->loaded.manifest().runtime() == "command") {
    // Nothing of it runs before the first call; what that would fail by fails the load.
    context_.launcher.try_command(load->loaded, [this, load](Result<v1::Posture> posture) {
      if (!loads_.contains(load)) return;
      if (!posture) {
        fail(load, std::move(posture).error());
      } else {
        load->command_posture = std::move(*posture);
        register_plugin(load, std::nullopt);
      }
    });
    return;
  }
  load->start = std::make_shared<InstanceStart>(context_.io, context_.launcher, context_.clock, load->log);
  v1::Event origin;
  origin.set_plugin_id(load->id.str());
  origin.set_plugin_name(load->loaded.manifest().name());
  origin.set_instance_id(load->start->instance_id().str());
  origin.set_actor(load->request.actor);
  if (auto recorded = context_.secret_delivery.record(origin, secrets, kDeliveredAsFile); !recorded) {
    load->start.reset();
    fail(load, std::move(recorded).error());
    return;
  }
  load->start->begin({load->id.str(), &load->loaded, context_.settings.ready_timeout_ms, std::move(secrets),
                      context_.journal.log().node_id()},
                     [this, load](Result<ReadyInstance> ready) {
                       if (!loads_.contains(load)) return;
                       if (!ready) {
                         fail(load, std::move(ready).error());
                       } else {
                         register_plugin(load, std::move(*ready));
                       }
                     });
}

void Loader::register_plugin(const std::shared_ptr<Load>& load, std::optional<ReadyInstance> ready) {
  names_being_loaded_.erase(load->reserved_name);
  load->reserved_name.clear();
  load->start.reset();  // from here on the process is the plugin's: a shutdown must not take it from under the actor
  v1::Event event;
  event.set_type("PluginLoaded");
  event.set_plugin_id(load->id.str());
  event.set_plugin_name(load->loaded.manifest().name());
  event.set_actor(load->request.actor);
  *event.mutable_plugin_loaded() = load->loaded;
  // What adopt() records behind it asks for the sync of all.
  const auto sync = load->loaded.start() ? event_log::SyncClass::kEventually : event_log::SyncClass::kNow;
  const Result<EventSeq> recorded = context_.journal.record(event, sync, event_log::RecordUse::kNewWork);
  if (!recorded) {
    if (ready) ready->instance->abandon();
    fail(load, recorded.error());
    return;
  }
  PluginActor& plugin = host_.add_plugin(load->id, load->log);
  enroll(*load, *recorded);
  if (load->request.on_registered) load->request.on_registered();
  if (load->request.source.listing && load->loaded.start()) {
    start_listed(load, plugin);
    return;
  }
  const auto finish = [this, load](Result<void> started) {
    if (!loads_.contains(load)) return;
    if (!started) {
      fail(load, std::move(started).error());
      return;
    }
    loads_.erase(load);
    load->done(load->id);
  };
  if (ready) {
    plugin.adopt(std::move(*ready), load->request.actor);
    context_.journal.when_durable(context_.journal.last_seq(), [finish] { finish({}); });
  } else if (load->loaded.start()) {
    plugin.adopt_command(load->request.actor, load->command_posture);
    context_.journal.when_durable(context_.journal.last_seq(), [finish] { finish({}); });
  } else {
    context_.journal.when_durable(*recorded, [finish] { finish({}); });
  }
}

// Where a new observer begins.
void Loader::enroll(const Load& load, EventSeq loaded_seq) {
  if (!registry::is_observer(load.loaded.manifest()) || context_.observation == nullptr) return;
  const std::string& start = load.loaded.manifest().observer().start();
  EventSeq seq = loaded_seq;
  if (start == "beginning") {
    seq = std::max<EventSeq>(context_.journal.log().first_seq(), 1) - 1;
  } else if (!start.empty() && start != "now") {
    EventSeq first = 0;
    std::from_chars(start.data(), start.data() + start.size(), first);
    seq = std::min(std::max<EventSeq>(first, 1) - 1, loaded_seq);  // what is to come is not skipped
  }
  context_.observation->enroll(load.id.str(), seq);
}

void Loader::start_listed(const std::shared_ptr<Load>& load, PluginActor& plugin) {
  plugin.start(load->request.actor, [this, load](Result<void> started) {
    if (loads_.erase(load) == 0) return;
    if (started) {
      load->done(load->id);
    } else {
      load->done(std::move(started).error());
    }
  });
}

// Registers what did not come far enough to be started. False where that cannot be: the name is taken, as by an entry's
// own earlier form, which goes on.
bool Loader::fail_listed(const std::shared_ptr<Load>& load, const Error& error) {
  if (!load->request.source.listing) return false;
  const v1::PluginListing& listing = *load->request.source.listing;
  v1::Manifest& manifest = *load->loaded.mutable_manifest();
  manifest.set_name(listing.id());
  manifest.set_role("observer");
  // Where it begins counts from now on, also if it starts much later.
  if (!manifest.has_observer()) *manifest.mutable_observer() = listing.observer();
  *load->loaded.mutable_listing() = listing;
  load->loaded.set_start(false);
  v1::Event event;
  event.set_type("PluginLoaded");
  event.set_plugin_id(load->id.str());
  event.set_plugin_name(listing.id());
  event.set_actor(load->request.actor);
  *event.mutable_plugin_loaded() = load->loaded;
  const bool has_room = context_.registry.size() + names_being_loaded_.size() < limits::kPluginsMax;
  if (!has_room || names_being_loaded_.contains(listing.id())) return false;
  const Result<EventSeq> recorded = context_.journal.record_state(event, event_log::SyncClass::kEventually);
  if (!recorded) return false;
  loads_.erase(load);
  enroll(*load, *recorded);
  PluginActor& plugin = host_.add_plugin(load->id, std::make_shared<supervision::PluginLog>(context_.clock));
  if (load->request.on_registered) load->request.on_registered();
  plugin.fail_at_load(error, [load, error](const Result<void>&) { load->done(error); });
  return true;
}

void Loader::fail(const std::shared_ptr<Load>& load, Error error) {
  if (!load->reserved_name.empty()) names_being_loaded_.erase(load->reserved_name);
  if (fail_listed(load, error)) return;
  loads_.erase(load);
  v1::Event event;
  event.set_type("PluginLoadFailed");
  event.set_plugin_name(load->loaded.manifest().name());
  event.set_actor(load->request.actor);
  v1::PluginLoadFailed& failed = *event.mutable_plugin_load_failed();
  failed.set_manifest_path(to_utf8(load->request.source.manifest_path));
  failed.set_reason(std::string(error.reason_name()));
  failed.set_message(to_utf8(error.message));
  // What was wrong is told when the log can prove it; where the log itself is the trouble, at once.
  const Result<EventSeq> recorded =
      context_.journal.record(event, event_log::SyncClass::kNow, event_log::RecordUse::kNewWork);
  if (!recorded) {
    load->done(std::move(error));
    return;
  }
  context_.journal.when_durable(*recorded, [load, error = std::move(error)] { load->done(error); });
}

void Loader::reload(PluginActor& plugin, uid_t caller_uid, const std::string& actor, Consent consent, Done done) {
  LoadRequest request;
  request.source.manifest_path = plugin.record().loaded().manifest_path();
  request.source.manifest = plugin.record().loaded().manifest();
  request.source.folder = plugin.record().loaded().folder();
  request.source.caller_uid = caller_uid;
  if (plugin.record().loaded().has_listing()) request.source.listing = plugin.record().loaded().listing();
  request.on_duplicate = OnDuplicate::kReplace;
  request.consent = consent;
  request.actor = actor;
  const std::string name = plugin.record().name();
  auto load = std::make_shared<Load>();
  load->request = std::move(request);
  load->done = std::move(done);
  loads_.insert(load);
  context_.inspector.inspect(load->request.source, [this, load, name](Result<v1::PluginLoaded> inspected) {
    if (!loads_.contains(load)) return;
    if (inspected && inspected->manifest().name() != name) {
      fail(load, make_error(Reason::kInvalidManifest, "the manifest's name is now \"" + inspected->manifest().name() +
                                                          "\", it was \"" + name + "\"")
                     .with_hint("a reload keeps the name; load the new name as a plugin of its own"));
      return;
    }
    if (inspected && host_.find_plugin(name) == nullptr) {
      fail(load, make_error(Reason::kPluginNotFound, "plugin " + name + " was unloaded meanwhile"));
      return;
    }
    on_inspected(load, std::move(inspected));
  });
}

void Loader::shut_down() {
  for (const auto& load : std::exchange(loads_, {})) {
    if (load->start) load->start->cancel();
    load->done(make_error(Reason::kShuttingDown, "the daemon is shutting down"));
  }
}

}  // namespace liongate::orchestrator
