// The unix socket on which the control plane listens: made, checked for another daemon, and accepted from.
//
// Ownership and thread: owned by the daemon; kernel thread. The file is mode 0600 and removed in the destructor if it
// is still ours.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <functional>
#include <string>

#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"

namespace liongate::daemon {

// Binds and listens on `path`. A socket that nobody answers on is stale and replaced. Errors (kInvalidConfig or
// kInternal): path too long, another daemon answers, a file of another kind is there, the folder cannot be made.
Result<UniqueFd> listen_on(const std::string& path);

class ControlSocket {
 public:
  using OnConnection = std::function<void(UniqueFd)>;

  // `listening` is what listen_on gave for `path`.
  ControlSocket(boost::asio::io_context& io, UniqueFd listening, std::string path, OnConnection on_connection);
  ~ControlSocket();

  void start() { wait(); }
  void stop();

 private:
  void wait();
  void accept();

  boost::asio::posix::stream_descriptor listening_;
  boost::asio::steady_timer retry_timer_;
  std::string path_;
  std::uint64_t inode_ = 0;
  OnConnection on_connection_;
};

}  // namespace liongate::daemon
