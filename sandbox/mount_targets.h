// Places inside the new root: folders, files and mount points, made without ever following a link.
//
// Ownership and thread: used by the sandbox's pid 1 while nothing else runs in the sandbox; returned descriptors are
// owned, O_PATH. Failures are -1 (an invalid UniqueFd) with errno: EROFS where the place would have to be made within a
// granted path, which belongs to somebody else, ENOTDIR or ELOOP where a link or a file is in the way, EINVAL for a
// path that is not absolute or has "." or ".." in it.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/unique_fd.h"
#include "sandbox/grant_trees.h"

namespace liongate::sandbox {

class MountTargets {
 public:
  // `root_fd` is borrowed. Places may be made only on file systems that were announced with own().
  explicit MountTargets(int root_fd) : root_fd_(root_fd) {}

  // Announces a fresh file system of ours, by any descriptor on it.
  bool own(int fd);

  UniqueFd folder(std::string_view path);
  UniqueFd mount_point(std::string_view path, GrantKind kind);

  // Opens the folder that holds the last name of `path`, making it, and sets `name`; only where we own the folder.
  UniqueFd folder_of(std::string_view path, std::string& name);

 private:
  UniqueFd descend(int folder_fd, const std::string& name);
  bool owns(int fd) const;

  int root_fd_;
  std::vector<dev_t> own_devices_;
};

}  // namespace liongate::sandbox
