#include "sandbox/host_facts.h"

#include <algorithm>

#include "sandbox/landlock.h"
#include "sandbox/privileged_groups.h"
#include "sandbox/sealed_program.h"

namespace liongate::sandbox {

bool HostFacts::is_allowed_degraded(std::string_view row) const {
  std::string name(row);
  std::ranges::replace_if(
      name, [](char character) { return character == ' ' || character == '-'; }, '_');
  return std::ranges::find(allow_degraded, name) != allow_degraded.end();
}

HostFacts find_host_facts(std::string_view allow_degraded) {
  HostFacts facts;
  facts.mode = detect_host_mode();
  facts.landlock_abi = landlock_abi();
  facts.runs_from_sealed_memory = runs_from_sealed_memory();
  if (facts.mode == HostMode::kRootless) facts.privileged_groups = privileged_groups();
  while (!allow_degraded.empty()) {
    facts.allow_degraded.emplace_back(allow_degraded.substr(0, allow_degraded.find(',')));
    allow_degraded.remove_prefix(std::min(allow_degraded.size(), facts.allow_degraded.back().size() + 1));
  }
  return facts;
}

}  // namespace liongate::sandbox
