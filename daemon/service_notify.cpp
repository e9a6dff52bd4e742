#include "daemon/service_notify.h"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstddef>
#include <cstdlib>
#include <cstring>

#include "kernel/base/unique_fd.h"

namespace liongate::daemon {

ServiceNotify ServiceNotify::from_environment() {
  ServiceNotify notify;
  if (const char* path = std::getenv("NOTIFY_SOCKET")) notify.socket_path_ = path;
  const char* period = std::getenv("WATCHDOG_USEC");
  const char* pid = std::getenv("WATCHDOG_PID");
  if (period != nullptr && (pid == nullptr || std::strtol(pid, nullptr, 10) == ::getpid())) {
    const long long period_us = std::strtoll(period, nullptr, 10);
    if (period_us > 0) notify.watchdog_interval_ = std::chrono::microseconds(period_us / 2);
  }
  ::unsetenv("NOTIFY_SOCKET");
  ::unsetenv("WATCHDOG_USEC");
  ::unsetenv("WATCHDOG_PID");
  return notify;
}

void ServiceNotify::send(const std::string& message) const {
  sockaddr_un address{};
  if (socket_path_.empty() || socket_path_.size() >= sizeof address.sun_path) return;
  const UniqueFd fd(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return;
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, socket_path_.data(), socket_path_.size());
  if (address.sun_path[0] == '@') address.sun_path[0] = '\0';  // an abstract name
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + socket_path_.size());
  // A manager that does not listen any more is no reason to stop: nothing can be done about it here.
  static_cast<void>(::sendto(fd.get(), message.data(), message.size(), MSG_NOSIGNAL,
                             reinterpret_cast<const sockaddr*>(&address), size));
}

}  // namespace liongate::daemon
