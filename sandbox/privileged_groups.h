// Groups whose members are root in disguise: through a service's socket, a disk's device, or the files of root.
//
// As root the launcher drops all groups before a plugin exists. Rootless the kernel forbids that, so a plugin keeps the
// groups of the daemon's user: with these a sandbox is not worth its name, and the daemon does not start.
//
// Ownership and thread: pure functions, apart from reading the process's groups and /etc/group.
#pragma once

#include <sys/types.h>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace liongate::sandbox {

// The names of those of `groups` that `group_file` (in the form of /etc/group) gives a privileged name.
std::vector<std::string> privileged_among(std::span<const gid_t> groups, std::string_view group_file);

// Those of the present process. A group that only a directory service knows by its name is not found.
std::vector<std::string> privileged_groups();

// What a user who is told of them can do about it.
std::string privileged_groups_remedy();

}  // namespace liongate::sandbox
