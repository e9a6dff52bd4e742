#include "sandbox/gate_sockets.h"

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

#include "kernel/base/unique_fd.h"

namespace liongate::sandbox {
namespace {

constexpr int kLoopbackIndex = 1;  // in every new network namespace
constexpr int kBacklog = 128;

// A request to the routing part of the kernel; `Body` is its fixed part, one attribute may follow.
template <typename Body>
struct RouteRequest {
  nlmsghdr header{};
  Body body{};
  rtattr attribute{};
  std::int32_t value = 0;
};

// The kernel answers each request with an errno. Returns it; 0 is success.
template <typename Body>
int ask(int netlink, RouteRequest<Body>& request, bool has_attribute) {
  request.header.nlmsg_len = has_attribute ? sizeof request : NLMSG_LENGTH(sizeof request.body);
  request.header.nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
  if (::send(netlink, &request, request.header.nlmsg_len, 0) < 0) return errno;
  struct {
    nlmsghdr header;
    nlmsgerr error;
    std::byte rest[512];
  } answer{};
  const ssize_t got = ::recv(netlink, &answer, sizeof answer, 0);
  if (got < 0) return errno;
  const bool is_answer =
      got >= static_cast<ssize_t>(NLMSG_LENGTH(sizeof answer.error)) && answer.header.nlmsg_type == NLMSG_ERROR;
  return is_answer ? -answer.error.error : EPROTO;
}

int raise_loopback(int netlink) {
  RouteRequest<ifinfomsg> request;
  request.header.nlmsg_type = RTM_NEWLINK;
  request.body.ifi_index = kLoopbackIndex;
  request.body.ifi_flags = IFF_UP;
  request.body.ifi_change = IFF_UP;
  return ask(netlink, request, false);
}

// All addresses of `family` are this host's own.
int route_all_here(int netlink, unsigned char family) {
  RouteRequest<rtmsg> request;
  request.header.nlmsg_type = RTM_NEWROUTE;
  request.header.nlmsg_flags = NLM_F_CREATE | NLM_F_EXCL;
  request.body.rtm_family = family;
  request.body.rtm_table = RT_TABLE_LOCAL;
  request.body.rtm_protocol = RTPROT_STATIC;
  request.body.rtm_scope = RT_SCOPE_HOST;
  request.body.rtm_type = RTN_LOCAL;
  request.attribute.rta_type = RTA_OIF;
  request.attribute.rta_len = RTA_LENGTH(sizeof request.value);
  request.value = kLoopbackIndex;
  return ask(netlink, request, true);
}

enum class Families { kBoth, kIpv4 };

UniqueFd make_door(int type, Families families) {
  const int family = families == Families::kBoth ? AF_INET6 : AF_INET;
  UniqueFd door(::socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  const int no = 0;
  if (door.valid() && families == Families::kBoth &&
      ::setsockopt(door.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no) != 0) {
    door.reset();
  }
  return door;
}

}  // namespace

bool open_at(int socket, std::uint16_t port) {
  int domain = 0;
  int type = 0;
  socklen_t size = sizeof domain;
  if (::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) != 0) return false;
  if (::getsockopt(socket, SOL_SOCKET, SO_TYPE, &type, &size) != 0) return false;
  sockaddr_storage address{};
  socklen_t length = sizeof(sockaddr_in);
  if (domain == AF_INET6) {
    auto& six = reinterpret_cast<sockaddr_in6&>(address);
    six.sin6_family = AF_INET6;
    six.sin6_port = htons(port);
    length = sizeof six;
  } else {
    auto& four = reinterpret_cast<sockaddr_in&>(address);
    four.sin_family = AF_INET;
    four.sin_port = htons(port);
  }
  if (::bind(socket, reinterpret_cast<const sockaddr*>(&address), length) != 0) return false;
  return type != SOCK_STREAM || ::listen(socket, kBacklog) == 0;
}

void open_gate(const std::vector<GatePort>& ports, std::size_t spares, SetupReporter& reporter) {
  reporter.begin(Step::kNetworkGate);
  const auto require = [&reporter](int sys_errno, std::string_view what) {
    if (sys_errno != 0) reporter.fail(sys_errno, what);
  };
  const UniqueFd netlink(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE));
  reporter.require(netlink.valid(), "netlink");
  require(raise_loopback(netlink.get()), "loopback");
  require(route_all_here(netlink.get(), AF_INET), "the route of IPv4");
  // A kernel may have no IPv6; then nothing inside can speak it either.
  const bool has_ipv6 = route_all_here(netlink.get(), AF_INET6) == 0;
  const Families families = has_ipv6 ? Families::kBoth : Families::kIpv4;
  std::vector<UniqueFd> doors;
  for (const GatePort& one : ports) {
    for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
      doors.push_back(make_door(type, families));
      reporter.require(doors.back().valid() && open_at(doors.back().get(), static_cast<std::uint16_t>(one.port)),
                       "port " + std::to_string(one.port));
    }
  }
  for (std::size_t pair = 0; pair < spares; ++pair) {
    for (const int type : {SOCK_STREAM, SOCK_DGRAM}) {
      doors.push_back(make_door(type, families));
      reporter.require(doors.back().valid(), "spare");
    }
  }
  reporter.gate_sockets(doors);
}

}  // namespace liongate::sandbox
