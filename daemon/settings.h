// The configuration file's values as the kernel's settings, and what differs between two of them.
//
// Ownership and thread: pure functions.
#pragma once

#include "config/daemon_config.h"
#include "kernel/orchestrator/kernel_context.h"
#include "liongate/v1/system_service.pb.h"

namespace liongate::daemon {

orchestrator::Settings to_settings(const config::DaemonConfig& config);

// Which keys differ: those in force at once, and those that wait for a restart.
v1::ReloadConfigResponse compare(const config::DaemonConfig& before, const config::DaemonConfig& after);

}  // namespace liongate::daemon
