// What the kernel needs of whoever starts plugins: an interface, implemented over sandbox/ by the daemon.
//
// Ownership and thread: every method and every callback belongs to the kernel thread; a callback never runs inside the
// call that caused it. The implementation outlives the orchestrator.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"
#include "kernel/policy/secret_source.h"
#include "kernel/supervision/file_watch.h"
#include "kernel/supervision/plugin_exit.h"
#include "liongate/v1/event.pb.h"
#include "liongate/v1/manifest.pb.h"

namespace liongate::supervision {

using LaunchId = std::uint64_t;

struct LaunchStarted {
  std::int64_t pid = 0;
  v1::Posture posture;
  FileWatch created_files;  // invalid where nothing is granted for writing, or the host gave no watch
  std::shared_ptr<const std::uint64_t> network_requests;  // counts on while it lives; null without network
};

// Told of one launch; started at most once, ended exactly once and last.
class LaunchListener {
 public:
  virtual ~LaunchListener() = default;
  virtual void on_launch_started(LaunchStarted started) = 0;
  virtual void on_launch_ended(PluginExit exit) = 0;
};

// Everything that decides what runs and what it may touch.
struct LaunchOrder {
  const v1::PluginLoaded* loaded = nullptr;  // valid during the call of launch()
  std::string input_argument;                // for a command: what {input} in its args becomes
  std::vector<UniqueFd> descriptors;         // become 0, 1, 2, ... of the program
  std::vector<policy::SecretValue> secrets;  // become read-only files, /run/secrets/NAME
  v1::Event origin;                          // whose: what an event about this launch says of plugin, instance, call
};

class Launcher {
 public:
  virtual ~Launcher() = default;

  // Starts a process; `listener` is borrowed until on_launch_ended, or until forget().
  // Fails at once with kSandboxUnavailable when there is no launcher, kInputTooLarge when the order is too large.
  virtual Result<LaunchId> launch(LaunchOrder order, LaunchListener& listener) = 0;

  // Kills everything of that launch. Its end is reported as usual.
  virtual void kill(LaunchId id) = 0;

  // What runs under that launch may reach only what `manifest` names from now on; flows to anything else are cut.
  virtual void narrow_network(LaunchId id, const v1::Manifest& manifest) = 0;

  // The listener of that launch no longer wants to hear; the launch itself goes on until it ends or is killed.
  virtual void forget(LaunchId id) = 0;

  // Makes the sandbox that calls of this command will have, and ends it before its program is executed: its posture, or
  // what every call would fail by, such as a grant that is not there (kLoadFailure), a mechanism that this host lacks
  // or a limit that nothing on it keeps (kSandboxUnavailable).
  virtual void try_command(const v1::PluginLoaded& loaded, std::function<void(Result<v1::Posture>)> done) = 0;
};

}  // namespace liongate::supervision
