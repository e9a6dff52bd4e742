// Decides whether a plugin gets the permissions its manifest asks for, before anything of it runs.
//
// Ownership and thread: a plain value of the kernel thread; replaced whole when the configuration is reloaded.
//
// The first rule whose two patterns match decides; what no rule names is refused, except in development. `forbidden`,
// the daemon's own folders, writing what the plugin itself is made of, and variables that steer the loader are refused
// in every environment, whatever the rules say.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/result.h"
#include "liongate/v1/event.pb.h"

namespace liongate::policy {

struct Rule {
  std::string plugin = "*";      // shell glob over the plugin's name
  std::string permission = "*";  // shell glob over the permission in its canonical spelling, KIND[:ARGUMENT]
  bool allow = false;
};

enum class Default { kRefuse, kGrant };

struct Policy {
  std::vector<Rule> rules;
  Default otherwise = Default::kRefuse;
  std::string environment;                     // for messages only
  std::vector<std::string> protected_folders;  // the daemon's own: no fs grant may contain or lie in them
};

// Which permission was refused and by what.
struct Refusal {
  std::string permission;
  std::string rule;  // "forbidden", "protected folder", "own program", "loader variable", "rule 3", "no rule"
  Error error;       // kPermissionDenied
};

// Returns the first refusal, or nothing when every permission is granted. Relative paths are of the plugin's folder.
std::optional<Refusal> refuse(const Policy& policy, const v1::PluginLoaded& loaded);

// True if `text` matches the shell glob `pattern`: * for any run of characters, ? for one.
bool glob_matches(std::string_view pattern, std::string_view text);

}  // namespace liongate::policy
