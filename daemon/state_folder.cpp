#include "daemon/state_folder.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "daemon/daemon.h"
#include "kernel/base/sys.h"

namespace liongate::daemon {
namespace {

constexpr mode_t kPrivateMode = 0700;
constexpr mode_t kOthersMode = 077;
constexpr mode_t kOthersWriteMode = 022;

std::string mode_text(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777U));
  return text;
}

Error refused(const std::string& what, const std::string& hint, const std::string& path) {
  return make_error(Reason::kInvalidConfig, what).with_hint(hint).with("path", path);
}

struct Folder {
  UniqueFd fd;
  struct stat info {};
};

Result<Folder> open_own(const std::string& path) {
  // Only looked at: what belongs to another may not even be opened, and that would not say why.
  auto fd = sys::open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
  if (!fd && (fd.error().sys_errno == ELOOP || fd.error().sys_errno == ENOTDIR)) {
    return refused(path + " is no folder", "move it away, or name another --state-dir", path);
  }
  if (!fd) return std::move(fd).error();
  Folder folder{.fd = *std::move(fd)};
  if (::fstat(folder.fd.get(), &folder.info) != 0) return make_errno_error(Reason::kInternal, "fstat " + path, errno);
  if (folder.info.st_uid != ::geteuid()) {
    const std::string own = std::to_string(::geteuid());
    return refused(
        path + " belongs to uid " + std::to_string(folder.info.st_uid) + ", and the daemon runs as uid " + own,
        "name another --state-dir; if it was moved here by you: chown -R " + own + " " + path, path);
  }
  if ((folder.info.st_mode & kOthersWriteMode) != 0) {
    return refused(path + " has mode " + mode_text(folder.info.st_mode) + ": others can change what is in it",
                   "chmod 700 " + path +
                       "; where somebody may have used it: liongatectl verify-log --state-dir DIR "
                       "--checkpoint FILE",
                   path);
  }
  return folder;
}

}  // namespace

Result<std::vector<std::string>> secure_state_folder(const std::string& state_dir) {
  LG_TRY(open_own(state_dir));
  std::vector<std::string> mended;
  const std::string log = log_folder(state_dir);
  const Result<Folder> folder = open_own(log);
  if (!folder && folder.error().sys_errno == ENOENT) return mended;
  if (!folder) return folder.error();
  if ((folder.value().info.st_mode & kOthersMode) == 0) return mended;
  LG_ASSIGN(const UniqueFd own, sys::open_at(folder.value().fd.get(), ".", O_RDONLY | O_DIRECTORY));
  if (::fchmod(own.get(), kPrivateMode) != 0) return make_errno_error(Reason::kInternal, "chmod " + log, errno);
  mended.push_back(log + " had mode " + mode_text(folder.value().info.st_mode) + " and was closed to others (0700)");
  return mended;
}

}  // namespace liongate::daemon
