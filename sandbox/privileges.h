// Giving up what root may do: all of it in a plugin, most of it in the launcher.
//
// Ownership and thread: act on the calling thread, which must be the only one of its process. errno tells a failure.
#pragma once

#include <cstdint>
#include <initializer_list>

namespace liongate::sandbox {

// Whether `capability` is effective now.
bool has_capability(int capability);

// Empties every capability set, bounding and ambient included, and locks the doors they could come back through.
bool drop_all_capabilities();

// Keeps of the permitted capabilities those listed, in the permitted and effective sets; nothing is inheritable.
bool keep_only(std::initializer_list<int> capabilities);

bool set_no_new_privileges();

// Whether a process can be kept from reading memory by speculation past a store (Spectre variant 4).
enum class SpeculationControl { kDisabled, kNotAffected, kMissing };

// Switches it off for this process and what it will start, for good, where processor and kernel can.
SpeculationControl disable_store_bypass();

}  // namespace liongate::sandbox
