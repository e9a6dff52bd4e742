// `liongated --repair-log DIR`: repairs a damaged log and says what it kept and where the rest lies.
//
// Ownership and thread: one call from main, before anything else runs. Errors: those of event_log::repair.
#pragma once

#include <string>

#include "kernel/base/result.h"

namespace liongate::daemon {

// Repairs, or finds nothing to repair, and prints which.
Result<void> repair_log(const std::string& log_folder, bool json);

}  // namespace liongate::daemon
