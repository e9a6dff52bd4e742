// One packet with its descriptors over a SOCK_SEQPACKET socket, sent and received whole.
//
// Ownership and thread: descriptors to send are borrowed, received ones are owned and close-on-exec. Any thread, one at
// a time a socket. Errors carry sys_errno: EAGAIN on a non-blocking socket, EPIPE when the peer is gone, EMSGSIZE for a
// packet or a set of descriptors beyond the bounds of kernel/base/limits.h.
#pragma once

#include <sys/types.h>

#include <cstddef>
#include <span>
#include <vector>

#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"

namespace liongate::sandbox {

struct Packet {
  std::vector<std::byte> bytes;
  std::vector<UniqueFd> descriptors;
};

Result<void> send_packet(int socket, std::span<const std::byte> bytes, std::span<const int> descriptors);

// A peer that closed its end is EPIPE.
Result<Packet> receive_packet(int socket);

// Two connected ends, close-on-exec, with buffers large enough for the largest packet.
Result<std::pair<UniqueFd, UniqueFd>> packet_socket_pair();

}  // namespace liongate::sandbox
