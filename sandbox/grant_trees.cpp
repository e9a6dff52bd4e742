#include "sandbox/grant_trees.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "sandbox/setup_step.h"

namespace liongate::sandbox {
namespace {

// What the other-permission bits must hold for a stranger to use the source.
constexpr mode_t kFolderReadableByAll = S_IROTH | S_IXOTH;

bool readable_by_all(const BindMount& bind, const struct stat& info) {
  mode_t needed = S_ISDIR(info.st_mode) ? kFolderReadableByAll : static_cast<mode_t>(S_IROTH);
  if (bind.executable) needed |= S_IXOTH;
  return (info.st_mode & needed) == needed;
}

std::uint64_t attributes_of(const BindMount& bind) {
  std::uint64_t attributes = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV;
  if (bind.access == Access::kReadOnly) attributes |= MOUNT_ATTR_RDONLY;
  // What can be written is never executable: a plugin cannot bring a program along.
  if (!bind.executable || bind.access == Access::kReadWrite) attributes |= MOUNT_ATTR_NOEXEC;
  return attributes;
}

Result<void> check_paths(const BindMount& bind) {
  for (const std::string* path : {&bind.source, &bind.target}) {
    if (path->empty() || path->front() != '/' || path->find('\0') != std::string::npos) {
      return setup_error(Step::kCheckRequest, EINVAL, *path);
    }
  }
  return {};
}

// Makes the owner of the source appear as the plugin's user. False where the file system cannot.
bool translate_owner(int tree_fd, const struct stat& info, HostIds plugin) {
  const auto translation = make_translation({info.st_uid, info.st_gid}, plugin);
  if (!translation) return false;
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<std::uint64_t>(translation->get());
  return ::mount_setattr(tree_fd, "", AT_EMPTY_PATH, &attributes, sizeof attributes) == 0;
}

}  // namespace

int open_pinned(const std::string& path) {
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS;
  return static_cast<int>(::syscall(SYS_openat2, AT_FDCWD, path.c_str(), &how, sizeof how));
}

int clone_tree(int fd) {
  return ::open_tree(fd, "", AT_EMPTY_PATH | AT_RECURSIVE | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
}

bool seal_tree(int tree_fd, std::uint64_t mount_attributes) {
  mount_attr attributes{};
  attributes.attr_set = mount_attributes;
  attributes.propagation = MS_PRIVATE;
  return ::mount_setattr(tree_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) == 0;
}

Result<PinnedGrants> pin_grants(const std::vector<BindMount>& binds, HostMode mode, HostIds plugin) {
  PinnedGrants pinned;
  for (const BindMount& bind : binds) {
    LG_TRY(check_paths(bind));
    UniqueFd source(open_pinned(bind.source));
    if (!source.valid() && errno == ENOENT && bind.presence == Presence::kOptional) continue;
    if (!source.valid()) return setup_error(Step::kPinGrant, errno, bind.source);
    struct stat info {};
    if (::fstat(source.get(), &info) != 0) return setup_error(Step::kPinGrant, errno, bind.source);
    // A socket or a device is a door to somebody else, not a file to read: neither is granted by a path.
    if (!S_ISDIR(info.st_mode) && !S_ISREG(info.st_mode)) return setup_error(Step::kPinGrant, ENOTSUP, bind.source);
    Grant grant{bind.source, bind.target, attributes_of(bind), GrantKind::kFile, info.st_dev, info.st_ino, {}};
    if (S_ISDIR(info.st_mode)) grant.kind = GrantKind::kFolder;
    if (mode == HostMode::kRootless) {
      grant.tree = std::move(source);
    } else {
      grant.tree.reset(clone_tree(source.get()));
      if (!grant.tree.valid()) return setup_error(Step::kCloneGrant, errno, bind.source);
      if (bind.access == Access::kReadWrite || !readable_by_all(bind, info)) {
        const bool translated = translate_owner(grant.tree.get(), info, plugin);
        (translated ? pinned.translated : pinned.untranslated).push_back(bind.source);
      }
      if (!seal_tree(grant.tree.get(), grant.mount_attributes))
        return setup_error(Step::kCloneGrant, errno, bind.source);
    }
    pinned.grants.push_back(std::move(grant));
  }
  return pinned;
}

}  // namespace liongate::sandbox
