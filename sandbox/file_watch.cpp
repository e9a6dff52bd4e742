#include "sandbox/file_watch.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/inotify.h>

#include <algorithm>
#include <deque>
#include <memory>

#include "kernel/base/sys.h"

namespace liongate::sandbox {
namespace {

std::string by_descriptor(int fd) {
  return "/proc/self/fd/" + std::to_string(fd);
}

struct Folder {
  UniqueFd fd;
  std::string path;
};

class Watcher {
 public:
  explicit Watcher(FileWatch& watch) : watch_(watch) {}

  // Breadth first: where not all can be watched, those near the granted folder are. No link is followed.
  void add(int tree_fd, const std::string& path) {
    auto root = sys::open(by_descriptor(tree_fd), O_RDONLY | O_DIRECTORY | O_NONBLOCK);
    if (!root) return;
    std::deque<Folder> todo;
    todo.push_back({std::move(*root), path});
    while (!todo.empty()) {
      const Folder folder = std::move(todo.front());
      todo.pop_front();
      if (!watch(folder)) return;
      list(folder, todo);
    }
  }

 private:
  bool watch(const Folder& folder) {
    path_bytes_ += folder.path.size();
    if (watch_.folders.size() >= kWatchedFoldersMax || path_bytes_ > kWatchedPathBytesMax) return false;
    const int number = ::inotify_add_watch(watch_.inotify.get(), by_descriptor(folder.fd.get()).c_str(),
                                           IN_CREATE | IN_MOVED_TO | IN_ONLYDIR);
    if (number < 0) return false;
    watch_.folders.push_back({number, folder.path});
    return true;
  }

  void list(const Folder& folder, std::deque<Folder>& todo) {
    auto again = sys::open_at(folder.fd.get(), ".", O_RDONLY | O_DIRECTORY);
    if (!again) return;
    const std::unique_ptr<DIR, int (*)(DIR*)> names(::fdopendir(again->get()), ::closedir);
    if (!names) return;
    static_cast<void>(again->release());  // the stream's now
    while (const dirent* entry = ::readdir(names.get())) {
      if (++entries_ > kWatchEntriesMax || todo.size() >= kWatchedFoldersMax) return;
      const std::string name = entry->d_name;
      if (entry->d_type != DT_DIR || name == "." || name == "..") continue;
      if (auto fd = sys::open_at(folder.fd.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK)) {
        todo.push_back({std::move(*fd), folder.path + "/" + name});
      }
    }
  }

  FileWatch& watch_;
  std::size_t path_bytes_ = 0;
  std::size_t entries_ = 0;
};

}  // namespace

FileWatch watch_writable_folders(const std::vector<BindMount>& binds, const std::vector<Grant>& grants) {
  FileWatch watch;
  Watcher watcher(watch);
  for (const Grant& grant : grants) {
    const bool is_writable = std::any_of(binds.begin(), binds.end(), [&grant](const BindMount& bind) {
      return bind.access == Access::kReadWrite && bind.target == grant.target && bind.source == grant.source;
    });
    if (!is_writable || grant.kind != GrantKind::kFolder) continue;
    if (!watch.inotify.valid()) watch.inotify.reset(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
    if (!watch.inotify.valid()) return watch;
    watcher.add(grant.tree.get(), grant.target);
  }
  if (watch.folders.empty()) watch.inotify.reset();
  return watch;
}

}  // namespace liongate::sandbox
