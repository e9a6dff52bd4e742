#include "kernel/base/sys.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace liongate::sys {
namespace {

template <typename Call>
auto retried(Call call) {
  decltype(call()) result;
  do {
    result = call();
  } while (result < 0 && errno == EINTR);
  return result;
}

Error failed(std::string_view call, std::string_view subject) {
  const int saved = errno;
  return make_errno_error(Reason::kInternal, std::string(call) + " " + std::string(subject), saved);
}

}  // namespace

Result<UniqueFd> open(const std::string& path, int flags, mode_t mode) {
  return open_at(AT_FDCWD, path, flags, mode);
}

Result<UniqueFd> open_at(int dir_fd, const std::string& path, int flags, mode_t mode) {
  const int fd = retried([&] { return ::openat(dir_fd, path.c_str(), flags | O_CLOEXEC, mode); });
  if (fd < 0) return failed("open", path);
  return UniqueFd(fd);
}

Result<std::pair<UniqueFd, UniqueFd>> pipe(int flags) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | flags) != 0) return failed("pipe2", "");
  return std::pair{UniqueFd(ends[0]), UniqueFd(ends[1])};
}

Result<void> write_all(int fd, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t written = retried([&] { return ::write(fd, bytes.data(), bytes.size()); });
    if (written < 0) return failed("write", "");
    bytes = bytes.subspan(static_cast<std::size_t>(written));
  }
  return {};
}

Result<void> write_all(int fd, std::string_view text) {
  return write_all(fd, std::as_bytes(std::span(text.data(), text.size())));
}

Result<std::string> read_file(const std::string& path, std::size_t bytes_max) {
  LG_ASSIGN(UniqueFd fd, open(path, O_RDONLY));
  return read_fd(fd.get(), bytes_max, path);
}

Result<std::string> read_fd(int fd, std::size_t bytes_max, std::string_view subject) {
  std::string text;
  char chunk[16 * 1024];
  for (;;) {
    const ssize_t got = retried([&] { return ::read(fd, chunk, sizeof chunk); });
    if (got < 0) return failed("read", subject);
    if (got == 0) return text;
    text.append(chunk, static_cast<std::size_t>(got));
    if (text.size() > bytes_max) {
      return make_error(Reason::kInvalidArgument,
                        std::string(subject) + " is larger than " + std::to_string(bytes_max) + " bytes");
    }
  }
}

Result<std::size_t> read_at(int fd, std::span<std::byte> bytes, std::uint64_t offset) {
  std::size_t have = 0;
  while (have < bytes.size()) {
    const ssize_t got = retried(
        [&] { return ::pread(fd, bytes.data() + have, bytes.size() - have, static_cast<off_t>(offset + have)); });
    if (got < 0) return failed("pread", "");
    if (got == 0) break;
    have += static_cast<std::size_t>(got);
  }
  return have;
}

Result<UniqueFd> duplicate(int fd) {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return make_errno_error(Reason::kInternal, "duplicate a descriptor", errno);
  return UniqueFd(copy);
}

Result<void> set_nonblocking(int fd) {
  const int flags = ::fcntl(fd, F_GETFL);
  if (flags < 0 || ::fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0) return failed("fcntl", "O_NONBLOCK");
  return {};
}

void name_thread(const char* name) {
  (void)::prctl(PR_SET_NAME, name);  // it only helps whoever looks
}

Result<void> make_directories(const std::string& path, mode_t mode) {
  for (std::size_t at = path.find('/', 1);; at = path.find('/', at + 1)) {
    const std::string prefix = path.substr(0, at);
    if (!prefix.empty() && ::mkdir(prefix.c_str(), mode) != 0 && errno != EEXIST) return failed("mkdir", prefix);
    if (at == std::string::npos) break;
  }
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return failed("stat", path);
  if (!S_ISDIR(info.st_mode)) {
    errno = ENOTDIR;
    return failed("mkdir", path);
  }
  return {};
}

Result<void> sync_directory(const std::string& path) {
  LG_ASSIGN(UniqueFd fd, open(path, O_RDONLY | O_DIRECTORY));
  if (::fsync(fd.get()) != 0) return failed("fsync", path);
  return {};
}

}  // namespace liongate::sys
