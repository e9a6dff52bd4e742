// Files that say what a daemon does: read only where nobody else could have written them.
//
// Ownership and thread: a function that opens the one file it is given; any thread.
#pragma once

#include <cstddef>
#include <string>

#include "kernel/base/result.h"

namespace liongate::config {

// Reads a file of root's or of our own that others cannot write; nor may a group where the file is root's, but root's
// own. What was looked at is what is read. Errors, all kInvalidConfig: with the errno where it cannot be opened or
// read; whoever else could have written it, with the command to type.
Result<std::string> read_trusted_file(const std::string& path, std::size_t bytes_max);

}  // namespace liongate::config
