// Starts liongate-launcher, or reaches one that a service manager starts, and sends packets to it: what the daemon uses
// of the sandbox.
//
// Ownership and thread: start_launcher or connect_launcher is called once, by the main thread, before any other thread
// exists (the launcher dies with the thread that started it). The descriptors are used by one thread each.
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
  pid_t pid = -1;           // -1: not our child
  UniqueFd pidfd;           // readable when the launcher has died; empty where it is not our child
  UniqueFd control_socket;  // Launch, Kill, CheckHost
  UniqueFd files_socket;    // Open
};

struct LauncherOptions {
  std::string plugin_uids;                  // "FIRST-LAST", what plugins of root's launcher get; empty: its own default
  std::vector<std::string> allow_degraded;  // names of mechanisms, see docs/sandbox.md
  bool is_cgroup_delegated = false;         // our control group was given to us, though no mark on it says so
};

// Starts the program at `path`. Both sockets are blocking and close-on-exec.
Result<LauncherProcess> start_launcher(const std::string& path, const LauncherOptions& options = {});

// Reaches the launcher that a service manager starts for each connection to `socket_path`
// (systemd/liongate-launcher.socket) with --service: the launcher gets its ends of both sockets by that connection,
// which then closes. Whether it came up is told by the control socket: its end of file is the launcher's. Fails where
// nobody listens or we may not connect. The range of host uids is not ours to tell: it is the launcher's own unit's.
Result<LauncherProcess> connect_launcher(const std::string& socket_path,
                                         const std::vector<std::string>& allow_degraded = {});

// The launcher's side of it: waits for the two sockets on `connection`, at most kServiceHandshakeMs. Single-threaded.
inline constexpr int kServiceHandshakeMs = 10'000;
struct Greeting {
  UniqueFd control_socket;
  UniqueFd files_socket;
  std::string allow_degraded;  // NAME,...
};
Result<Greeting> accept_daemon(int connection);

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
