#include "kernel/signing/key_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "kernel/base/limits.h"
#include "kernel/base/sys.h"

namespace liongate::signing {
namespace {

constexpr mode_t kFolderMode = 0700;
constexpr mode_t kModeOfOthers = 077;
constexpr std::size_t kPrivateFileBytesMax = 1024;
constexpr const char* kUnfinishedName = "unfinished.tmp";

std::string mode_text(mode_t mode) {
  char text[8];
  std::snprintf(text, sizeof text, "%04o", static_cast<unsigned>(mode & 07777U));
  return text;
}

Result<void> check_private(const std::string& path, const struct stat& info, uid_t owner, const char* mode) {
  if (info.st_uid != owner) {
    return make_error(Reason::kInvalidConfig, path + " belongs to uid " + std::to_string(info.st_uid) +
                                                  ", and the daemon runs as uid " + std::to_string(owner))
        .with_hint("if it was moved here by you: chown " + std::to_string(owner) + " " + path)
        .with("path", path);
  }
  if ((info.st_mode & kModeOfOthers) != 0) {
    return make_error(Reason::kInvalidConfig,
                      path + " has mode " + mode_text(info.st_mode) + ": others could have used the signing key")
        .with_hint("chmod " + std::string(mode) + " " + path +
                   "; where somebody may have read the key, also: liongated --rotate-log-key STATE_DIR")
        .with("path", path);
  }
  return {};
}

}  // namespace

Error KeyFiles::failed(const std::string& call) const {
  const int saved = errno;
  return make_errno_error(Reason::kInternal, call + " in " + folder_, saved);
}

Result<std::optional<KeyFiles>> KeyFiles::open_public(const std::string& folder) {
  auto fd = sys::open(folder, O_RDONLY | O_DIRECTORY);
  if (!fd && fd.error().sys_errno == ENOENT) return std::optional<KeyFiles>();
  if (!fd) return std::move(fd).error().in("keys folder");
  return std::optional<KeyFiles>(KeyFiles(*std::move(fd), folder, ::geteuid()));
}

Result<KeyFiles> KeyFiles::open_private(const std::string& folder, KeyOwner owner) {
  if (::mkdir(folder.c_str(), kFolderMode) != 0 && errno != EEXIST) {
    return make_errno_error(Reason::kInternal, "keys folder: mkdir " + folder, errno);
  }
  // Looked at first: what belongs to another may not even be opened, and that would not say why.
  struct stat info {};
  if (::lstat(folder.c_str(), &info) != 0) return make_errno_error(Reason::kInternal, "stat " + folder, errno);
  const bool any = owner == KeyOwner::kSelfOrAnyForRoot && ::geteuid() == 0;
  const uid_t expected = any ? info.st_uid : ::geteuid();
  LG_TRY(check_private(folder, info, expected, "700"));
  auto fd = sys::open(folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!fd) return std::move(fd).error().in("keys folder");
  return KeyFiles(*std::move(fd), folder, expected);
}

std::string KeyFiles::numbered(unsigned number, const std::string& suffix) {
  char digits[16];
  std::snprintf(digits, sizeof digits, "log-%04u.", number);
  return digits + suffix;
}

Result<std::vector<unsigned>> KeyFiles::numbers(const std::string& suffix) const {
  LG_ASSIGN(UniqueFd again, sys::open_at(fd_.get(), ".", O_RDONLY | O_DIRECTORY));
  DIR* const listing = ::fdopendir(again.get());
  if (listing == nullptr) return failed("opendir");
  (void)again.release();
  std::vector<unsigned> found;
  while (const dirent* entry = ::readdir(listing)) {
    unsigned number = 0;
    if (std::sscanf(entry->d_name, "log-%4u.", &number) != 1) continue;
    if (number != 0 && numbered(number, suffix) == entry->d_name) found.push_back(number);
  }
  ::closedir(listing);
  std::sort(found.begin(), found.end());
  return found;
}

Result<std::string> KeyFiles::read_public(const std::string& name) const {
  auto fd = sys::open_at(fd_.get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd) return std::move(fd).error().in(folder_);
  return sys::read_fd(fd->get(), limits::kNoteBytesMax, path_of(name));
}

Result<std::optional<Secret>> KeyFiles::read_private(const std::string& name) const {
  struct stat info {};
  if (::fstatat(fd_.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return std::optional<Secret>();
    return failed("stat " + name);
  }
  if (!S_ISREG(info.st_mode)) return make_error(Reason::kInvalidConfig, path_of(name) + " is no plain file");
  LG_TRY(check_private(path_of(name), info, owner_uid_, "600"));
  auto fd = sys::open_at(fd_.get(), name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!fd) return std::move(fd).error().in(folder_);
  Secret secret(kPrivateFileBytesMax);
  LG_ASSIGN(const std::size_t got, sys::read_at(fd->get(), secret.bytes(), 0));
  secret.shrink(got);
  return std::optional<Secret>(std::move(secret));
}

Result<void> KeyFiles::write(const std::string& name, std::span<const std::byte> bytes, mode_t mode) const {
  if (::unlinkat(fd_.get(), kUnfinishedName, 0) != 0 && errno != ENOENT) return failed("unlink");
  auto fd = sys::open_at(fd_.get(), kUnfinishedName, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode);
  if (!fd) return std::move(fd).error().in(folder_);
  if (::fchmod(fd->get(), mode) != 0) return failed("fchmod " + name);  // whatever the umask took away
  if (owner_uid_ != ::geteuid() && ::fchown(fd->get(), owner_uid_, static_cast<gid_t>(-1)) != 0) {
    return failed("fchown " + name);
  }
  LG_TRY(sys::write_all(fd->get(), bytes));
  if (::fsync(fd->get()) != 0) return failed("fsync " + name);
  return rename(kUnfinishedName, name);
}

Result<void> KeyFiles::rename(const std::string& from, const std::string& to) const {
  if (::renameat(fd_.get(), from.c_str(), fd_.get(), to.c_str()) != 0) return failed("rename " + from + " to " + to);
  if (::fsync(fd_.get()) != 0) return failed("fsync");
  return {};
}

}  // namespace liongate::signing
