// The last steps before the plugin's own program runs, in pid 2 of the sandbox: limits, privileges, filter, exec.
//
// The first exec. A plugin without `process` must not be able to execute anything, yet its own program has to be
// started under its filter. A filter that allowed execveat on one descriptor could be fooled by dup2. So the filter
// allows it only when the three pointers it is given (path, arguments, environment) equal three addresses chosen at
// random for this start, each in a page mapped for nothing else. They die with the old address space: the program never
// learns them, cannot read its own filter, and would have to guess some hundred bits.
//
// Ownership and thread: runs in the sandbox's pid 2, single-threaded. A failure ends the process through the reporter.
#pragma once

#include <string>
#include <vector>

#include "kernel/base/unique_fd.h"
#include "sandbox/sandbox_plan.h"
#include "sandbox/setup_channel.h"

namespace liongate::sandbox {

// The program opened inside the new root, its scripts resolved down to a binary.
struct Program {
  UniqueFd executable;
  std::vector<std::string> arguments;
};

// Opens what the request names. Called in pid 1 after the root is in place.
Program open_program(const LaunchRequest& request, SetupReporter& reporter);

// `landlock_rules` is the descriptor of the rules to put in force; -1 for none. pid 1 shares this process's memory and
// waits for the exec.
[[noreturn]] void start_program(const SandboxPlan& plan, const Program& program, int landlock_rules,
                                SetupReporter& reporter);

}  // namespace liongate::sandbox
