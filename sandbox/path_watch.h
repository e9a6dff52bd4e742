// Learn mode: which host paths a program looks for and does not find.
//
// With LaunchRequest::watch_paths, each system call that names a path waits in the kernel and is shown to the launcher,
// which reads the name out of the program's memory, notes what is missing, and lets the call go on as it would have
// gone anyway. It opens nothing and decides nothing: the walls are those of an ordinary start. So a program that
// changes its memory meanwhile tells a lie about itself, no more; what it said is a proposal to a person.
//
// A path is missing when the host has it, the sandbox does not, and it is more than looked at: folders only looked at
// (stat) are on the way to something. A path is missing for writing when the call makes, changes or removes a name, the
// host has the folder, and no grant for writing covers it. Paths that no permission can grant (/proc, /sys, /dev, /run,
// the folders of the sandbox itself) are never missing.
//
// Names of environment variables come the same way: a library in the sandbox, there in learn mode only, asks for
// `kEnvironmentFolder`/NAME whenever the program asks for NAME (runtimes/learn/).
//
// Ownership and thread: owned by its Launch, the launcher's only thread. At most kMissingPathsMax reports a sandbox.
#pragma once

#include <linux/seccomp.h>

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "sandbox/launch_protocol.h"

namespace liongate::sandbox {

inline constexpr std::size_t kMissingPathsMax = 4096;
inline constexpr std::string_view kEnvironmentFolder = "/liongate/environment";

// Whether learn mode has the call shown.
bool names_path(std::uint32_t number);

class PathWatch {
 public:
  explicit PathWatch(const LaunchRequest& request);

  struct Missing {
    std::string permission;  // "fs_read:/etc/gitconfig", "env:EDITOR"
    std::string path;        // as the program named it, made absolute
  };
  // The first permission that the call misses and that was not told yet.
  std::optional<Missing> look(const seccomp_notif& call);

 private:
  std::string permission_for_reading(std::uint32_t pid, const std::string& path, bool uses_folder) const;
  bool is_private(const std::string& place) const;
  std::string permission_for_writing(std::uint32_t pid, const std::string& place) const;

  std::vector<std::string> readable_;  // what is mounted, inside
  std::vector<std::string> writable_;
  std::set<std::string> told_;
};

}  // namespace liongate::sandbox
