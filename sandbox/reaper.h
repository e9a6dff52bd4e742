// pid 1 of a sandbox once its program runs: it reaps, reports how the program ended, and takes all with it.
//
// Ownership and thread: the sandbox's pid 1. Never returns: its end makes the kernel kill whatever is left inside.
#pragma once

#include <sys/types.h>

#include "sandbox/setup_channel.h"

namespace liongate::sandbox {

[[noreturn]] void reap_until_end_of(pid_t program, SetupReporter& reporter);

}  // namespace liongate::sandbox
