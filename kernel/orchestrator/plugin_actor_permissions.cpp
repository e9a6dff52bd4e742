// What the policy of today says to a plugin at its start, and what an operator changes of it. Declared in
// plugin_actor.h.
#include <algorithm>

#include "kernel/orchestrator/plugin_actor.h"

namespace liongate::orchestrator {
namespace {

v1::PermissionsGranted granted_in(const v1::PluginLoaded& loaded) {
  v1::PermissionsGranted granted;
  *granted.mutable_grants() = loaded.grants();
  *granted.mutable_limits() = loaded.manifest().limits();
  *granted.mutable_limits_by_policy() = loaded.limits_by_policy();
  return granted;
}

}  // namespace

Result<void> PluginActor::refuse(policy::Refusal refusal, const char* action, const std::string& actor) {
  v1::Event denial = plugin_event("PermissionDenied", record_, actor);
  fill_denial(denial, refusal, action);
  LG_TRY(context_.journal.record_state(denial));
  return std::move(refusal.error);
}

Result<void> PluginActor::ask_policy(const std::string& actor) {
  const v1::PolicyDecision decision = policy::decide(context_.settings.policy, record_.loaded());
  if (auto refusal = policy::refusal_in(decision)) return refuse(std::move(*refusal), "start", actor);
  v1::PluginLoaded granted = record_.loaded();
  if (!policy::write_grants(decision, granted)) return {};
  v1::Event event = plugin_event("PermissionsGranted", record_, actor);
  *event.mutable_permissions_granted() = granted_in(granted);
  LG_TRY(context_.journal.record_state(event));
  return {};
}

void PluginActor::override_permission(std::string permission, policy::Override what, const std::string& actor,
                                      Done done) {
  submit(
      [this, permission = std::move(permission), what, actor](const Done& finish) {
        const Result<EventSeq> recorded = record_override(permission, what, actor);
        if (recorded) {
          done_when_durable(*recorded, finish);
        } else {
          finish(recorded.error());
        }
      },
      std::move(done));
}

void PluginActor::narrow_network(const v1::Manifest& manifest) {
  calls_.narrow_network(manifest);
  if (instance_) instance_->narrow_network(manifest);
  for (const auto& old : draining_) old->narrow_network(manifest);
}

Result<EventSeq> PluginActor::record_override(const std::string& permission, policy::Override what,
                                              const std::string& actor) {
  const bool grants = what == policy::Override::kGrant;
  v1::PluginLoaded changed = record_.loaded();
  if (!policy::override_permission(changed, permission, what, actor)) {
    return make_error(Reason::kInvalidArgument, "plugin " + record_.name() + " has " + (grants ? "" : "no ") +
                                                    "permission \"" + permission + "\"" + (grants ? " already" : ""))
        .with_hint("`liongatectl list-permissions` shows what it has");
  }
  if (static_cast<std::size_t>(changed.manifest().permissions_size()) > limits::kPermissionsMax) {
    return make_error(
        Reason::kInvalidArgument,
        "plugin " + record_.name() + " has " + std::to_string(limits::kPermissionsMax) + " permissions: no more fit");
  }
  const v1::PolicyDecision decision = policy::decide(context_.settings.policy, changed);
  if (grants) {
    // Only the new one is at stake here: the others are asked for again at the next start.
    v1::PolicyDecision alone;
    *alone.add_permissions() = *decision.permissions().rbegin();
    if (auto refusal = policy::refusal_in(alone)) {
      LG_TRY(refuse(std::move(*refusal), "grant", actor));
    }
  }
  policy::write_grants(decision, changed);
  v1::Event event = plugin_event("PermissionOverridden", record_, actor);
  v1::PermissionOverridden& overridden = *event.mutable_permission_overridden();
  overridden.set_permission(permission);
  overridden.set_granted(grants);
  *overridden.mutable_permissions() = changed.manifest().permissions();
  *overridden.mutable_overrides() = changed.overrides();
  *overridden.mutable_outcome() = granted_in(changed);
  const Result<EventSeq> recorded = context_.journal.record_state(event);
  // What the network gate can take away is gone at once, from calls that run as well; the rest needs a start.
  if (recorded && !grants) narrow_network(changed.manifest());
  return recorded;
}

}  // namespace liongate::orchestrator
