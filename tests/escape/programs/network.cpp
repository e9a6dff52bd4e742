// N01 to N15 as far as they are about having no network at all. What is about named hosts comes with the gateway.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <sstream>

#include "tests/escape/programs/attempt.h"

namespace liongate::escape {
namespace {

constexpr int kDiscardPort = 9;

struct Address {
  sockaddr_storage storage{};
  socklen_t length = 0;
  int family = 0;
  const sockaddr* pointer() const { return reinterpret_cast<const sockaddr*>(&storage); }
};

Address address_of(const std::string& host, int port) {
  Address address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (::inet_pton(AF_INET, host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(static_cast<std::uint16_t>(port));
    address.length = sizeof *v4;
    address.family = AF_INET;
    return address;
  }
  ::inet_pton(AF_INET6, host.c_str(), &v6->sin6_addr);
  v6->sin6_family = AF_INET6;
  v6->sin6_port = htons(static_cast<std::uint16_t>(port));
  address.length = sizeof *v6;
  address.family = AF_INET6;
  return address;
}

// What the connect said where a socket could be made, else what socket() said. Never waits.
std::string connect_to(const std::string& host, int port) {
  const Address address = address_of(host, port);
  const int fd = ::socket(address.family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return outcome_of(-1);
  const std::string outcome = outcome_of(::connect(fd, address.pointer(), address.length));
  ::close(fd);
  return "socket, " + outcome;
}

void connect_anywhere(const Scene& scene, Report& report) {
  const int port = static_cast<int>(scene.number("tcp_port", kDiscardPort));
  for (const char* host : {"192.0.2.1", "2001:db8::1", "127.0.0.1"}) {
    report.describe(host, [&] { return connect_to(host, port); });
  }
  // Neither the descriptors that it has nor a pair of its own can be made a way out.
  report.attempt("connect of a pair", [&] {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()) != 0) return -1L;
    const Address address = address_of("127.0.0.1", port);
    return ::syscall(SYS_connect, pair[0], address.pointer(), address.length);
  });
}

void connect_to_own_host(const Scene& scene, Report& report) {
  const int port = static_cast<int>(scene.number("tcp_port", kDiscardPort));
  for (const char* host : {"127.0.0.1", "::1", "0.0.0.0", "::ffff:127.0.0.1", "127.1.2.3"}) {
    report.describe(host, [&] { return connect_to(host, port); });
  }
}

void connect_to_metadata(const Scene&, Report& report) {
  for (const char* host : {"169.254.169.254", "fd00:ec2::254", "100.100.100.200"}) {
    report.describe(host, [&] { return connect_to(host, 80); });
  }
}

void send_datagrams(const Scene& scene, Report& report) {
  const Address address = address_of("127.0.0.1", static_cast<int>(scene.number("udp_port", kDiscardPort)));
  // What socket() said where none could be made, else what the sending said.
  const auto with_socket = [](int type, const std::function<long(int)>& send) {
    const int fd = ::socket(AF_INET, type | SOCK_CLOEXEC, 0);
    return fd < 0 ? -1L : send(fd);
  };
  char byte = 'x';
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_name = const_cast<sockaddr*>(address.pointer());
  message.msg_namelen = address.length;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  report.attempt("socket", [&] { return with_socket(SOCK_DGRAM, [](int fd) { return fd; }); });
  report.attempt("sendto", [&] {
    return with_socket(
        SOCK_DGRAM, [&](int fd) { return ::syscall(SYS_sendto, fd, &byte, 1, 0, address.pointer(), address.length); });
  });
  report.attempt("sendmsg", [&] {
    return with_socket(SOCK_DGRAM, [&](int fd) { return ::syscall(SYS_sendmsg, fd, &message, 0); });
  });
  report.attempt("sendmmsg", [&] {
    return with_socket(SOCK_DGRAM, [&](int fd) {
      mmsghdr messages[1] = {{message, 0}};
      return ::syscall(SYS_sendmmsg, fd, messages, 1, 0);
    });
  });
  report.attempt("fast open", [&] {
    return with_socket(SOCK_STREAM | SOCK_NONBLOCK, [&](int fd) {
      return ::syscall(SYS_sendto, fd, &byte, 1, MSG_FASTOPEN, address.pointer(), address.length);
    });
  });
}

struct Family {
  const char* name;
  int family, type, protocol;
};

void make_sockets(std::span<const Family> families, Report& report) {
  for (const Family& wanted : families) {
    report.attempt(wanted.name, [&] { return ::syscall(SYS_socket, wanted.family, wanted.type, wanted.protocol); });
  }
}

void odd_families(const Scene&, Report& report) {
  constexpr Family kFamilies[] = {
      {"RAW ICMP", AF_INET, SOCK_RAW, 1},
      {"RAW v6", AF_INET6, SOCK_RAW, 58},
      {"RAW TCP", AF_INET, SOCK_RAW, 6},
      {"ping", AF_INET, SOCK_DGRAM, 1},
      {"PACKET", AF_PACKET, SOCK_RAW, 0x300},
      {"PACKET DGRAM", AF_PACKET, SOCK_DGRAM, 0x300},
      {"NETLINK ROUTE", AF_NETLINK, SOCK_RAW, 0},
      {"NETLINK NETFILTER", AF_NETLINK, SOCK_RAW, 12},
      {"NETLINK UEVENT", AF_NETLINK, SOCK_RAW, 15},
      {"NETLINK AUDIT", AF_NETLINK, SOCK_RAW, 9},
      {"VSOCK", 40, SOCK_STREAM, 0},
      {"ALG", 38, SOCK_SEQPACKET, 0},
      {"TIPC", 30, SOCK_SEQPACKET, 0},
      {"KEY", 15, SOCK_RAW, 2},
      {"XDP", 44, SOCK_RAW, 0},
      {"BLUETOOTH", 31, SOCK_RAW, 1},
      {"CAN", 29, SOCK_RAW, 1},
      {"KCM", 41, SOCK_DGRAM, 0},
      {"RXRPC", 33, SOCK_DGRAM, 2},
      {"QIPCRTR", 42, SOCK_DGRAM, 0},
      {"UNIX STREAM", AF_UNIX, SOCK_STREAM, 0},
      {"UNIX DGRAM", AF_UNIX, SOCK_DGRAM, 0},
  };
  make_sockets(kFamilies, report);
}

void odd_protocols(const Scene&, Report& report) {
  constexpr Family kProtocols[] = {
      {"SCTP", AF_INET, SOCK_STREAM, 132},     {"SCTP SEQPACKET", AF_INET, SOCK_SEQPACKET, 132},
      {"SCTP v6", AF_INET6, SOCK_STREAM, 132}, {"DCCP", AF_INET, 6, 33},
      {"MPTCP", AF_INET, SOCK_STREAM, 262},    {"MPTCP v6", AF_INET6, SOCK_STREAM, 262},
      {"UDPLITE", AF_INET, SOCK_DGRAM, 136},   {"SMC", 43, SOCK_STREAM, 0},
  };
  make_sockets(kProtocols, report);
}

void listen_here(const Scene&, Report& report) {
  const Address any = address_of("0.0.0.0", 0);
  report.attempt("bind and listen", [&] {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1L;
    if (::syscall(SYS_bind, fd, any.pointer(), any.length) != 0) return -1L;
    return ::syscall(SYS_listen, fd, 1);
  });
  // On what it has: a pair of its own, and the descriptors it was started with.
  report.attempt("bind a pair", [] {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()) != 0) return -1L;
    const sockaddr name{AF_UNIX, {}};
    return ::syscall(SYS_bind, pair[0], &name, sizeof(sa_family_t));
  });
  report.attempt("listen on a pair", [] {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()) != 0) return -1L;
    return ::syscall(SYS_listen, pair[0], 1);
  });
  // Of its own network namespace, which has loopback alone and that is down.
  report.describe("interfaces", [] {
    std::istringstream table(contents_of("/proc/self/net/dev"));
    std::string names;
    for (std::string line; std::getline(table, line);) {
      const std::size_t colon = line.find(':');
      if (colon == std::string::npos) continue;
      names +=
          (names.empty() ? "" : ",") + line.substr(line.find_first_not_of(' '), colon - line.find_first_not_of(' '));
    }
    return names;
  });
}

constexpr Check kChecks[] = {
    {"N01", connect_anywhere}, {"N05", connect_to_own_host}, {"N06", connect_to_metadata}, {"N11", send_datagrams},
    {"N13", odd_families},     {"N14", odd_protocols},       {"N15", listen_here},
};

}  // namespace

std::span<const Check> network_checks() {
  return kChecks;
}

}  // namespace liongate::escape
