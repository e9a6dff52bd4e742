// A daemon of our own for one command: temporary state, its own socket, environment development, gone afterwards.
//
// Ownership and thread: start() forks, so it must come before the process has threads (before any Connection). The
// object owns the process and the folder; its destructor stops the one gracefully (Ctrl-C hurries) and removes the
// other.
#pragma once

#include <sys/types.h>

#include <memory>
#include <string>

#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"

namespace liongate::cli {

class PrivateDaemon {
 public:
  enum class Mode { kOrdinary, kLearn };

  // Returns when the daemon says READY=1. kCancelled after Ctrl-C, else kInternal with the daemon's own last words.
  static Result<std::unique_ptr<PrivateDaemon>> start(Mode mode = Mode::kOrdinary);

  ~PrivateDaemon();
  PrivateDaemon(const PrivateDaemon&) = delete;
  PrivateDaemon& operator=(const PrivateDaemon&) = delete;

  std::string socket() const { return folder_ + "/control.sock"; }

 private:
  PrivateDaemon() = default;

  Result<void> make_folder();
  Result<void> open_notify_socket();
  Result<void> spawn(const std::string& program, Mode mode);
  [[noreturn]] void become_daemon(const std::string& program, Mode mode, pid_t parent) const;
  Result<void> wait_until_ready();
  bool read_ready();
  Result<void> did_not_start() const;
  void stop();

  std::string notify_path() const { return folder_ + "/notify.sock"; }
  std::string log_path() const { return folder_ + "/liongated.log"; }
  std::string config_path() const { return folder_ + "/liongated.yaml"; }

  std::string folder_;
  UniqueFd notify_;
  UniqueFd process_;  // pidfd
};

}  // namespace liongate::cli
