// What the host at hand can give a plugin at most, for holding a manifest's limits against it.
//
// Ownership and thread: asks the kernel each time (a few system calls); any thread. What cannot be found out is 0,
// which bounds nothing.
#pragma once

#include "config/manifest_parser.h"

namespace liongate::config {

// Of the present process: what it could not give, a plugin that it starts cannot get either.
HostCapacity host_capacity();

}  // namespace liongate::config
