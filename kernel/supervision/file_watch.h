// The names that appear in the folders a plugin may write to, by inotify: what a call's created_files are made of.
//
// The launcher makes the watch before the plugin runs, because it may read folders that the daemon may not. It sees
// folders that existed then, not those made later, and names made by anybody: it tells what appeared while a call ran.
//
// Ownership and thread: one a launch, kernel thread. Owns the descriptor; take() never waits, and a plugin that makes
// files as fast as it can keeps nobody waiting: one look reads kLookBytesMax, names beyond kCreatedFilesMax are
// counted.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "kernel/base/unique_fd.h"

namespace liongate::supervision {

inline constexpr int kCreatedFilesMax = 64;               // names kept of one look, and for one call
inline constexpr std::size_t kLookBytesMax = 512 * 1024;  // of the kernel's queue, which holds some 16,000 names

struct CreatedFiles {
  std::vector<std::string> names;
  std::uint32_t left_out = 0;  // further names
};

class FileWatch {
 public:
  FileWatch() = default;
  // `folders` maps a watch descriptor of `inotify` to the folder's path inside the sandbox.
  FileWatch(UniqueFd inotify, std::map<int, std::string> folders)
      : inotify_(std::move(inotify)), folders_(std::move(folders)) {}

  bool valid() const { return inotify_.valid(); }

  // What appeared since the last look. What the kernel's queue could not hold is not among it.
  CreatedFiles take();

 private:
  UniqueFd inotify_;
  std::map<int, std::string> folders_;
};

}  // namespace liongate::supervision
