#include "kernel/policy/policy.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "kernel/base/paths.h"

namespace liongate::policy {
namespace {

std::string normalised(const std::string& path, const std::string& folder) {
  const std::filesystem::path given(path);
  std::string text = (given.is_absolute() ? given : std::filesystem::path(folder) / given).lexically_normal().string();
  if (text.size() > 1 && text.back() == '/') text.pop_back();
  return text;
}

Refusal refusal(const std::string& permission, const std::string& rule, const std::string& why,
                const std::string& hint) {
  Error error = make_error(Reason::kPermissionDenied, "permission \"" + permission + "\" is refused: " + why)
                    .with_hint(hint)
                    .with("permission", permission)
                    .with("rule", rule);
  return Refusal{permission, rule, std::move(error)};
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

bool rule_matches(const Rule& rule, const std::string& plugin, const std::vector<std::string>& spellings) {
  if (!glob_matches(rule.plugin, plugin)) return false;
  return std::any_of(spellings.begin(), spellings.end(),
                     [&](const std::string& spelling) { return glob_matches(rule.permission, spelling); });
}

std::optional<Refusal> refuse_protected_path(const Policy& policy, const std::string& permission,
                                             const v1::PluginLoaded& loaded) {
  const std::size_t colon = permission.find(':');
  const std::string kind = permission.substr(0, colon);
  if (kind != "fs_read" && kind != "fs_write") return std::nullopt;
  const std::string path = normalised(colon == std::string::npos ? "" : permission.substr(colon + 1), loaded.folder());
  for (const char* kernel_folder : {"/proc", "/sys", "/dev"}) {
    if (is_same_or_inside(path, kernel_folder)) {
      return refusal(permission, "protected folder", path + " belongs to the operating system",
                     "grant files, not " + path);
    }
  }
  for (const std::string& own : policy.protected_folders) {
    if (is_same_or_inside(path, own) || is_same_or_inside(own, path)) {
      return refusal(permission, "protected folder", path + " overlaps the daemon's own folder " + own,
                     "grant a folder that neither contains nor lies in the daemon's state and socket folders");
    }
  }
  if (kind != "fs_write") return std::nullopt;
  for (const std::string& own : {loaded.manifest_path(), loaded.entry_point_path(), loaded.folder()}) {
    if (own.empty() || !is_same_or_inside(own, path)) continue;
    return refusal(permission, "own program", path + " is or holds the plugin's own program or manifest",
                   "grant a folder below the plugin's, or elsewhere: a plugin never writes what it runs");
  }
  return std::nullopt;
}

// What the dynamic loader and the C library read before a program's first line would let the daemon's surroundings
// choose code for it. The loader is no plugin's business.
std::optional<Refusal> refuse_loader_variable(const std::string& permission) {
  for (const char* prefix : {"env:LD_", "env:GLIBC_TUNABLES", "env:GCONV_PATH", "env:LOCPATH", "env:NLSPATH"}) {
    if (!permission.starts_with(prefix)) continue;
    return refusal(permission, "loader variable", "it steers the loader of every program in the sandbox",
                   "pass what the plugin needs in a variable of its own");
  }
  return std::nullopt;
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

std::optional<Refusal> refuse(const Policy& policy, const v1::PluginLoaded& loaded) {
  for (const std::string& permission : loaded.manifest().permissions()) {
    if (permission == "forbidden" || permission.starts_with("forbidden:")) {
      return refusal(permission, "forbidden", "no policy can grant it", "remove it from the manifest's permissions");
    }
    if (auto found = refuse_protected_path(policy, permission, loaded)) return found;
    if (auto found = refuse_loader_variable(permission)) return found;
    const std::vector<std::string> spellings = spellings_of(permission, loaded.folder());
    bool decided = false;
    for (std::size_t i = 0; i < policy.rules.size() && !decided; ++i) {
      const Rule& rule = policy.rules[i];
      if (!rule_matches(rule, loaded.manifest().name(), spellings)) continue;
      decided = true;
      if (!rule.allow) {
        const std::string name = "rule " + std::to_string(i + 1);
        return refusal(permission, name, "policy " + name + " (" + rule.plugin + ", " + rule.permission + ") denies it",
                       "ask the operator to change the policy, or remove the permission");
      }
    }
    if (!decided && policy.otherwise == Default::kRefuse) {
      return refusal(permission, "no rule", "no policy rule grants it in environment \"" + policy.environment + "\"",
                     "add a rule under `policy:` in the daemon's configuration, or use --environment development");
    }
  }
  return std::nullopt;
}

}  // namespace liongate::policy
