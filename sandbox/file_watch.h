// An inotify descriptor on the folders granted for writing, made before the program runs: the daemon reads from it
// which names appear while a call runs. The launcher makes it, because it may read folders that the daemon's user may
// not.
//
// Ownership and thread: the launcher's only thread; the descriptor leaves with the Started message. It is accounting,
// no wall: a folder that cannot be watched is left out.
#pragma once

#include <cstddef>
#include <vector>

#include "kernel/base/unique_fd.h"
#include "sandbox/grant_trees.h"
#include "sandbox/launch_protocol.h"

namespace liongate::sandbox {

inline constexpr std::size_t kWatchedFoldersMax = 128;          // of one launch, those below the granted ones included
inline constexpr std::size_t kWatchedPathBytesMax = 32 * 1024;  // their paths together: they travel in one message
inline constexpr std::size_t kWatchEntriesMax = 4096;           // looked at for folders

struct FileWatch {
  UniqueFd inotify;  // invalid: nothing is granted for writing, or nothing could be watched
  std::vector<WatchedFolder> folders;
};

FileWatch watch_writable_folders(const std::vector<BindMount>& binds, const std::vector<Grant>& grants);

}  // namespace liongate::sandbox
