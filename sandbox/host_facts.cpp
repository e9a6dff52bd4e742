#include "sandbox/host_facts.h"

#include "sandbox/landlock.h"

namespace liongate::sandbox {

HostFacts find_host_facts() {
  HostFacts facts;
  facts.mode = detect_host_mode();
  facts.landlock_abi = landlock_abi();
  return facts;
}

}  // namespace liongate::sandbox
