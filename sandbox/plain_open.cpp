#include "sandbox/plain_open.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

#include "kernel/base/sys.h"

namespace liongate::sandbox {

int open_plainly(const std::string& path, OpenKind kind, UniqueFd& fd) {
  if (path.find('\0') != std::string::npos) return EINVAL;
  const int kind_flag = kind == OpenKind::kFolder ? O_DIRECTORY : O_NONBLOCK;
  auto opened = sys::open(path, O_RDONLY | O_NOFOLLOW | O_NOCTTY | kind_flag);
  if (!opened) return opened.error().sys_errno;
  struct stat info {};
  if (kind == OpenKind::kFile && (::fstat(opened->get(), &info) != 0 || !S_ISREG(info.st_mode))) {
    return S_ISDIR(info.st_mode) ? EISDIR : ENOTSUP;
  }
  fd = std::move(*opened);
  return 0;
}

}  // namespace liongate::sandbox
