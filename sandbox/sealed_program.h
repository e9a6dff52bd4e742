// Running from a sealed copy in memory instead of from a file.
//
// /proc/PID/exe is a door to the file a process runs: who gets hold of it and may write there has the next start run
// what he wants, on the host (CVE-2019-5736). Behind the launcher's and every reaper's there is only memory that nobody
// can change, not even root.
//
// Ownership and thread: called by the launcher's main before anything else.
#pragma once

namespace liongate::sandbox {

// Whether the present program runs from memory that is sealed against every change.
bool runs_from_sealed_memory();

// Executes the present program again from such a copy, once: the second time, and where the host has no such memory
// (vm.memfd_noexec), it returns and the program goes on from its file. `arguments` as main got them.
void move_to_sealed_memory(char* const* arguments);

}  // namespace liongate::sandbox
