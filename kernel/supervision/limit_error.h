// Whether a process ended because of a limit, said only where the host knows it: the kernel told us, or we measured.
//
// A limit that is kept by rlimits alone is told by the kernel to the program only (ENOMEM, EAGAIN, EMFILE, ENOSPC):
// what the program then does is its own end, and is not turned into a guess here.
//
// Ownership and thread: pure functions.
#pragma once

#include <optional>
#include <string>

#include "kernel/supervision/plugin_exit.h"
#include "liongate/v1/manifest.pb.h"

namespace liongate::supervision {

// A command's CPU time is that of one call; an instance's is that of many.
enum class CpuTimeOf : std::uint8_t { kOneCall, kManyCalls };

// kLimitExceeded with metadata limit, limit_value and used; nothing where no limit is known to be the cause. `subject`
// begins the message, e.g. "command hello".
std::optional<Error> limit_error(const std::string& subject, const PluginExit& exit, const v1::ManifestLimits& limits,
                                 CpuTimeOf cpu_time_of);

// The same with the figures at hand.
Error make_limit_error(std::string message, const std::string& limit, std::uint64_t limit_value, std::uint64_t used);

// Adds what may help where memory is kept by rlimits alone and the process was near its limit when it died.
Error with_memory_hint(Error error, const PluginExit& exit, const v1::ManifestLimits& limits);

}  // namespace liongate::supervision
