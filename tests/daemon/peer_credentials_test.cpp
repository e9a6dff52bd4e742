// Goal: a connection is who the kernel says it is, under the name that gRPC gives it, for as long as it is open.
#include "daemon/peer_credentials.h"

#include <sys/socket.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <vector>

#include "kernel/base/limits.h"

using namespace liongate;
using daemon::PeerCredentials;

namespace {

struct Connection {
  UniqueFd daemon;
  UniqueFd client;
};

Connection connect() {
  int ends[2] = {-1, -1};
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) == 0);
  return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

std::string name_of(int number) {
  return "fd:" + std::to_string(number);
}

}  // namespace

TEST_CASE("the owner of the daemon is admitted under the name that gRPC gives the connection") {
  PeerCredentials credentials(::getuid());
  Connection connection = connect();
  const UniqueFd moved(credentials.enroll(std::move(connection.daemon)).value());
  const auto identity = credentials.find(name_of(moved.get()));
  REQUIRE(identity.has_value());
  CHECK(identity->uid == ::getuid());
  CHECK(identity->admitted);
}

TEST_CASE("somebody else is known but not admitted, unless it is root") {
  PeerCredentials credentials(::getuid() + 1);
  Connection connection = connect();
  const UniqueFd moved(credentials.enroll(std::move(connection.daemon)).value());
  const auto identity = credentials.find(name_of(moved.get()));
  REQUIRE(identity.has_value());
  CHECK(identity->admitted == (::getuid() == 0));
}

TEST_CASE("a connection that is not ours is nobody") {
  const PeerCredentials credentials(::getuid());
  for (const char* peer : {"", "fd:", "fd:x", "fd:12345", "unix:/run/x", "ipv4:127.0.0.1:80"}) {
    INFO(peer);
    CHECK_FALSE(credentials.find(peer).has_value());
  }
}

TEST_CASE("what has no credentials is UNAUTHENTICATED") {
  PeerCredentials credentials(::getuid());
  int ends[2] = {-1, -1};
  REQUIRE(::pipe(ends) == 0);
  const UniqueFd other(ends[1]);
  CHECK(credentials.enroll(UniqueFd(ends[0])).error().reason == Reason::kUnauthenticated);
}

TEST_CASE("a number is not used again soon: a late call is not taken for its successor's") {
  PeerCredentials credentials(::getuid());
  int last = -1;
  for (int i = 0; i < 50; ++i) {
    Connection connection = connect();
    const UniqueFd moved(credentials.enroll(std::move(connection.daemon)).value());
    CHECK(moved.get() > last);
    last = moved.get();
  }
}

TEST_CASE("open connections are bounded; closed ones make room") {
  PeerCredentials credentials(::getuid());
  std::vector<UniqueFd> open;
  std::vector<UniqueFd> clients;
  for (std::size_t i = 0; i < limits::kConnectionsMax; ++i) {
    Connection connection = connect();
    Result<int> number = credentials.enroll(std::move(connection.daemon));
    if (!number) {
      WARN("this process may not open " << limits::kConnectionsMax << " connections");
      return;
    }
    open.emplace_back(*number);
    clients.push_back(std::move(connection.client));
    clients.back().reset();  // the client's end is not needed, and descriptors are few
  }
  CHECK(credentials.enroll(connect().daemon).error().reason == Reason::kQueueFull);
  open.resize(open.size() / 2);
  const Result<int> again = credentials.enroll(connect().daemon);
  REQUIRE(again.has_value());
  ::close(*again);
}
