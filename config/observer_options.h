// Reads what an observer is shown and how it is fed: the same keys in a manifest's [observer], in an entry of
// plugins.yaml and in its defaults.
//
// Ownership and thread: a pure function over a parsed table; any thread. Faults are added to the reader's list.
#pragma once

#include "config/faults.h"
#include "kernel/base/manifest.h"

namespace liongate::config {

inline constexpr std::size_t kEventTypeBytesMax = 64;

// Keys: filter {types, plugin, correlation_id}, start, ack_timeout_ms, retries, on_error. What is not there keeps the
// value that `options` has.
void read_observer_options(TableReader& reader, FaultList& faults, ObserverOptions& options);

}  // namespace liongate::config
