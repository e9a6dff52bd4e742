#include "sandbox/doorbell.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstring>

#include "sandbox/gate_sockets.h"

namespace liongate::sandbox {
namespace {

// Where the address and its length are among the arguments; both calls have them one behind the other.
std::pair<std::size_t, std::size_t> address_arguments(int number) {
  return number == SYS_connect ? std::pair<std::size_t, std::size_t>{1, 2} : std::pair<std::size_t, std::size_t>{4, 5};
}

// Loopback, and no address at all: what the program says to itself. The gate is not there, and a door would be in the
// way of a server of its own.
bool is_of_the_sandbox(const sockaddr_in6& address) {
  in_addr four{};
  if (address.sin6_family == AF_INET) {
    four = reinterpret_cast<const sockaddr_in&>(address).sin_addr;
  } else if (IN6_IS_ADDR_V4MAPPED(&address.sin6_addr)) {
    std::memcpy(&four, &address.sin6_addr.s6_addr[12], sizeof four);
  } else {
    return IN6_IS_ADDR_LOOPBACK(&address.sin6_addr) || IN6_IS_ADDR_UNSPECIFIED(&address.sin6_addr);
  }
  return ntohl(four.s_addr) >> IN_CLASSA_NSHIFT == IN_LOOPBACKNET || four.s_addr == INADDR_ANY;
}

std::optional<std::uint16_t> port_of(const seccomp_notif& notification) {
  const auto [pointer, length] = address_arguments(notification.data.nr);
  sockaddr_in6 address{};  // the port of IPv4 stands at the same place
  const std::size_t bytes = std::min<std::size_t>(notification.data.args[length], sizeof address);
  if (bytes < sizeof(sockaddr_in)) return std::nullopt;
  const iovec here{&address, bytes};
  const iovec there{reinterpret_cast<void*>(notification.data.args[pointer]), bytes};
  const auto got = ::process_vm_readv(static_cast<pid_t>(notification.pid), &here, 1, &there, 1, 0);
  if (got != static_cast<ssize_t>(bytes)) return std::nullopt;
  if (address.sin6_family != AF_INET && address.sin6_family != AF_INET6) return std::nullopt;
  if (is_of_the_sandbox(address)) return std::nullopt;
  const std::uint16_t port = ntohs(address.sin6_port);
  return port == 0 ? std::nullopt : std::optional(port);
}

}  // namespace

Doorbell::Doorbell(std::vector<UniqueFd> spares, const std::vector<GatePort>& open)
    : spares_(std::move(spares)), doors_max_(spares_.size() / 2) {
  for (const GatePort& one : open) open_.insert(static_cast<std::uint16_t>(one.port));
}

std::optional<Doorbell::Door> Doorbell::ring(const seccomp_notif& notification) {
  const auto port = port_of(notification);
  if (!port || open_.contains(*port)) return std::nullopt;
  if (spares_.size() < 2) {
    is_used_up_ = true;
    return std::nullopt;
  }
  open_.insert(*port);  // whatever comes of it: a port that the program listens on itself is its own business
  Door door{*port, std::move(spares_[spares_.size() - 2]), std::move(spares_.back())};
  spares_.resize(spares_.size() - 2);
  if (!open_at(door.listener.get(), *port) || !open_at(door.datagrams.get(), *port)) return std::nullopt;
  return door;
}

}  // namespace liongate::sandbox
