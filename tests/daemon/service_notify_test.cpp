// Goal: the service manager hears how we are, over the socket it names; without one nothing happens.
#include "daemon/service_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "tests/daemon/fake_file_server.h"

using namespace liongate;
using namespace liongate::testing;
using daemon::ServiceNotify;

namespace {

// What a service manager listens on. A name that begins with @ is abstract.
UniqueFd manager_on(const std::string& name) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name[0] == '@') address.sun_path[0] = '\0';
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), size) == 0);
  return fd;
}

std::string received(const UniqueFd& manager) {
  char text[256];
  const ssize_t got = ::recv(manager.get(), text, sizeof text, 0);
  return got < 0 ? "" : std::string(text, static_cast<std::size_t>(got));
}

ServiceNotify notify_with(const char* socket, const char* watchdog_usec = nullptr, const char* watchdog_pid = nullptr) {
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
  ::unsetenv("WATCHDOG_PID");
  if (socket != nullptr) ::setenv("NOTIFY_SOCKET", socket, 1);
  if (watchdog_usec != nullptr) ::setenv("WATCHDOG_USEC", watchdog_usec, 1);
  if (watchdog_pid != nullptr) ::setenv("WATCHDOG_PID", watchdog_pid, 1);
  return ServiceNotify::from_environment();
}

}  // namespace

TEST_CASE("the manager hears of each step") {
  const TemporaryFolder folder;
  const std::string name = GENERATE(as<std::string>{}, "path", "abstract");
  const std::string socket = name == "path" ? folder.path + "/notify" : "@liongate-test-" + std::to_string(::getpid());
  const UniqueFd manager = manager_on(socket);
  const ServiceNotify notify = notify_with(socket.c_str());
  notify.ready();
  CHECK(received(manager).starts_with("READY=1\n"));
  notify.alive();
  CHECK(received(manager) == "WATCHDOG=1");
  notify.stopping();
  CHECK(received(manager).starts_with("STOPPING=1\n"));
}

TEST_CASE("without a manager, or with one that has gone, nothing happens") {
  notify_with(nullptr).ready();
  notify_with("/nowhere/at/all").ready();
  const std::string too_long(200, 'x');
  notify_with(too_long.c_str()).ready();
}

TEST_CASE("no child inherits the manager's variables") {
  notify_with("/run/systemd/notify", "1000000", "1");
  CHECK(::getenv("NOTIFY_SOCKET") == nullptr);
  CHECK(::getenv("WATCHDOG_USEC") == nullptr);
  CHECK(::getenv("WATCHDOG_PID") == nullptr);
}

TEST_CASE("the watchdog is fed twice as often as it waits, where it watches us") {
  using std::chrono::microseconds;
  CHECK(notify_with(nullptr, "3000000").watchdog_interval() == microseconds(1'500'000));
  CHECK(notify_with(nullptr, "3000000", std::to_string(::getpid()).c_str()).watchdog_interval() ==
        microseconds(1'500'000));
  CHECK_FALSE(notify_with(nullptr, "3000000", "1").watchdog_interval().has_value());
  CHECK_FALSE(notify_with(nullptr).watchdog_interval().has_value());
  CHECK_FALSE(notify_with(nullptr, "0").watchdog_interval().has_value());
  CHECK_FALSE(notify_with(nullptr, "soon").watchdog_interval().has_value());
}
