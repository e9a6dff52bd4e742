// The operator's policy file: ordered rules of who is granted what, for all environments and for single ones.
//
// Ownership and thread: plain values and pure functions; load_policy_file opens the one file it is given.
// docs/policy.md is the reference, config/schema/policy.schema.json the machine-readable form. Bounds:
// limits::kPolicyFileBytesMax, and kPolicyRulesMax rules, those of all environments together.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "config/daemon_config.h"
#include "kernel/base/policy_rule.h"
#include "kernel/base/result.h"

namespace liongate::config {

// Parses `text`; `path` is for messages and for the names of rules ("PATH:LINE"). The rules that hold in `environment`,
// its own ones first; all of the file is checked. Every fault is reported, together, as kInvalidConfig: unknown keys,
// wrong types, values out of range, kinds of permission that there are not, keys that contradict each other in a rule,
// and a rule that says the opposite of an earlier one with the same patterns.
Result<std::vector<PolicyRule>> parse_policy_file(std::string_view text, const std::string& path,
                                                  Environment environment);

// Reads the file; one that cannot be read is kInvalidConfig.
Result<std::vector<PolicyRule>> load_policy_file(const std::string& path, Environment environment);

// What the daemon would grant by: `config.policy_file`, else the policy.yaml beside `config_path` if there is one, else
// nothing; only a file that nobody else could have written (trusted_file.h). Fills in config.policy_file and
// config.policy_file_rules. `in_force` is the file whose rules hold until now: one that has gone is an error, for its
// denials would silently go with it.
Result<void> load_policy(const std::string& config_path, DaemonConfig& config, const std::string& in_force = "");

}  // namespace liongate::config
