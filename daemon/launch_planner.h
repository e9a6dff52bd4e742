// Turns a loaded plugin into a launch: what its sandbox contains, which program runs, with which words and bounds.
//
// Ownership and thread: made once with what the host looks like; plan() is a pure function of it and of its arguments
// (apart from the values of granted environment variables), so any thread may call it.
//
// Inside, a plugin finds its folder at /plugin (read-only, its working directory), private /tmp and /dev, the paths
// that it was granted at their own place (relative ones below /plugin), and of the system only what its runtime needs:
//
//   native, static    nothing
//   native, dynamic   /usr/lib and the loader's cache
//   python            /usr/lib, the interpreter, the SDK at /liongate/python
//   command, script   /usr and what belongs to it
//
// In learn mode everyone also finds /liongate/learn, which shows what environment variables are asked for, and the
// launcher is to tell what is looked for in vain (sandbox/path_watch.h).
#pragma once

#include <string>
#include <vector>

#include "config/daemon_config.h"
#include "kernel/supervision/launcher.h"
#include "sandbox/launch_protocol.h"

namespace liongate::daemon {

struct HostLayout {
  bool merged_usr = true;         // /bin, /lib, ... are links into /usr
  std::string python_program;     // absolute, no symbolic link in it; empty: not installed
  std::string python_sdk_folder;  // holds bootstrap.py
  std::string learn_folder;       // of learn mode; empty: this daemon does not learn
};

enum class LearnMode { kOff, kOn };

// Looks at the host once.
HostLayout find_host_layout(const config::DaemonConfig& config, const std::string& program_folder,
                            LearnMode learn_mode = LearnMode::kOff);

// HOST[:PORT] of each network permission; "" for one without a host.
std::vector<std::string> network_grants_of(const v1::Manifest& manifest);

class LaunchPlanner {
 public:
  explicit LaunchPlanner(HostLayout layout) : layout_(std::move(layout)) {}

  // `input_argument` replaces {input} in a command's args. launch_id is left to the caller.
  // Errors: kInvalidManifest for a network grant that cannot be meant, or too many ports.
  Result<sandbox::LaunchRequest> plan(const v1::PluginLoaded& loaded, const std::string& input_argument,
                                      std::size_t descriptor_count) const;

 private:
  void add_libraries(sandbox::LaunchRequest& request) const;
  void add_system(sandbox::LaunchRequest& request) const;
  Result<void> add_program(const v1::PluginLoaded& loaded, const std::string& input_argument,
                           sandbox::LaunchRequest& request) const;
  Result<void> add_network(const v1::PluginLoaded& loaded, sandbox::LaunchRequest& request) const;
  void add_learning(sandbox::LaunchRequest& request) const;
  void add_grants(const v1::PluginLoaded& loaded, sandbox::LaunchRequest& request) const;

  HostLayout layout_;
};

}  // namespace liongate::daemon
