// The names that appear in the folders a plugin may write to, by inotify: what a call's created_files are made of.
//
// The launcher makes the watch before the plugin runs, because it may read folders that the daemon may not. It sees
// folders that existed then, not those made later, and names made by anybody: it tells what appeared while a call ran.
//
// Ownership and thread: one a launch, kernel thread. Owns the descriptor; take() never waits.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernel/base/unique_fd.h"

namespace liongate::supervision {

// Names kept for one call; more are counted.
inline constexpr int kCreatedFilesMax = 64;

class FileWatch {
 public:
  FileWatch() = default;
  // `folders` maps a watch descriptor of `inotify` to the folder's path inside the sandbox.
  FileWatch(UniqueFd inotify, std::map<int, std::string> folders)
      : inotify_(std::move(inotify)), folders_(std::move(folders)) {}

  bool valid() const { return inotify_.valid(); }

  // The names that appeared since the last call. What the kernel's queue could not hold is not among them.
  std::vector<std::string> take();

 private:
  UniqueFd inotify_;
  std::map<int, std::string> folders_;
};

}  // namespace liongate::supervision
