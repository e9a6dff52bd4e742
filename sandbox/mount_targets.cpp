#include "sandbox/mount_targets.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace liongate::sandbox {
namespace {

constexpr mode_t kFolderMode = 0755;
constexpr mode_t kFileMode = 0444;

// The names of an absolute path; empty when it is not one, or leads anywhere but down.
std::vector<std::string> names_of(std::string_view path) {
  std::vector<std::string> names;
  if (path.empty() || path.front() != '/' || path.find('\0') != std::string_view::npos) return {};
  while (!path.empty()) {
    path.remove_prefix(1);
    const std::string_view name = path.substr(0, path.find('/'));
    if (name == "." || name == "..") return {};
    if (!name.empty()) names.emplace_back(name);
    path.remove_prefix(name.size());
  }
  return names;
}

UniqueFd failed(int sys_errno) {
  errno = sys_errno;
  return UniqueFd();
}

}  // namespace

bool MountTargets::own(int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0) return false;
  own_devices_.push_back(info.st_dev);
  return true;
}

bool MountTargets::owns(int fd) const {
  struct stat info {};
  return ::fstat(fd, &info) == 0 && std::ranges::find(own_devices_, info.st_dev) != own_devices_.end();
}

UniqueFd MountTargets::descend(int folder_fd, const std::string& name) {
  constexpr int kFlags = O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd below(::openat(folder_fd, name.c_str(), kFlags));
  if (below.valid() || errno != ENOENT) return below;
  if (!owns(folder_fd)) return failed(EROFS);
  if (::mkdirat(folder_fd, name.c_str(), kFolderMode) != 0) return UniqueFd();
  return UniqueFd(::openat(folder_fd, name.c_str(), kFlags));
}

UniqueFd MountTargets::folder(std::string_view path) {
  const std::vector<std::string> names = names_of(path);
  if (names.empty()) return failed(EINVAL);
  UniqueFd at;
  for (const std::string& name : names) {
    at = descend(at.valid() ? at.get() : root_fd_, name);
    if (!at.valid()) break;
  }
  return at;
}

UniqueFd MountTargets::folder_of(std::string_view path, std::string& name) {
  std::vector<std::string> names = names_of(path);
  if (names.empty()) return failed(EINVAL);
  name = names.back();
  std::string above;
  for (std::size_t index = 0; index + 1 < names.size(); ++index) above += "/" + names[index];
  UniqueFd holder = above.empty() ? UniqueFd(::fcntl(root_fd_, F_DUPFD_CLOEXEC, 0)) : folder(above);
  if (holder.valid() && !owns(holder.get())) return failed(EROFS);
  return holder;
}

UniqueFd MountTargets::mount_point(std::string_view path, GrantKind kind) {
  if (kind == GrantKind::kFolder) return folder(path);
  const std::vector<std::string> names = names_of(path);
  if (names.empty()) return failed(EINVAL);
  std::string above;
  for (std::size_t index = 0; index + 1 < names.size(); ++index) above += "/" + names[index];
  const UniqueFd holder = above.empty() ? UniqueFd(::fcntl(root_fd_, F_DUPFD_CLOEXEC, 0)) : folder(above);
  if (!holder.valid()) return UniqueFd();
  constexpr int kFlags = O_PATH | O_NOFOLLOW | O_CLOEXEC;
  UniqueFd file(::openat(holder.get(), names.back().c_str(), kFlags));
  if (!file.valid() && errno == ENOENT) {
    if (!owns(holder.get())) return failed(EROFS);
    const UniqueFd made(
        ::openat(holder.get(), names.back().c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, kFileMode));
    if (!made.valid()) return UniqueFd();
    file.reset(::openat(holder.get(), names.back().c_str(), kFlags));
  }
  struct stat info {};
  if (file.valid() && (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))) return failed(ELOOP);
  return file;
}

}  // namespace liongate::sandbox
