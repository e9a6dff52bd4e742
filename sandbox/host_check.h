// What this host can give, found out by doing it in trial processes rather than by asking for version numbers.
//
// Ownership and thread: runs in a process forked from the launcher for this purpose; never returns.
#pragma once

#include "sandbox/host_facts.h"
#include "sandbox/launch_protocol.h"

namespace liongate::sandbox {

// Tries every mechanism, sends the encoded HostReport to `socket` and ends.
[[noreturn]] void answer_host_check(int socket, const HostFacts& host);

// Says in the rows of what is missing which the operator accepts; such a one is mandatory no more.
void mark_accepted(HostReport& report, const HostFacts& host);

// Tries every mechanism.
HostReport check_host(const HostFacts& host);

}  // namespace liongate::sandbox
