// The daemon as a whole: everything is made here, in order, and taken down in the opposite order.
//
// Ownership and thread: made by main; run() is the kernel thread. No singletons: what a part needs it is given.
#pragma once

#include <sys/types.h>

#include <string>

#include "config/daemon_config.h"
#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"
#include "sandbox/launcher_process.h"

namespace liongate::daemon {

// What was opened with the rights the process was started with, before it gave them up.
struct Foundation {
  config::DaemonConfig config;
  std::string config_path;      // read again on SIGHUP
  bool config_existed = false;  // then it must exist at a reload too
  UniqueFd listening_socket;
  sandbox::LauncherProcess launcher;
  uid_t owner_uid = 0;
  std::string netgate_socket;  // of a unit; empty: we start it
  bool is_learning = false;    // run-plugin --learn
  bool is_rootless = false;    // neither we nor the launcher have ever been root
  std::string program_folder;
};

// What the unit that starts us knows and a configuration file cannot.
struct ServiceWords {
  std::string launcher_socket;  // where a service manager starts the launcher in our place, with rights we never had
  std::string netgate_socket;   // the same for the network gate
  bool is_cgroup_delegated = false;  // Delegate=yes under a manager that leaves no mark of it
  bool is_learning = false;          // tell what plugins look for in vain; environment development only
};

// Opens the state folder and the socket, starts the launcher, gives up privileges. Single-threaded until it returns.
Result<Foundation> lay_foundation(config::DaemonConfig config, std::string config_path,
                                  const ServiceWords& service = {});

// Serves until SIGTERM, SIGINT or Shutdown. Returns when everything has stopped in order and the log is sealed.
Result<void> run_daemon(Foundation foundation);

// Where the event log, the snapshots of what it made, and the cursors of observers are within a state folder.
std::string log_folder(const std::string& state_dir);
std::string snapshot_folder(const std::string& state_dir);
std::string observers_folder(const std::string& state_dir);

// The folder of the running program and the launcher that belongs to it.
std::string program_folder();
std::string launcher_path(const config::DaemonConfig& config, const std::string& program_folder);
std::string netgate_path(const config::DaemonConfig& config, const std::string& program_folder);

}  // namespace liongate::daemon
