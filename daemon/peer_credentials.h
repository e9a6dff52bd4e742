// Who is at the other end of a connection: the uid that the kernel vouches for, by connection.
//
// gRPC names a connection that we accepted ourselves "fd:N", N being its descriptor. Descriptors are handed to gRPC on
// numbers that cycle through a large range, so that a number is not used again while a late call of its former owner is
// still on its way.
//
// Ownership and thread: owned by the daemon; all methods from any thread.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>

#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"

namespace liongate::daemon {

struct PeerIdentity {
  uid_t uid = 0;
  bool admitted = false;
};

class PeerCredentials {
 public:
  // `owner` is the uid that the daemon was started with; it and root are admitted.
  explicit PeerCredentials(uid_t owner) : owner_(owner) {}

  // Reads the peer's credentials and moves the connection to the next number. kQueueFull above
  // limits::kConnectionsMax connections that are still open.
  Result<int> enroll(UniqueFd connection);

  // The identity behind a gRPC peer name; nothing for a connection that is not ours.
  std::optional<PeerIdentity> find(std::string_view grpc_peer) const;

 private:
  void sweep();

  uid_t owner_;
  mutable std::mutex mutex_;
  struct Entry {
    PeerIdentity identity;
    std::uint64_t socket_inode = 0;  // tells whether the number still is this connection
  };
  std::unordered_map<int, Entry> by_number_;
  int next_number_ = 0;
};

}  // namespace liongate::daemon
