#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <cerrno>

#include "kernel/base/sys.h"
#include "kernel/event_log/storage.h"

namespace liongate::event_log {
namespace {

class DiskFile final : public File {
 public:
  DiskFile(UniqueFd fd, std::string path) : fd_(std::move(fd)), path_(std::move(path)) {}

  Result<void> write_at(std::uint64_t offset, std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      const ssize_t wrote = ::pwrite(fd_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
      if (wrote < 0) {
        if (errno == EINTR) continue;
        return failed("write");
      }
      bytes = bytes.subspan(static_cast<std::size_t>(wrote));
      offset += static_cast<std::uint64_t>(wrote);
    }
    return {};
  }

  Result<std::size_t> read_at(std::uint64_t offset, std::span<std::byte> bytes) override {
    auto result = sys::read_at(fd_.get(), bytes, offset);
    if (!result) return std::move(result).error().in(path_);
    return result;
  }

  Result<void> sync() override {
    int result;
    do {
      result = ::fdatasync(fd_.get());
    } while (result != 0 && errno == EINTR);
    if (result != 0) return failed("fdatasync");
    return {};
  }

  Result<std::uint64_t> size_bytes() override {
    struct stat info {};
    if (::fstat(fd_.get(), &info) != 0) return failed("fstat");
    return static_cast<std::uint64_t>(info.st_size);
  }

  Result<void> resize(std::uint64_t bytes) override {
    if (::ftruncate(fd_.get(), static_cast<off_t>(bytes)) != 0) return failed("ftruncate");
    return {};
  }

 private:
  Error failed(std::string_view call) const {
    const int saved = errno;
    return make_errno_error(Reason::kInternal, std::string(call) + " " + path_, saved);
  }

  UniqueFd fd_;
  std::string path_;
};

class DiskStorage final : public Storage {
 public:
  DiskStorage(UniqueFd folder, std::string path) : folder_(std::move(folder)), path_(std::move(path)) {}

  Result<std::shared_ptr<File>> open(const std::string& name, Access access) override {
    const int flags = access == Access::kRead ? O_RDONLY : access == Access::kWrite ? O_RDWR : O_RDWR | O_CREAT;
    // Not blocking: whoever put a pipe in the folder must not hang the daemon or its tools.
    auto fd = sys::open_at(folder_.get(), name, flags | O_NOFOLLOW | O_NONBLOCK, 0600);
    if (!fd) return std::move(fd).error().in(path_);
    struct stat info {};
    if (::fstat(fd->get(), &info) != 0) return failed("fstat " + name + " in");
    if (!S_ISREG(info.st_mode)) {
      return make_errno_error(Reason::kInternal, path_ + "/" + name + " is not a plain file", EINVAL);
    }
    return std::shared_ptr<File>(std::make_shared<DiskFile>(*std::move(fd), path_ + "/" + name));
  }

  Result<std::vector<std::string>> list() override {
    LG_ASSIGN(UniqueFd again, sys::open_at(folder_.get(), ".", O_RDONLY | O_DIRECTORY));
    DIR* const listing = ::fdopendir(again.get());
    if (listing == nullptr) return failed("opendir");
    (void)again.release();
    std::vector<std::string> names;
    while (const dirent* entry = ::readdir(listing)) {
      const std::string name = entry->d_name;
      if (name != "." && name != "..") names.push_back(name);
    }
    ::closedir(listing);
    return names;
  }

  Result<void> remove(const std::string& name) override {
    if (::unlinkat(folder_.get(), name.c_str(), 0) != 0) return failed("unlink " + name + " in");
    return {};
  }

  Result<void> rename(const std::string& from, const std::string& to) override {
    if (::renameat2(folder_.get(), from.c_str(), folder_.get(), to.c_str(), RENAME_NOREPLACE) == 0) return {};
    // Some file systems know no flags. The name is ours alone: the folder is locked.
    if (errno == EINVAL && ::renameat(folder_.get(), from.c_str(), folder_.get(), to.c_str()) == 0) return {};
    return failed("rename " + from + " to " + to + " in");
  }

  Result<void> sync_dir() override {
    if (::fsync(folder_.get()) != 0) return failed("fsync");
    return {};
  }

  Result<std::uint64_t> free_space_bytes() override {
    struct statvfs info {};
    if (::fstatvfs(folder_.get(), &info) != 0) return failed("statvfs");
    return static_cast<std::uint64_t>(info.f_bavail) * info.f_frsize;
  }

  const std::string& location() const override { return path_; }

 private:
  Error failed(const std::string& call) const {
    const int saved = errno;
    return make_errno_error(Reason::kInternal, call + " " + path_, saved);
  }

  UniqueFd folder_;
  std::string path_;
};

}  // namespace

bool is_out_of_space(const Error& error) {
  return error.sys_errno == ENOSPC || error.sys_errno == EDQUOT;
}

Result<void> sync_or_fail(File& file) {
  auto synced = file.sync();
  if (!synced && is_out_of_space(synced.error())) synced.error().sys_errno = EIO;
  return synced;
}

Result<std::shared_ptr<Storage>> open_disk_storage(const std::string& folder) {
  auto fd = sys::open(folder, O_RDONLY | O_DIRECTORY);
  if (!fd) return std::move(fd).error().in("event log");
  return std::shared_ptr<Storage>(std::make_shared<DiskStorage>(*std::move(fd), folder));
}

}  // namespace liongate::event_log
