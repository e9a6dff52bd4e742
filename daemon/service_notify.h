// Tells the service manager how we are: the notification protocol of systemd, over the socket it names.
//
// Ownership and thread: a value; any thread. Without NOTIFY_SOCKET every method does nothing.
#pragma once

#include <chrono>
#include <optional>
#include <string>

namespace liongate::daemon {

class ServiceNotify {
 public:
  // Reads NOTIFY_SOCKET and WATCHDOG_USEC and removes them from the environment, so that no child inherits them.
  static ServiceNotify from_environment();

  void ready() const { send("READY=1\nSTATUS=Serving"); }
  void stopping() const { send("STOPPING=1\nSTATUS=Stopping plugins and sealing the log"); }
  void alive() const { send("WATCHDOG=1"); }

  // How often alive() is due: half of what the manager waits; nothing when it does not watch.
  std::optional<std::chrono::microseconds> watchdog_interval() const { return watchdog_interval_; }

 private:
  void send(const std::string& message) const;

  std::string socket_path_;
  std::optional<std::chrono::microseconds> watchdog_interval_;
};

}  // namespace liongate::daemon
