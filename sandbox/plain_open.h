// Opening a file or folder of a plugin for reading, without waiting and without being led elsewhere.
//
// Ownership and thread: a pure function over the caller's rights; the daemon tries with its own first, the launcher
// with those it keeps.
#pragma once

#include <string>

#include "kernel/base/unique_fd.h"
#include "sandbox/launch_protocol.h"

namespace liongate::sandbox {

// Opens read-only: no link in the last place, no waiting for a FIFO's other end, a file only where it is a regular one.
// 0, or the errno: EISDIR for a folder and ENOTSUP for anything else in place of a file.
int open_plainly(const std::string& path, OpenKind kind, UniqueFd& fd);

}  // namespace liongate::sandbox
