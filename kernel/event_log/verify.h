// Reads a whole log and reports every damage it can locate; the part behind `verify` that tests and fuzzers can feed.
//
// Ownership and thread: only reads; any thread. Errors: only where nothing can be read at all.
#pragma once

#include "kernel/event_log/catalog.h"
#include "kernel/event_log/event_log.h"
#include "kernel/event_log/storage.h"

namespace liongate::event_log {

// How much of the last segment is there to judge.
enum class LogState : std::uint8_t {
  kAtRest,   // nobody writes: behind the last commit there are only zeroes, or it is a torn tail
  kWritten,  // somebody writes: what is behind the last commit is none of our business
};

Result<Verification> verify_storage(Storage& storage, LogState state, const Evidence& evidence = {},
                                    const VerifyProgress& progress = {});

}  // namespace liongate::event_log
