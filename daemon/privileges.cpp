#include "daemon/privileges.h"

#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

namespace liongate::daemon {
namespace {

Result<void> drop_capabilities() {
  for (int capability = 0; ::prctl(PR_CAPBSET_READ, capability) >= 0; ++capability) {
    if (::prctl(PR_CAPBSET_DROP, capability) != 0 && errno != EPERM) {
      return make_errno_error(Reason::kInternal, "drop capability " + std::to_string(capability), errno);
    }
  }
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct none[2] = {};
  if (::syscall(SYS_capset, &header, none) != 0) return make_errno_error(Reason::kInternal, "capset", errno);
  return {};
}

Result<void> hand_over(const std::string& path, const struct passwd& user) {
  if (::lchown(path.c_str(), user.pw_uid, user.pw_gid) != 0 && errno != ENOENT) {
    return make_errno_error(Reason::kInternal, "chown " + path, errno);
  }
  return {};
}

Result<void> become(const struct passwd& user, const std::string& state_dir, const std::string& socket) {
  LG_TRY(hand_over(state_dir, user));
  LG_TRY(hand_over(socket, user));
  for (const std::string& folder : {state_dir, state_dir + "/log"}) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(folder, error)) {
      LG_TRY(hand_over(entry.path().string(), user));
    }
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
  if (const struct passwd* user = ::getpwnam(kServiceUser)) LG_TRY(become(*user, state_dir, socket));
  LG_TRY(drop_capabilities());
  // Nothing that this process ever executes may gain anything either.
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    return make_errno_error(Reason::kInternal, "prctl(PR_SET_NO_NEW_PRIVS)", errno);
  }
  return {};
}

}  // namespace liongate::daemon
