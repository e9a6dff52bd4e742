// Starts liongate-launcher and sends packets to it: what the daemon uses of the sandbox.
//
// Ownership and thread: start_launcher is called once, by the main thread, before any other thread exists (the launcher
// dies with the thread that started it). The descriptors are used by one thread each.
#pragma once

#include <sys/types.h>

#include <string>
#include <utility>
#include <vector>

#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"
#include "sandbox/launch_protocol.h"

namespace liongate::sandbox {

struct LauncherProcess {
  pid_t pid = -1;
  UniqueFd pidfd;           // readable when the launcher has died
  UniqueFd control_socket;  // Launch, Kill, CheckHost
  UniqueFd files_socket;    // Open
};

struct LauncherOptions {
  std::string plugin_uids;                  // "FIRST-LAST", what plugins of root's launcher get; empty: its own default
  std::vector<std::string> allow_degraded;  // names of mechanisms, see docs/sandbox.md
};

// Starts the program at `path`. Both sockets are blocking and close-on-exec.
Result<LauncherProcess> start_launcher(const std::string& path, const LauncherOptions& options = {});

// Sends one message with its descriptors (borrowed). Fails when the launcher is gone.
Result<void> send_request(int socket, const Request& request, const std::vector<int>& descriptors);

struct ReceivedReport {
  Report report;
  std::vector<UniqueFd> descriptors;
};

// Receives one report; waits unless the socket is non-blocking (then sys_errno is EAGAIN when there is none).
// The launcher's death is kSandboxUnavailable.
Result<ReceivedReport> receive_report(int socket);

}  // namespace liongate::sandbox
