#include "tests/plugins/probe_network.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/netlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace liongate::tests {
namespace {

constexpr int kConnectTimeoutMs = 500;

std::string finished_connect(int fd) {
  pollfd ready{.fd = fd, .events = POLLOUT, .revents = 0};
  if (::poll(&ready, 1, kConnectTimeoutMs) == 0) return "no answer";
  int error = 0;
  socklen_t length = sizeof(error);
  ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length);
  return error == 0 ? "connected" : error_name(error);
}

std::string try_tcp(const std::string& address, std::uint16_t port) {
  const std::string line = "tcp " + address + ":" + std::to_string(port) + ": ";
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return line + "no socket: " + error_name(errno) + '\n';
  sockaddr_in to{};
  to.sin_family = AF_INET;
  to.sin_port = htons(port);
  ::inet_pton(AF_INET, address.c_str(), &to.sin_addr);
  std::string result = "connected";
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) < 0) {
    result = errno == EINPROGRESS ? finished_connect(fd) : error_name(errno);
  }
  ::close(fd);
  return line + result + '\n';
}

std::string try_socket(const char* name, int family, int type, int protocol) {
  const int fd = ::socket(family, type | SOCK_CLOEXEC, protocol);
  const std::string line = std::string("socket ") + name + ": " + (fd < 0 ? error_name(errno) : "made") + '\n';
  if (fd >= 0) ::close(fd);
  return line;
}

// The abstract namespace belongs to the network namespace: D-Bus and X of the host must not be there.
std::string try_abstract_unix(const std::string& name) {
  const std::string line = "unix @" + name + ": ";
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return line + "no socket: " + error_name(errno) + '\n';
  sockaddr_un to{};
  to.sun_family = AF_UNIX;
  std::memcpy(to.sun_path + 1, name.data(), name.size());
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  const int result = ::connect(fd, reinterpret_cast<const sockaddr*>(&to), length);
  const std::string outcome = result == 0 ? "connected" : error_name(errno);
  ::close(fd);
  return line + outcome + '\n';
}

std::string interfaces() {
  std::string line = "interfaces:";
  struct if_nameindex* all = ::if_nameindex();
  if (all == nullptr) return line + ' ' + error_name(errno) + '\n';
  for (const struct if_nameindex* one = all; one->if_index != 0; ++one) line += std::string(" ") + one->if_name;
  ::if_freenameindex(all);
  return line + '\n';
}

}  // namespace

std::string probe_network(const std::string& argument) {
  std::string lines = interfaces();
  lines += try_socket("inet stream", AF_INET, SOCK_STREAM, 0);
  lines += try_socket("inet6 stream", AF_INET6, SOCK_STREAM, 0);
  lines += try_socket("inet datagram", AF_INET, SOCK_DGRAM, 0);
  lines += try_socket("inet raw", AF_INET, SOCK_RAW, IPPROTO_ICMP);
  lines += try_socket("netlink", AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  lines += try_socket("packet", AF_PACKET, SOCK_RAW, 0);
  lines += try_socket("unix stream", AF_UNIX, SOCK_STREAM, 0);
  lines += try_tcp("127.0.0.1", 1);
  lines += try_tcp("1.1.1.1", 53);
  lines += try_abstract_unix("liongate-probe");
  const std::size_t colon = argument.rfind(':');
  if (colon != std::string::npos) {
    lines += try_tcp(argument.substr(0, colon),
                     static_cast<std::uint16_t>(std::strtoul(argument.c_str() + colon + 1, nullptr, 10)));
  }
  return lines;
}

}  // namespace liongate::tests
