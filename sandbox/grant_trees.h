// The host paths of a launch, pinned before anything else happens, and the mounts made of them.
//
// A grant is a path that somebody wrote down; between the writing and the mount the path may have been given another
// meaning. So each source is opened once, following no symbolic link, and what was opened is what gets mounted: as root
// the launcher clones it into a detached mount at once; rootless only the sandbox's own user may clone mounts, so the
// path is walked again inside and must lead to the same file.
//
// Ownership and thread: the launcher pins, the sandbox's pid 1 (a copy by fork) mounts; descriptors are owned.
#pragma once

#include <sys/stat.h>

#include <vector>

#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"
#include "sandbox/id_maps.h"
#include "sandbox/launch_protocol.h"

namespace liongate::sandbox {

enum class GrantKind { kFile, kFolder };

struct Grant {
  std::string source;
  std::string target;
  std::uint64_t mount_attributes = 0;  // MOUNT_ATTR_*
  GrantKind kind = GrantKind::kFolder;
  dev_t device = 0;
  ino_t inode = 0;
  UniqueFd tree;  // rootful: a detached mount; rootless: what was pinned
};

struct PinnedGrants {
  std::vector<Grant> grants;
  std::vector<std::string> translated;    // sources that the plugin's user reaches through an idmapped mount
  std::vector<std::string> untranslated;  // sources that needed one, on a file system which has none
};

// Opens every source of `binds`; optional ones that do not exist are left out. Errors are setup errors.
Result<PinnedGrants> pin_grants(const std::vector<BindMount>& binds, HostMode mode, HostIds plugin);

// Opens `path` without following a symbolic link anywhere in it. -1 and errno on failure.
int open_pinned(const std::string& path);

// Clones what `fd` refers to into a detached mount. -1 and errno on failure.
int clone_tree(int fd);

// Gives a detached mount, and all below it, its attributes, and cuts it off from mounts made on the host later.
bool seal_tree(int tree_fd, std::uint64_t mount_attributes);

}  // namespace liongate::sandbox
