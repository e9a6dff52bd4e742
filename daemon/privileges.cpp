#include "daemon/privileges.h"

#include <dirent.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>

#include "kernel/base/unique_fd.h"
#include "sandbox/id_maps.h"
#include "sandbox/privileged_groups.h"

namespace liongate::daemon {
namespace {

constexpr int kStateDepthMax = 8;  // folders below the state folder: our own are two deep

// Before the user changes: that takes away the capability which this takes.
Result<void> empty_bounding_set() {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability) != 0 && errno != EPERM) {
      return make_errno_error(Reason::kInternal, "drop capability " + std::to_string(capability), errno);
    }
  }
  return {};
}

Result<void> drop_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) != 0) return make_errno_error(Reason::kInternal, "capset", errno);
  return {};
}

// Hands over one open file, unless it has another name elsewhere: a daemon that was taken over must not get /etc/shadow
// by a link that it left in its own folder for the next start as root.
Result<void> hand_over(int fd, const std::string& path, const struct passwd& user) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return make_errno_error(Reason::kInternal, "stat " + path, errno);
  if (info.st_uid == user.pw_uid) return {};
  if (!S_ISDIR(info.st_mode) && info.st_nlink != 1) {
    return make_error(Reason::kInternal, path + " is a hard link: it is not handed over to " + user.pw_name)
        .with_hint("move it out of the state folder");
  }
  if (::fchownat(fd, "", user.pw_uid, user.pw_gid, AT_EMPTY_PATH) != 0) {
    return make_errno_error(Reason::kInternal, "chown " + path, errno);
  }
  return {};
}

// Hands over a folder and what is in it: files that an earlier daemon, or root by hand, wrote there. Every step is
// taken from an open folder and follows no symbolic link, whoever may be changing names meanwhile.
Result<void> hand_over_folder(UniqueFd folder, const std::string& path, const struct passwd& user, int depth) {
  LG_TRY(hand_over(folder.get(), path, user));
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(folder.get()), &::closedir);
  if (!entries) return make_errno_error(Reason::kInternal, "list " + path, errno);
  const int folder_fd = folder.release();  // the DIR closes it
  for (;;) {
    errno = 0;
    const dirent* entry = ::readdir(entries.get());
    if (entry == nullptr && errno != 0) return make_errno_error(Reason::kInternal, "list " + path, errno);
    if (entry == nullptr) return {};
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    UniqueFd file(::openat(folder_fd, name.c_str(), O_PATH | O_NOFOLLOW | O_CLOEXEC));
    struct stat info {};
    if (!file || ::fstat(file.get(), &info) != 0) {
      return make_errno_error(Reason::kInternal, "open " + path + "/" + name, errno);
    }
    if (S_ISLNK(info.st_mode)) continue;
    if (!S_ISDIR(info.st_mode)) {
      LG_TRY(hand_over(file.get(), path + "/" + name, user));
    } else if (depth == 0) {
      return make_error(Reason::kInternal, "the state folder is nested too deeply at " + path + "/" + name);
    } else {
      UniqueFd inner(::openat(folder_fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
      if (!inner) return make_errno_error(Reason::kInternal, "open " + path + "/" + name, errno);
      LG_TRY(hand_over_folder(std::move(inner), path + "/" + name, user, depth - 1));
    }
  }
}

Result<void> become(const struct passwd& user, const std::string& state_dir, const std::string& socket) {
  UniqueFd state(::open(state_dir.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  if (!state) return make_errno_error(Reason::kInternal, "open " + state_dir, errno);
  LG_TRY(hand_over_folder(std::move(state), state_dir, user, kStateDepthMax));
  if (::lchown(socket.c_str(), user.pw_uid, user.pw_gid) != 0) {
    return make_errno_error(Reason::kInternal, "chown " + socket, errno);
  }
  if (::setgroups(0, nullptr) != 0 || ::setresgid(user.pw_gid, user.pw_gid, user.pw_gid) != 0 ||
      ::setresuid(user.pw_uid, user.pw_uid, user.pw_uid) != 0) {
    return make_errno_error(Reason::kInternal, "become the service user", errno);
  }
  return {};
}

}  // namespace

Result<void> give_up_privileges(const std::string& state_dir, const std::string& socket) {
  if (::geteuid() != 0) return {};
  LG_TRY(empty_bounding_set());
  if (const struct passwd* user = ::getpwnam(kServiceUser)) LG_TRY(become(*user, state_dir, socket));
  LG_TRY(drop_capabilities());
  // Nothing that this process ever executes may gain anything either.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return make_errno_error(Reason::kInternal, "prctl(PR_SET_NO_NEW_PRIVS)", errno);
  }
  return {};
}

Result<void> refuse_core_dumps() {
  // One byte, not none: a handler behind a pipe in kernel.core_pattern is called with none, and not with one.
  const struct rlimit one_byte { 1, 1 };
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_CORE, &limit) != 0 || (limit.rlim_max != 0 && ::setrlimit(RLIMIT_CORE, &one_byte) != 0)) {
    return make_errno_error(Reason::kInternal, "limit core dumps", errno);
  }
  if (::prctl(PR_SET_DUMPABLE, 0) != 0) return make_errno_error(Reason::kInternal, "prctl(PR_SET_DUMPABLE)", errno);
  return {};
}

Result<void> refuse_privileged_groups(const std::vector<std::string>& allow_degraded) {
  if (sandbox::detect_host_mode() == sandbox::HostMode::kRootful) return {};
  if (std::ranges::find(allow_degraded, "ordinary_groups") != allow_degraded.end()) return {};
  std::string names;
  for (const std::string& name : sandbox::privileged_groups()) names += (names.empty() ? "" : ", ") + name;
  if (names.empty()) return {};
  return make_error(Reason::kSandboxUnavailable,
                    "plugins would keep groups of this user that are as good as root: " + names)
      .with_hint(sandbox::privileged_groups_remedy());
}

}  // namespace liongate::daemon
