// Reports on their way to the daemon over one socket, in order, kept while the socket is full.
//
// Ownership and thread: owned by the launcher's loop; the socket is borrowed.
#pragma once

#include <deque>
#include <vector>

#include "sandbox/launch_protocol.h"
#include "sandbox/packet_socket.h"

namespace liongate::sandbox {

// Two reports a launch, for more launches than descriptors allow; a daemon that far behind is not reading any more.
inline constexpr std::size_t kReportsQueuedMax = 16'384;

class ReportQueue {
 public:
  explicit ReportQueue(int socket) : socket_(socket) {}

  // Fails when the daemon is gone or reads nothing.
  Result<void> send(const Report& report, std::vector<UniqueFd> descriptors = {});
  Result<void> flush();
  bool waiting() const { return !packets_.empty(); }
  // False when what can be left untold should be: the daemon is far behind.
  bool has_room_to_spare() const { return packets_.size() < kReportsQueuedMax / 2; }
  int socket() const { return socket_; }

 private:
  int socket_;
  std::deque<Packet> packets_;
};

}  // namespace liongate::sandbox
