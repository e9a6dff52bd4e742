// The gate's ear for the daemon: requests in, reports out, and the end when the daemon has gone.
//
// Reports that the socket does not take now wait in order. While more than kReportsWaitingMax wait, those of flows are
// dropped rather than kept; refusals are bounded by their gates.
//
// Ownership and thread: owned by main; the process's only thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <map>
#include <memory>

#include "kernel/base/unique_fd.h"
#include "liongate/v1/netgate.pb.h"
#include "netgate/gate.h"
#include "netgate/resolver.h"
#include "sandbox/packet_socket.h"

namespace liongate::netgate {

inline constexpr std::size_t kReportsWaitingMax = 4096;

class Control {
 public:
  Control(boost::asio::io_context& io, UniqueFd socket, Resolver& resolver);

  // Until the daemon's end closes; then the process has nothing left to do.
  void start() { wait(); }

 private:
  void wait();
  void on_readable();
  void take(v1::GateRequest request, std::vector<UniqueFd> descriptors);
  void apply(const v1::GateSettings& settings);
  void open(const v1::OpenGate& request);
  void report(const v1::GateReport& message);
  void send_waiting();

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor socket_;
  Resolver& resolver_;
  Bounds bounds_;
  std::map<std::uint64_t, std::shared_ptr<Gate>> gates_;
  std::deque<std::string> waiting_;
  bool waits_to_send_ = false;
};

}  // namespace liongate::netgate
