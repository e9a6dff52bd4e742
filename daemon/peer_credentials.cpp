#include "daemon/peer_credentials.h"

#include <fcntl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>

#include "kernel/base/limits.h"

namespace liongate::daemon {
namespace {

// Numbers below belong to files, pipes and gRPC's own descriptors.
constexpr int kFirstNumber = 512;

std::uint64_t inode_of(int fd) {
  struct stat info {};
  return ::fstat(fd, &info) == 0 ? info.st_ino : 0;
}

int number_limit() {
  struct rlimit limit {};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return kFirstNumber + 64;
  constexpr rlim_t kHighest = 1 << 20;
  return static_cast<int>(std::min(limit.rlim_cur, kHighest));
}

}  // namespace

Result<int> PeerCredentials::enroll(UniqueFd connection) {
  struct ucred credentials {};
  socklen_t size = sizeof credentials;
  if (::getsockopt(connection.get(), SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0) {
    return make_errno_error(Reason::kUnauthenticated, "read the peer's credentials", errno);
  }
  const std::lock_guard lock(mutex_);
  if (by_number_.size() >= limits::kConnectionsMax) sweep();
  if (by_number_.size() >= limits::kConnectionsMax) {
    return make_error(Reason::kQueueFull, "no more connections than " + std::to_string(limits::kConnectionsMax));
  }
  const int limit = number_limit();
  if (next_number_ < kFirstNumber || next_number_ >= limit - 1) next_number_ = std::min(kFirstNumber, limit / 2);
  int number = ::fcntl(connection.get(), F_DUPFD_CLOEXEC, next_number_);
  if (number < 0) number = ::fcntl(connection.get(), F_DUPFD_CLOEXEC, 0);
  if (number < 0) return make_errno_error(Reason::kQueueFull, "take a connection", errno);
  next_number_ = number + 1;
  PeerIdentity identity{credentials.uid, credentials.uid == owner_ || credentials.uid == 0};
  by_number_[number] = Entry{identity, inode_of(number)};
  return number;
}

std::optional<PeerIdentity> PeerCredentials::find(std::string_view grpc_peer) const {
  constexpr std::string_view kPrefix = "fd:";
  if (!grpc_peer.starts_with(kPrefix)) return std::nullopt;
  int number = -1;
  const std::string_view digits = grpc_peer.substr(kPrefix.size());
  if (std::from_chars(digits.data(), digits.data() + digits.size(), number).ec != std::errc()) return std::nullopt;
  const std::lock_guard lock(mutex_);
  const auto found = by_number_.find(number);
  if (found == by_number_.end()) return std::nullopt;
  return found->second.identity;
}

void PeerCredentials::sweep() {
  std::erase_if(by_number_, [](const auto& entry) { return inode_of(entry.first) != entry.second.socket_inode; });
}

}  // namespace liongate::daemon
