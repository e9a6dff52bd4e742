#include "daemon/folder_digest.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>
#include <memory>
#include <vector>

#include "kernel/base/digest.h"
#include "kernel/base/limits.h"

namespace liongate::daemon {
namespace {

struct Walk {
  FileOpener& opener;
  DigestCache& cache;
  Sha256 digest;
  std::size_t files = 0;
  std::uint64_t bytes = 0;
};

void add_field(Sha256& digest, std::string_view text) {
  // Lengths in front, so that no two lists of fields spell the same bytes.
  const std::uint64_t size = text.size();
  digest.update(std::as_bytes(std::span(&size, 1)));
  digest.update(text);
}

Result<std::vector<std::string>> names_in(int folder_fd, const std::string& folder) {
  const int fd = ::fcntl(folder_fd, F_DUPFD_CLOEXEC, 3);
  DIR* stream = fd < 0 ? nullptr : ::fdopendir(fd);
  if (stream == nullptr) {
    const int saved = errno;
    if (fd >= 0) ::close(fd);
    return make_errno_error(Reason::kInternal, "read folder " + folder, saved);
  }
  const std::unique_ptr<DIR, int (*)(DIR*)> guard(stream, ::closedir);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(stream)) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
    if (names.size() > limits::kDigestFilesMax) break;
  }
  std::sort(names.begin(), names.end());
  return names;
}

Result<void> add_contents(Walk& walk, const std::string& path, const struct stat& info) {
  if (walk.bytes + static_cast<std::uint64_t>(info.st_size) > limits::kDigestBytesMax) {
    add_field(walk.digest, "size " + std::to_string(info.st_size) + " changed " + std::to_string(info.st_ctim.tv_sec) +
                               "." + std::to_string(info.st_ctim.tv_nsec));
    return {};
  }
  walk.bytes += static_cast<std::uint64_t>(info.st_size);
  if (const auto known = walk.cache.find(info)) {
    add_field(walk.digest, *known);
    return {};
  }
  const std::int64_t begun = std::time(nullptr);
  LG_ASSIGN(const UniqueFd fd, walk.opener.open(path, sandbox::OpenKind::kFile));
  struct stat opened {};
  if (::fstat(fd.get(), &opened) != 0) return make_errno_error(Reason::kInternal, "stat " + path, errno);
  Sha256 contents;
  std::array<std::byte, 256 * 1024> chunk;
  for (;;) {
    const ssize_t got = ::read(fd.get(), chunk.data(), chunk.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return make_errno_error(Reason::kInternal, "read " + path, errno);
    if (got == 0) break;
    contents.update(std::span(chunk.data(), static_cast<std::size_t>(got)));
  }
  std::string digest = contents.finish_hex();
  add_field(walk.digest, digest);
  // What was opened, not what was listed: a file put into its place meanwhile has another inode.
  walk.cache.remember(opened, begun, std::move(digest));
  return {};
}

Result<void> add_folder(Walk& walk, const std::string& folder, const std::string& prefix, int depth);

Result<void> add_entry(Walk& walk, int folder_fd, const std::string& folder, const std::string& relative,
                       const std::string& name, int depth) {
  struct stat info {};
  if (::fstatat(folder_fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    return make_errno_error(Reason::kInternal, "stat " + folder + "/" + name, errno);
  }
  if (++walk.files > limits::kDigestFilesMax) {
    return make_error(Reason::kUnsafeFolder,
                      "the plugin's folder holds more than " + std::to_string(limits::kDigestFilesMax) + " files")
        .with_hint("put the plugin into a folder of its own");
  }
  add_field(walk.digest, relative);
  add_field(walk.digest, std::to_string(info.st_mode & (S_IFMT | 0111 | S_ISUID | S_ISGID)));
  if (S_ISREG(info.st_mode)) return add_contents(walk, folder + "/" + name, info);
  if (S_ISDIR(info.st_mode)) return add_folder(walk, folder + "/" + name, relative + "/", depth + 1);
  if (S_ISLNK(info.st_mode)) {
    std::array<char, 4096> target;
    const ssize_t length = ::readlinkat(folder_fd, name.c_str(), target.data(), target.size());
    if (length < 0) return make_errno_error(Reason::kInternal, "readlink " + folder + "/" + name, errno);
    add_field(walk.digest, std::string_view(target.data(), static_cast<std::size_t>(length)));
  }
  return {};
}

Result<void> add_folder(Walk& walk, const std::string& folder, const std::string& prefix, int depth) {
  if (depth > limits::kFolderDepthMax) {
    return make_error(Reason::kUnsafeFolder,
                      folder + " is nested more than " + std::to_string(limits::kFolderDepthMax) + " deep");
  }
  LG_ASSIGN(const UniqueFd fd, walk.opener.open(folder, sandbox::OpenKind::kFolder));
  LG_ASSIGN(const std::vector<std::string> names, names_in(fd.get(), folder));
  for (const std::string& name : names) LG_TRY(add_entry(walk, fd.get(), folder, prefix + name, name, depth));
  return {};
}

}  // namespace

Result<std::string> digest_folder(FileOpener& opener, DigestCache& cache, const std::string& folder) {
  Walk walk{opener, cache, {}, 0, 0};
  LG_TRY(add_folder(walk, folder, "", 0));
  return walk.digest.finish_hex();
}

Result<std::string> digest_file(FileOpener& opener, DigestCache& cache, const std::string& path) {
  Walk walk{opener, cache, {}, 0, 0};
  LG_ASSIGN(const UniqueFd fd, opener.open(path, sandbox::OpenKind::kFile));
  struct stat info {};
  if (::fstat(fd.get(), &info) != 0) return make_errno_error(Reason::kInternal, "stat " + path, errno);
  LG_TRY(add_contents(walk, path, info));
  return walk.digest.finish_hex();
}

}  // namespace liongate::daemon
