// Decides whether a plugin gets the permissions its manifest asks for, before anything of it runs.
//
// Ownership and thread: a plain value of the kernel thread, replaced whole when the configuration is read again; pure
// functions, which liongatectl calls too (test-policy).
//
// The first rule whose patterns all match decides; what no rule names is refused, except in development. `forbidden`,
// the daemon's own folders, writing what the plugin itself is made of, and variables that steer the loader are refused
// in every environment, whatever the rules say.
//
// Ceilings: the rules that granted a plugin something bound its limits, the lowest ceiling holds. A plugin that asks
// for nothing has those of the first rule for it whose permission is "*". A limit above its ceiling is refused; one
// that the manifest does not state is lowered to it, never raised.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernel/base/policy_rule.h"
#include "kernel/base/result.h"
#include "liongate/v1/event.pb.h"

namespace liongate::policy {

enum class Default { kRefuse, kGrant };

struct Policy {
  std::vector<PolicyRule> rules;
  Default otherwise = Default::kRefuse;
  std::string environment;                     // for messages only
  std::vector<std::string> protected_folders;  // the daemon's own: no fs grant may contain or lie in them
};

// What a plugin gets of a limit that nobody states; a limit that is not here then has no bound. The daemon checks that
// these are what the launcher and the calls really apply.
inline constexpr std::array kUnstatedLimits{
    std::pair{std::string_view("memory_bytes_max"), std::uint64_t{4} << 30U},
    std::pair{std::string_view("file_size_bytes_max"), std::uint64_t{1} << 30U},
    std::pair{std::string_view("processes_max"), std::uint64_t{256}},
    std::pair{std::string_view("open_files_max"), std::uint64_t{1024}},
    std::pair{std::string_view("tmp_bytes_max"), std::uint64_t{64} << 20U},
    std::pair{std::string_view("tmp_files_max"), std::uint64_t{16} << 10U},
    std::pair{std::string_view("output_bytes_max"), std::uint64_t{16} << 20U},
};
constexpr std::uint64_t unstated_limit(std::string_view name) {
  for (const auto& [limit, value] : kUnstatedLimits) {
    if (limit == name) return value;
  }
  return 0;
}

// Which permission was refused and by what.
struct Refusal {
  std::string permission;  // or "limits.NAME"
  std::string rule;  // "forbidden", "protected folder", "own program", "loader variable", "rule 3", "no rule", ...
  Error error;       // kPermissionDenied
};

// What the policy says to everything that `loaded` asks for. Relative paths are of the plugin's folder.
v1::PolicyDecision decide(const Policy& policy, const v1::PluginLoaded& loaded);

// The first refusal of a decision, or nothing when everything is granted.
std::optional<Refusal> refusal_in(const v1::PolicyDecision& decision);

// Writes what a decision grants into what it is about: grants, and limits lowered to their ceilings. Returns whether
// that changed anything.
bool write_grants(const v1::PolicyDecision& decision, v1::PluginLoaded& loaded);

// What an operator changes at run time. Grants a permission that `loaded` has not, or revokes one that it has, and
// keeps who did; undoing the opposite leaves no trace. False, and nothing changed, where it has it already or has it
// not.
enum class Override { kGrant, kRevoke };
bool override_permission(v1::PluginLoaded& loaded, const std::string& permission, Override what,
                         const std::string& actor);

// Makes the overrides of `before` those of `after`, as it was read from its files; what its manifest now says by itself
// needs none any more.
void carry_overrides(const v1::PluginLoaded& before, v1::PluginLoaded& after);

// Whether `after` is as carry_overrides leaves it: nothing was overridden, or undone, since.
bool carries_overrides(const v1::PluginLoaded& before, const v1::PluginLoaded& after);

// The permissions that the manifest of `after` asks for and that of `before` did not, and the other way round, in the
// order of the manifests; overrides are no requests. A path is compared as it would be mounted, so that a manifest that
// moved asks for what it names now.
struct PermissionChange {
  std::vector<std::string> added;
  std::vector<std::string> removed;
};
PermissionChange compare_permissions(const v1::PluginLoaded& before, const v1::PluginLoaded& after);

// decide() and refusal_in() in one.
std::optional<Refusal> refuse(const Policy& policy, const v1::PluginLoaded& loaded);

// True if `text` matches the shell glob `pattern`: * for any run of characters, ? for one.
bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace liongate::policy
