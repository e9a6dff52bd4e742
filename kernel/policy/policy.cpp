#include "kernel/policy/policy.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <filesystem>
#include <set>

#include "kernel/base/paths.h"

namespace liongate::policy {
namespace {

using google::protobuf::FieldDescriptor;

std::string normalised(const std::string& path, const std::string& folder) {
  const std::filesystem::path given(path);
  std::string text = (given.is_absolute() ? given : std::filesystem::path(folder) / given).lexically_normal().string();
  if (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

v1::PermissionDecision refused(const std::string& rule, const std::string& why, const std::string& remedy) {
  v1::PermissionDecision decision;
  decision.set_rule(rule);
  decision.set_why(why);
  decision.set_remedy(remedy);
  return decision;
}

// How a permission may be spelled in a rule. Of a path it is what is really mounted that counts: "..", "." and "//"
// name nothing of their own. A path within the plugin's folder also has its relative spelling, ./PATH.
std::vector<std::string> spellings_of(const std::string& permission, const std::string& folder) {
  const std::size_t colon = permission.find(':');
  const std::string kind = permission.substr(0, colon);
  if (colon == std::string::npos || (kind != "fs_read" && kind != "fs_write")) return {permission};
  const std::string path = normalised(permission.substr(colon + 1), folder);
  std::vector<std::string> spellings = {kind + ":" + path};
  if (is_same_or_inside(path, folder) && path != folder)
    spellings.push_back(kind + ":./" + path.substr(folder.size() + 1));
  return spellings;
}

std::optional<v1::PermissionDecision> refuse_protected_path(const Policy& policy, const std::string& permission,
                                                            const v1::PluginLoaded& loaded) {
  const std::size_t colon = permission.find(':');
  const std::string kind = permission.substr(0, colon);
  if (kind != "fs_read" && kind != "fs_write") return std::nullopt;
  const std::string path = normalised(colon == std::string::npos ? "" : permission.substr(colon + 1), loaded.folder());
  for (const char* kernel_folder : {"/proc", "/sys", "/dev"}) {
    if (is_same_or_inside(path, kernel_folder)) {
      return refused("protected folder", path + " belongs to the operating system", "grant files, not " + path);
    }
  }
  for (const std::string& own : policy.protected_folders) {
    if (is_same_or_inside(path, own) || is_same_or_inside(own, path)) {
      return refused("protected folder", path + " overlaps the daemon's own folder " + own,
                     "grant a folder that neither contains nor lies in the daemon's state and socket folders");
    }
  }
  if (kind != "fs_write") return std::nullopt;
  for (const std::string& own : {loaded.manifest_path(), loaded.entry_point_path(), loaded.folder()}) {
    if (own.empty() || !is_same_or_inside(own, path)) continue;
    return refused("own program", path + " is or holds the plugin's own program or manifest",
                   "grant a folder below the plugin's, or elsewhere: a plugin never writes what it runs");
  }
  return std::nullopt;
}

// What the dynamic loader and the C library read before a program's first line would let the daemon's surroundings
// choose code for it. The loader is no plugin's business.
std::optional<v1::PermissionDecision> refuse_loader_variable(const std::string& permission) {
  for (const char* prefix : {"env:LD_", "env:GLIBC_TUNABLES", "env:GCONV_PATH", "env:LOCPATH", "env:NLSPATH"}) {
    if (!permission.starts_with(prefix)) continue;
    return refused("loader variable", "it steers the loader of every program in the sandbox",
                   "pass what the plugin needs in a variable of its own");
  }
  return std::nullopt;
}

// What no rule can grant.
std::optional<v1::PermissionDecision> refuse_always(const Policy& policy, const std::string& permission,
                                                    const v1::PluginLoaded& loaded) {
  if (permission == "forbidden" || permission.starts_with("forbidden:")) {
    return refused("forbidden", "no policy can grant it", "remove it from the manifest's permissions");
  }
  if (auto found = refuse_protected_path(policy, permission, loaded)) return found;
  return refuse_loader_variable(permission);
}

// One plugin before the rules. Those that can concern it are chosen once, not for each of its permissions.
class Judge {
 public:
  Judge(const Policy& policy, const v1::PluginLoaded& loaded) : policy_(policy), loaded_(loaded) {
    for (const PolicyRule& rule : policy.rules) {
      if (glob_matches(rule.plugin, loaded.manifest().name()) && glob_matches(rule.path, loaded.folder()) &&
          glob_matches(rule.caller, loaded.caller())) {
        rules_.push_back(&rule);
      }
    }
  }

  v1::PermissionDecision judge(const std::string& permission) {
    if (auto never = refuse_always(policy_, permission, loaded_)) return std::move(*never);
    const Match match = first_match(spellings_of(permission, loaded_.folder()));
    if (match.rule == nullptr) return judge_unnamed(permission);
    const std::string name = name_of(*match.rule);
    const std::string words = "policy " + name + " (" + match.rule->plugin + ", " + *match.pattern + ") ";
    if (!match.rule->allow) {
      return refused(name, words + "denies it" + (match.rule->reason.empty() ? "" : ": " + match.rule->reason),
                     "remove the permission, or have the operator put a rule that allows it before " + name);
    }
    granting_.insert(match.rule);
    return granted(name, words + "allows it", "a rule that denies it before " + name);
  }

  // A plugin that asks for nothing is still somebody's to bound.
  void judge_nothing() {
    const Match match = first_match({""});
    if (match.rule != nullptr && match.rule->allow) granting_.insert(match.rule);
  }

  // Nothing where no rule that granted something bounds this limit.
  std::optional<v1::LimitDecision> judge_limit(const std::string& limit, std::uint64_t asked) const {
    std::optional<v1::LimitDecision> decision;
    for (const PolicyRule* rule : granting_) {
      for (const LimitCeiling& ceiling : rule->limits) {
        if (ceiling.limit != limit || (decision && decision->ceiling() <= ceiling.value)) continue;
        decision.emplace();
        decision->set_ceiling(ceiling.value);
        decision->set_rule(name_of(*rule));
      }
    }
    if (!decision) return decision;
    decision->set_limit(limit);
    decision->set_asked(asked);
    decision->set_granted(asked <= decision->ceiling());
    const std::uint64_t unstated = unstated_limit(limit);
    const bool default_holds = asked == 0 && unstated != 0 && unstated <= decision->ceiling();
    if (decision->granted() && !default_holds) decision->set_effective(asked != 0 ? asked : decision->ceiling());
    if (!decision->granted()) {
      decision->set_remedy("state at most " + std::to_string(decision->ceiling()) +
                           " in the manifest, or have the operator raise the ceiling of " + decision->rule());
    }
    return decision;
  }

 private:
  struct Match {
    const PolicyRule* rule = nullptr;
    const std::string* pattern = nullptr;
  };

  Match first_match(const std::vector<std::string>& spellings) const {
    for (const PolicyRule* rule : rules_) {
      for (const std::string& pattern : rule->permissions) {
        for (const std::string& spelling : spellings) {
          if (glob_matches(pattern, spelling)) return {rule, &pattern};
        }
      }
    }
    return {};
  }

  v1::PermissionDecision judge_unnamed(const std::string& permission) const {
    for (const v1::PermissionOverride& one : loaded_.overrides()) {
      if (one.permission() != permission || !one.granted()) continue;
      return granted("granted by " + one.actor(), "an operator granted it at run time",
                     "liongatectl revoke-permission " + loaded_.manifest().name() + " " + permission);
    }
    const std::string environment = "environment \"" + policy_.environment + "\"";
    if (policy_.otherwise == Default::kGrant) {
      return granted("default", environment + " grants what no rule names", "a rule that denies it");
    }
    return refused("no rule", "no policy rule grants it in " + environment,
                   "add to the policy: - {plugin: \"" + loaded_.manifest().name() + "\", permission: \"" + permission +
                       "\", allow: true}; or use --environment development");
  }

  static v1::PermissionDecision granted(const std::string& rule, const std::string& why, const std::string& remedy) {
    v1::PermissionDecision decision = refused(rule, why, remedy);
    decision.set_granted(true);
    return decision;
  }

  std::string name_of(const PolicyRule& rule) const {
    return rule.name.empty() ? "rule " + std::to_string(&rule - policy_.rules.data() + 1) : rule.name;
  }

  const Policy& policy_;
  const v1::PluginLoaded& loaded_;
  std::vector<const PolicyRule*> rules_;
  std::set<const PolicyRule*> granting_;  // in the order of the rules
};

// A limit by its name in manifests, whichever width its field has.
std::uint64_t limit_in(const v1::ManifestLimits& limits, const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_UINT32 ? limits.GetReflection()->GetUInt32(limits, &field)
                                                             : limits.GetReflection()->GetUInt64(limits, &field);
}

void set_limit(v1::ManifestLimits& limits, const std::string& name, std::uint64_t value) {
  const FieldDescriptor* field = v1::ManifestLimits::descriptor()->FindFieldByName(name);
  if (field == nullptr) return;
  if (field->cpp_type() == FieldDescriptor::CPPTYPE_UINT32) {
    limits.GetReflection()->SetUInt32(&limits, field, static_cast<std::uint32_t>(value));
  } else {
    limits.GetReflection()->SetUInt64(&limits, field, value);
  }
}

bool holds(const google::protobuf::RepeatedPtrField<std::string>& texts, const std::string& text) {
  return std::find(texts.begin(), texts.end(), text) != texts.end();
}

bool same_grants(const v1::PluginLoaded& a, const v1::PluginLoaded& b) {
  const auto same = [](const v1::PermissionGrant& x, const v1::PermissionGrant& y) {
    return x.permission() == y.permission() && x.rule() == y.rule();
  };
  return std::equal(a.grants().begin(), a.grants().end(), b.grants().begin(), b.grants().end(), same) &&
         a.manifest().limits().SerializeAsString() == b.manifest().limits().SerializeAsString();
}

// What a permission really names: two that mean the same are one.
std::string meaning_of(const std::string& permission, const v1::PluginLoaded& loaded) {
  return spellings_of(permission, loaded.folder()).back();
}

// Where in `permissions` (texts, or messages with a permission) the same is meant; their size where nowhere.
template <typename Permissions, typename TextOf>
int index_of(const Permissions& permissions, const std::string& wanted, const v1::PluginLoaded& loaded,
             TextOf text_of) {
  int i = 0;
  while (i < permissions.size() && meaning_of(text_of(permissions[i]), loaded) != wanted) ++i;
  return i;
}

const std::string& itself(const std::string& text) {
  return text;
}
const std::string& permission_of(const v1::PermissionOverride& one) {
  return one.permission();
}

// What the manifest asks for, whatever became of it at run time.
std::vector<std::string> asked_for(const v1::PluginLoaded& loaded) {
  std::vector<std::string> asked;
  for (const std::string& permission : loaded.manifest().permissions()) {
    const int at = index_of(loaded.overrides(), meaning_of(permission, loaded), loaded, permission_of);
    if (at == loaded.overrides_size() || !loaded.overrides(at).granted()) asked.push_back(permission);
  }
  for (const v1::PermissionOverride& one : loaded.overrides()) {
    if (!one.granted()) asked.push_back(one.permission());
  }
  return asked;
}

// What `of` asks for and `other`, by what it means, does not.
std::vector<std::string> missing_in(const v1::PluginLoaded& other, const v1::PluginLoaded& of) {
  std::set<std::string> known;
  for (const std::string& permission : asked_for(other)) known.insert(meaning_of(permission, other));
  std::vector<std::string> missing;
  for (const std::string& permission : asked_for(of)) {
    if (!known.contains(meaning_of(permission, of))) missing.push_back(permission);
  }
  return missing;
}

}  // namespace

bool glob_matches(std::string_view pattern, std::string_view text) {
  std::size_t p = 0;
  std::size_t t = 0;
  std::size_t star = std::string_view::npos;
  std::size_t retry = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      retry = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p;
      ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++retry;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

v1::PolicyDecision decide(const Policy& policy, const v1::PluginLoaded& loaded) {
  v1::PolicyDecision decision;
  decision.set_environment(policy.environment);
  decision.set_granted(true);
  Judge judge(policy, loaded);
  for (const std::string& permission : loaded.manifest().permissions()) {
    v1::PermissionDecision& one = *decision.add_permissions();
    one = judge.judge(permission);
    one.set_permission(permission);
    if (!one.granted()) decision.set_granted(false);
  }
  if (loaded.manifest().permissions().empty()) judge.judge_nothing();
  for (const v1::PermissionOverride& one : loaded.overrides()) {
    if (one.granted()) continue;
    v1::PermissionDecision& revoked = *decision.add_revoked();
    revoked = refused("revoked by " + one.actor(), "an operator took it away at run time",
                      "liongatectl grant-permission " + loaded.manifest().name() + " " + one.permission());
    revoked.set_permission(one.permission());
  }
  const auto* fields = v1::ManifestLimits::descriptor();
  for (int i = 0; i < fields->field_count(); ++i) {
    const FieldDescriptor& field = *fields->field(i);
    const std::string name(field.name());
    // What an earlier decision lowered was never the plugin's word: it follows the policy of today.
    const bool is_stated = !holds(loaded.limits_by_policy(), name);
    auto one = judge.judge_limit(name, is_stated ? limit_in(loaded.manifest().limits(), field) : 0);
    if (!one) continue;
    if (!one->granted()) decision.set_granted(false);
    *decision.add_limits() = std::move(*one);
  }
  return decision;
}

std::optional<Refusal> refusal_in(const v1::PolicyDecision& decision) {
  const auto refusal = [](const std::string& subject, const std::string& rule, const std::string& message,
                          const std::string& hint) {
    Error error =
        make_error(Reason::kPermissionDenied, message).with_hint(hint).with("permission", subject).with("rule", rule);
    return Refusal{subject, rule, std::move(error)};
  };
  for (const v1::PermissionDecision& one : decision.permissions()) {
    if (one.granted()) continue;
    return refusal(one.permission(), one.rule(), "permission \"" + one.permission() + "\" is refused: " + one.why(),
                   one.remedy());
  }
  for (const v1::LimitDecision& one : decision.limits()) {
    if (one.granted()) continue;
    return refusal("limits." + one.limit(), one.rule(),
                   "limit " + one.limit() + " = " + std::to_string(one.asked()) + " is refused: policy " + one.rule() +
                       " allows at most " + std::to_string(one.ceiling()),
                   one.remedy());
  }
  return std::nullopt;
}

bool write_grants(const v1::PolicyDecision& decision, v1::PluginLoaded& loaded) {
  const v1::PluginLoaded before = loaded;
  v1::ManifestLimits& limits = *loaded.mutable_manifest()->mutable_limits();
  for (const std::string& lowered : loaded.limits_by_policy()) set_limit(limits, lowered, 0);
  loaded.clear_limits_by_policy();
  loaded.clear_grants();
  for (const v1::PermissionDecision& one : decision.permissions()) {
    if (!one.granted()) continue;
    v1::PermissionGrant& grant = *loaded.add_grants();
    grant.set_permission(one.permission());
    grant.set_rule(one.rule());
  }
  for (const v1::LimitDecision& one : decision.limits()) {
    if (one.asked() != 0 || one.effective() == 0) continue;
    set_limit(limits, one.limit(), one.effective());
    loaded.add_limits_by_policy(one.limit());
  }
  return !same_grants(before, loaded);
}

bool override_permission(v1::PluginLoaded& loaded, const std::string& permission, Override what,
                         const std::string& actor) {
  const std::string wanted = meaning_of(permission, loaded);
  auto& permissions = *loaded.mutable_manifest()->mutable_permissions();
  auto& overrides = *loaded.mutable_overrides();
  const int has = index_of(permissions, wanted, loaded, itself);
  if ((has != permissions.size()) == (what == Override::kGrant)) return false;
  if (what == Override::kGrant) {
    *permissions.Add() = permission;
  } else {
    permissions.DeleteSubrange(has, 1);
  }
  // An override of the same permission is of the opposite kind: what it changed is as it was.
  if (const int undone = index_of(overrides, wanted, loaded, permission_of); undone != overrides.size()) {
    overrides.DeleteSubrange(undone, 1);
    return true;
  }
  v1::PermissionOverride& one = *overrides.Add();
  one.set_permission(permission);
  one.set_granted(what == Override::kGrant);
  one.set_actor(actor);
  return true;
}

void carry_overrides(const v1::PluginLoaded& before, v1::PluginLoaded& after) {
  for (const v1::PermissionOverride& one : before.overrides()) {
    override_permission(after, one.permission(), one.granted() ? Override::kGrant : Override::kRevoke, one.actor());
  }
}

bool carries_overrides(const v1::PluginLoaded& before, const v1::PluginLoaded& after) {
  v1::PluginLoaded again = after;
  carry_overrides(before, again);
  if (again.overrides_size() != after.overrides_size()) return false;
  return std::all_of(after.overrides().begin(), after.overrides().end(), [&](const v1::PermissionOverride& one) {
    const int at = index_of(before.overrides(), meaning_of(one.permission(), after), before, permission_of);
    return at != before.overrides_size() && before.overrides(at).granted() == one.granted();
  });
}

PermissionChange compare_permissions(const v1::PluginLoaded& before, const v1::PluginLoaded& after) {
  return {missing_in(before, after), missing_in(after, before)};
}

std::optional<Refusal> refuse(const Policy& policy, const v1::PluginLoaded& loaded) {
  return refusal_in(decide(policy, loaded));
}

}  // namespace liongate::policy
