#include "daemon/control_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "kernel/base/limits.h"
#include "kernel/base/sys.h"

namespace liongate::daemon {
namespace {

constexpr int kBacklog = 512;
constexpr int kAcceptsPerTurn = 64;
constexpr int kRetryMs = 50;

Result<UniqueFd> unix_socket() {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!fd) return make_errno_error(Reason::kInternal, "socket", errno);
  return fd;
}

sockaddr_un address_of(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  return address;
}

// Removes what is left of a daemon that was killed; refuses anything else that is there.
Result<void> clear_stale(const std::string& path) {
  struct stat info {};
  if (::lstat(path.c_str(), &info) != 0) return {};
  if (!S_ISSOCK(info.st_mode)) {
    return make_error(Reason::kInvalidConfig, "socket " + path + ": a file of another kind is there")
        .with_hint("name another path with --socket; nothing was removed");
  }
  LG_ASSIGN(const UniqueFd probe, unix_socket());
  const sockaddr_un address = address_of(path);
  if (::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN) {
    return make_error(Reason::kInternal, "socket " + path + ": another daemon answers there")
        .with_hint("stop it, or name another path with --socket");
  }
  if (errno != ECONNREFUSED) return make_errno_error(Reason::kInternal, "connect to " + path, errno);
  if (::unlink(path.c_str()) != 0) return make_errno_error(Reason::kInternal, "remove the stale socket " + path, errno);
  return {};
}

}  // namespace

Result<UniqueFd> listen_on(const std::string& path) {
  if (path.size() > limits::kSocketPathBytesMax) {
    return make_error(Reason::kInvalidConfig, "socket path of " + std::to_string(path.size()) +
                                                  " bytes is too long; the system allows " +
                                                  std::to_string(limits::kSocketPathBytesMax) + ": " + path)
        .with_hint("name a shorter path with --socket");
  }
  const std::string folder = std::filesystem::path(path).parent_path().string();
  if (!folder.empty()) LG_TRY(sys::make_directories(folder, 0755));
  LG_TRY(clear_stale(path));
  LG_ASSIGN(UniqueFd fd, unix_socket());
  const sockaddr_un address = address_of(path);
  // The mode must hold from the first moment on: between bind and chmod anybody could connect.
  const mode_t before = ::umask(0177);
  const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
  const int saved = errno;
  ::umask(before);
  if (bound != 0) return make_errno_error(Reason::kInternal, "bind " + path, saved);
  if (::listen(fd.get(), kBacklog) != 0) return make_errno_error(Reason::kInternal, "listen on " + path, errno);
  return fd;
}

ControlSocket::ControlSocket(boost::asio::io_context& io, UniqueFd listening, std::string path,
                             OnConnection on_connection)
    : listening_(io, listening.release()),
      retry_timer_(io),
      path_(std::move(path)),
      on_connection_(std::move(on_connection)) {
  struct stat info {};
  if (::lstat(path_.c_str(), &info) == 0) inode_ = info.st_ino;
}

ControlSocket::~ControlSocket() {
  stop();
}

void ControlSocket::stop() {
  if (!listening_.is_open()) return;
  retry_timer_.cancel();
  boost::system::error_code ignored;
  listening_.close(ignored);
  struct stat info {};
  if (::lstat(path_.c_str(), &info) == 0 && info.st_ino == inode_) ::unlink(path_.c_str());
}

void ControlSocket::wait() {
  listening_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                        [this](const boost::system::error_code& error) {
                          if (!error) accept();
                        });
}

void ControlSocket::accept() {
  for (int i = 0; i < kAcceptsPerTurn; ++i) {
    UniqueFd connection(::accept4(listening_.native_handle(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
    if (!connection && errno != EAGAIN && errno != ECONNABORTED) {
      // Out of descriptors: the waiting connection would wake us again and again; it waits a moment instead.
      retry_timer_.expires_after(std::chrono::milliseconds(kRetryMs));
      retry_timer_.async_wait([this](const boost::system::error_code& error) {
        if (!error) accept();
      });
      return;
    }
    if (!connection) break;
    on_connection_(std::move(connection));
  }
  wait();
}

}  // namespace liongate::daemon
