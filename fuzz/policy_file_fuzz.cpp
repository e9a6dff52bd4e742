// Throws bytes at the parser of policy files, for two environments: they may be refused, in words that fit a log and a
// terminal; a rule that is accepted is one that can be matched and named, and nothing may crash, hang or leak.
#include <cstdint>
#include <string_view>

#include "config/document.h"
#include "config/policy_file.h"
#include "kernel/base/assert.h"
#include "kernel/base/limits.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace liongate;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  for (const auto environment : {config::Environment::kStaging, config::Environment::kProduction}) {
    const Result<std::vector<PolicyRule>> rules = config::parse_policy_file(text, "fuzz", environment);
    if (!rules) {
      LG_ASSERT(!rules.error().message.empty());
      LG_ASSERT(config::is_utf8(rules.error().message));
      continue;
    }
    LG_ASSERT(rules->size() <= limits::kPolicyRulesMax);
    for (const PolicyRule& rule : *rules) {
      LG_ASSERT(rule.name.starts_with("fuzz:") && !rule.permissions.empty());
      LG_ASSERT(!rule.plugin.empty() && !rule.path.empty() && !rule.caller.empty());
      LG_ASSERT(rule.allow ? rule.reason.empty() : rule.limits.empty());
    }
  }
  return 0;
}
