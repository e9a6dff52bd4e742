// Whether a folder may become a plugin's: the plugin sees all of it, so it must be a plugin's folder and nobody else's.
//
// Refused (kUnsafeFolder): system and home folders themselves, anything in /proc, /sys and /dev, what contains or lies
// in the daemon's own folders, what group or others may write, what belongs to neither root, the daemon nor the caller.
// Ownership and thread: pure functions but for a stat and the password database.
#pragma once

#include <sys/stat.h>

#include <string>
#include <vector>

#include "kernel/base/result.h"

namespace liongate::daemon {

struct FolderRules {
  uid_t daemon_uid = 0;                  // as it was started
  std::vector<std::string> own_folders;  // the daemon's state folder and socket
};

Result<void> check_folder(const std::string& folder, const struct stat& info, uid_t caller_uid,
                          const FolderRules& rules);

}  // namespace liongate::daemon
