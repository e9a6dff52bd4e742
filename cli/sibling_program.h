// Finding and running liongated, which is installed beside liongatectl.
//
// Ownership and thread: functions of the verb's thread. exec_sibling replaces the process.
#pragma once

#include <string>
#include <vector>

#include "cli/context.h"
#include "kernel/base/result.h"

namespace liongate::cli {

// The path of `name`: in liongatectl's own folder, in ../sbin of it, then along PATH. kInternal where it is nowhere.
Result<std::string> find_sibling(const std::string& name);

// Becomes `liongated ARGUMENTS...`; streams and exit code are its own. Returns only on failure.
ExitCode exec_liongated(Context& context, std::vector<std::string> arguments);

}  // namespace liongate::cli
