// The exclusive hold of one daemon on a log's folder.
//
// Ownership and thread: move-only; the hold ends with the object or with the process, however that dies.
// Errors: kInternal, naming the folder, why it cannot be used and, if known, the process that holds it.
#pragma once

#include <string>

#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"

namespace liongate::event_log {

inline constexpr const char* kLockFileName = "lock";

class FolderLock {
 public:
  // Takes the hold, or says who has it. Writes our pid into the lock file for the next one to name.
  static Result<FolderLock> take(const std::string& folder);

  // True if some process holds `folder` now. Only looks: makes no file, and lets go at once.
  static bool is_held(const std::string& folder);

 private:
  explicit FolderLock(UniqueFd file) : file_(std::move(file)) {}
  UniqueFd file_;
};

}  // namespace liongate::event_log
