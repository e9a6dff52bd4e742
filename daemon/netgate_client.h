// The daemon's end of liongate-netgate: started when the first plugin with `network` is, told of each sandbox's doors
// and grants, heard for flows and refusals, and started again when it ends.
//
// The daemon keeps a copy of the doors of every sandbox that lives. So the gate may die at any moment: what flowed is
// cut, what is opened meanwhile waits at the doors, and the next gate takes over. After kRestartsMax ends within a
// minute it is left alone for that long: plugins go on without a network.
//
// Ownership and thread: owned by the daemon; kernel thread. Handlers are called on it and never within open() or
// close().
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "config/daemon_config.h"
#include "kernel/base/unique_fd.h"
#include "liongate/v1/event.pb.h"
#include "liongate/v1/netgate.pb.h"

namespace liongate::daemon {

// Where the gate comes from: a program to start, or the socket of a unit that a service manager starts.
struct NetgateSource {
  std::string program;
  std::string socket;  // wins where it is not empty
};

class NetgateClient {
 public:
  using GateId = std::uint64_t;
  struct Handlers {
    std::function<void(v1::Event)> on_refused;           // a whole PermissionDenied; recorded when it returns
    std::function<void(v1::Event)> on_flow;              // NetworkFlowOpened, NetworkFlowClosed
    std::function<void(const std::string&)> on_warning;  // of the gate itself
  };

  NetgateClient(boost::asio::io_context& io, NetgateSource source, const config::NetworkConfig& settings,
                Handlers handlers);
  ~NetgateClient();

  void set_settings(const config::NetworkConfig& settings);

  struct Opening {
    std::vector<std::uint16_t> ports;
    std::vector<UniqueFd> doors;      // two for each port, as sandbox/gate_sockets.h gives them
    std::vector<std::string> grants;  // netgate/grants.h
    v1::Event origin;                 // whose: what its events say of plugin, instance, call
  };
  // Returns the counter of its flows, which counts on while the gate is open.
  std::shared_ptr<const std::uint64_t> open(GateId id, Opening opening);
  // One port more; `doors` are its two.
  void add_door(GateId id, std::uint16_t port, std::vector<UniqueFd> doors);
  void close(GateId id);
  void narrow(GateId id, std::vector<std::string> grants);

  // 0 while none runs; for tests and health.
  pid_t pid() const { return pid_; }

 private:
  struct Outgoing {
    std::string bytes;
    std::vector<UniqueFd> descriptors;
  };
  struct Flow {
    std::string host;
    std::uint32_t port = 0;
  };
  struct Open {
    Opening opening;
    std::shared_ptr<std::uint64_t> requests;
    std::map<std::uint64_t, Flow> flows;
    bool is_closing = false;
  };

  void start();
  Result<UniqueFd> start_program();
  Result<UniqueFd> connect_to_unit();
  void send_settings();
  void send_open(GateId id, const Open& open);
  void send(const v1::GateRequest& request, const std::vector<int>& descriptors);
  void send_waiting();
  void wait();
  void on_readable();
  void take(const v1::GateReport& report);
  void on_lost();
  void reap();

  boost::asio::io_context& io_;
  const NetgateSource source_;
  config::NetworkConfig settings_;
  Handlers handlers_;
  std::optional<boost::asio::posix::stream_descriptor> socket_;
  std::deque<Outgoing> outgoing_;  // what the socket did not take yet, in order
  bool waits_to_send_ = false;
  int generation_ = 0;  // of the gate's process
  pid_t pid_ = 0;
  boost::asio::steady_timer restart_timer_;
  bool restart_waits_ = false;
  std::chrono::steady_clock::time_point window_begin_{};
  int restarts_in_window_ = 0;
  std::map<GateId, Open> gates_;
};

}  // namespace liongate::daemon
