// The walls around the gate itself, which reads what plugins and strangers send: once up, it can make sockets of the
// internet and speak on them, and nothing else. No file, no process, no new privilege.
//
// Ownership and thread: the process's only thread, after everything that is read from files was read.
#pragma once

#include "kernel/base/result.h"

namespace liongate::netgate {

Result<void> confine();

}  // namespace liongate::netgate
