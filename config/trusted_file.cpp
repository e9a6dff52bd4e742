#include "config/trusted_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "kernel/base/sys.h"

namespace liongate::config {
namespace {

Error refused(const std::string& path, const std::string& why, const std::string& command) {
  return make_error(Reason::kInvalidConfig, path + ": " + why + ", who could tell this daemon what to do")
      .with_hint(command + " " + path);
}

}  // namespace

Result<std::string> read_trusted_file(const std::string& path, std::size_t bytes_max) {
  const auto as_config_error = [](Error error) {
    Error config_error = make_error(Reason::kInvalidConfig, error.message);
    config_error.sys_errno = error.sys_errno;
    return config_error;
  };
  Result<UniqueFd> file = sys::open(path, O_RDONLY | O_NONBLOCK);  // a FIFO would keep us waiting for its writer
  if (!file) return as_config_error(std::move(file).error());
  struct stat info {};
  if (::fstat(file->get(), &info) != 0) return make_errno_error(Reason::kInvalidConfig, path, errno);
  if (info.st_uid != 0 && info.st_uid != ::geteuid()) {
    return refused(path, "it belongs to uid " + std::to_string(info.st_uid), "chown root");
  }
  if ((info.st_mode & S_IWOTH) != 0) return refused(path, "everybody may write it", "chmod o-w");
  if ((info.st_mode & S_IWGRP) != 0 && info.st_uid == 0 && info.st_gid != 0) {
    return refused(path, "gid " + std::to_string(info.st_gid) + " may write it", "chmod g-w");
  }
  Result<std::string> text = sys::read_fd(file->get(), bytes_max, path);
  return text ? std::move(text) : Result<std::string>(as_config_error(std::move(text).error()));
}

}  // namespace liongate::config
