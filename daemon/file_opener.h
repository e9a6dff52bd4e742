// Opens plugin files, with the launcher's rights where the daemon's own do not do (it gave root up).
//
// Ownership and thread: one, used by the inspector's thread alone; it owns the launcher's files socket and waits on it.
#pragma once

#include <string>

#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"
#include "sandbox/launcher_process.h"

namespace liongate::daemon {

class FileOpener {
 public:
  explicit FileOpener(UniqueFd files_socket) : socket_(std::move(files_socket)) {}

  // Opens a file or folder read-only. The error's sys_errno is open(2)'s; ELOOP for a symbolic link.
  Result<UniqueFd> open(const std::string& path, sandbox::OpenKind kind);

 private:
  UniqueFd socket_;
  std::uint64_t last_request_ = 0;
};

}  // namespace liongate::daemon
