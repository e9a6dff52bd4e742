#include "kernel/event_log/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <charconv>

#include "kernel/base/sys.h"

namespace liongate::event_log {
namespace {

constexpr std::size_t kPidTextBytesMax = 64;

Error held_by_another(const std::string& folder, int fd) {
  std::string holder;
  if (auto text = sys::read_fd(fd, kPidTextBytesMax, kLockFileName)) holder = *text;
  while (!holder.empty() && holder.back() == '\n') holder.pop_back();
  const std::string who = holder.empty() ? "another process" : "another daemon (pid " + holder + ")";
  return make_error(Reason::kInternal, "event log folder " + folder + " is in use by " + who)
      .with_hint("stop that daemon, or give this one a --state-dir of its own")
      .with("folder", folder)
      .with("holder_pid", holder);
}

}  // namespace

Result<FolderLock> FolderLock::take(const std::string& folder) {
  auto fd = sys::open(folder + "/" + kLockFileName, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!fd) {
    return std::move(fd)
        .error()
        .in("event log folder " + folder + " cannot be written")
        .with_hint("the daemon's user must own the folder, on a file system that is writable")
        .with("folder", folder);
  }
  if (::flock(fd->get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return held_by_another(folder, fd->get());
    return make_errno_error(Reason::kInternal, "flock " + folder, errno);
  }
  // The pid is for people; a full disk must not keep the daemon from starting.
  const std::string pid = std::to_string(::getpid()) + "\n";
  if (::ftruncate(fd->get(), 0) == 0) (void)sys::write_all(fd->get(), pid);
  return FolderLock(*std::move(fd));
}

bool FolderLock::is_held(const std::string& folder) {
  auto fd = sys::open(folder + "/" + kLockFileName, O_RDONLY | O_NOFOLLOW);
  if (!fd) return false;
  return ::flock(fd->get(), LOCK_SH | LOCK_NB) != 0 && errno == EWOULDBLOCK;
}

}  // namespace liongate::event_log
