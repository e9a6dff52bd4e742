// A rule of what the operator grants, as a value: what config/ parses and what the kernel's policy decides by.
//
// Ownership and thread: a plain value. It has passed validation when config/ made it; see config/policy_file.h.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace liongate {

// The most that a plugin may state for one limit; `limit` is its name in manifests.
struct LimitCeiling {
  std::string limit;
  std::uint64_t value = 0;

  bool operator==(const LimitCeiling&) const = default;
};

// All patterns are shell globs: * for any run of characters, ? for one.
struct PolicyRule {
  std::string plugin = "*";                   // the plugin's name
  std::vector<std::string> permissions{"*"};  // canonical spelling, KIND[:ARGUMENT]; one that matches is enough
  bool allow = false;
  std::string path = "*";            // the plugin's absolute folder
  std::string caller = "*";          // who loaded it: "uid:1000"
  std::string reason = "";           // shown to whoever is refused; empty: nothing to add
  std::vector<LimitCeiling> limits;  // for what an allowing rule granted something to
  std::string name = "";             // what messages call it, "policy.yaml:12"; empty: by its number

  bool operator==(const PolicyRule&) const = default;
};

}  // namespace liongate
