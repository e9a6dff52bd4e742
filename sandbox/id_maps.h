// User and group ids: which ones a sandbox runs as, and how the kernel is told.
//
// Ownership and thread: called by the launcher's only thread; returned descriptors are owned. Errors carry sys_errno.
#pragma once

#include <sys/types.h>

#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"

namespace liongate::sandbox {

// What every program inside sees itself as. Never 0: programs that are root do more, and trust themselves more.
inline constexpr uid_t kInsideUid = 1000;

// Whether the launcher may give each sandbox a host user of its own.
enum class HostMode { kRootful, kRootless };
HostMode detect_host_mode();

struct HostIds {
  uid_t uid;
  gid_t gid;
};

// Writes the maps of the user namespace of `pid`: kInsideUid is `ids`, nothing else exists. Rootless, setgroups is
// denied first, as the kernel demands.
Result<void> write_id_maps(pid_t pid, HostMode mode, HostIds ids);

// A user namespace that exists only as a translation for an idmapped mount: what `on_disk` owns appears owned by
// `seen`.
Result<UniqueFd> make_translation(HostIds on_disk, HostIds seen);

}  // namespace liongate::sandbox
