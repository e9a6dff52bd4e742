// How a plugin's process ended: a different type from Error, which says what failed in us.
//
// Ownership and thread: a plain value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernel/base/error.h"
#include "liongate/v1/event.pb.h"

namespace liongate::supervision {

enum class ExitKind : std::uint8_t {
  kExited,        // by exit code
  kSignalled,     // by a signal
  kSetupFailed,   // it never ran: a step of the sandbox's set-up failed
  kLauncherLost,  // the launcher died and took everything with it
};

struct PluginExit {
  ExitKind kind = ExitKind::kExited;
  int exit_code = 0;
  int signal = 0;
  std::string step;              // kSetupFailed: the step and its subject in words
  int step_errno = 0;            // kSetupFailed
  bool host_refuses = false;     // kSetupFailed: a mandatory mechanism is missing on this host
  bool limit_is_unkept = false;  // kSetupFailed: the step was a limit that nothing on this host keeps
  bool in_setup = false;         // kSignalled: before its program ran
  std::uint64_t cpu_time_us = 0;
  std::uint64_t memory_peak_bytes = 0;
  std::uint64_t cpu_wait_us = 0;  // how long some process of it waited for what was short; 0: not known
  std::uint64_t memory_wait_us = 0;
  std::uint64_t io_wait_us = 0;
  std::vector<v1::LimitHit> limit_hits;  // that the kernel told the host of

  bool is_success() const { return kind == ExitKind::kExited && exit_code == 0; }
};

// One line: "exited with status 3", "was killed by signal 9 (Killed)", "could not be started: STEP: ERROR".
std::string describe(const PluginExit& exit);

v1::ExitStatus to_message(const PluginExit& exit);

// Whether `sys_errno` tells of the want of something that comes back: memory, descriptors, processes, time.
bool is_passing(int sys_errno);

// The Error that a load or a start of `name` gets when the process ended so before Ready.
Error load_error(const std::string& name, const PluginExit& exit);

}  // namespace liongate::supervision
