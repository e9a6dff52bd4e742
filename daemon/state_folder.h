// Whether a state folder is as private as what is kept in it: the log holds inputs and outputs of calls.
//
// Ownership and thread: a function over a folder, called once it is made and privileges are given up.
// Errors: kInvalidConfig with the command that mends it.
#pragma once

#include <string>
#include <vector>

#include "kernel/base/result.h"

namespace liongate::daemon {

// Refuses a state or log folder that is another user's, a link, or writable by others: what is in it may be anybody's.
// A log folder that others can only read is closed to them. Returns what was mended, in words. A log folder that is
// missing is fine: the log makes it.
Result<std::vector<std::string>> secure_state_folder(const std::string& state_dir);

}  // namespace liongate::daemon
