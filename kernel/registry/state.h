// The registry as a message and back: for snapshots, and for the hash by which two states are held against each other.
//
// Ownership and thread: pure functions over values; any thread. `to_message` is where the copying is done that the
// kernel thread was spared. Errors: none; a state that contradicts itself is refused by Registry::restore.
#pragma once

#include <string>

#include "kernel/registry/registry.h"

namespace liongate::registry {

v1::KernelState to_message(const StateCopy& copy);

// The canonical form (proto/liongate/v1/snapshot.proto): equal states have equal bytes.
std::string canonical_bytes(const v1::KernelState& state);

// SHA-256 of the canonical form, hexadecimal.
std::string state_sha256(const v1::KernelState& state);

v1::PluginEntry to_entry(const PluginRecord& record);  // without `loaded`
PluginRecord from_entry(const v1::PluginEntry& entry);

}  // namespace liongate::registry
