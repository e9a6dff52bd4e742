// The kernel's Launcher over liongate-launcher: requests out, reports in, and the launcher's own death noticed.
//
// Ownership and thread: owned by the daemon; kernel thread. It owns the control socket. When the launcher dies every
// open launch ends with kLauncherLost, and `on_lost` is called once: the daemon cannot start anything any more and
// stops.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <deque>
#include <functional>
#include <unordered_map>

#include "daemon/launch_planner.h"
#include "daemon/netgate_client.h"
#include "kernel/supervision/launcher.h"
#include "sandbox/launcher_process.h"

namespace liongate::daemon {

class LauncherClient final : public supervision::Launcher {
 public:
  LauncherClient(boost::asio::io_context& io, UniqueFd control_socket, LaunchPlanner planner,
                 std::function<void()> on_lost);

  void start() { wait(); }

  // Records the event of a system call that a plugin was refused; the plugin waits until it returns.
  void set_on_denied(std::function<void(v1::Event)> on_denied) { on_denied_ = std::move(on_denied); }

  Result<supervision::LaunchId> launch(supervision::LaunchOrder order, supervision::LaunchListener& listener) override;
  void kill(supervision::LaunchId id) override;
  void narrow_network(supervision::LaunchId id, const v1::Manifest& manifest) override;
  void forget(supervision::LaunchId id) override;
  void try_command(const v1::PluginLoaded& loaded, std::function<void(Result<v1::Posture>)> done) override;

  // Where the doors of sandboxes with a network go; it outlives this.
  void set_netgate(NetgateClient* netgate) { netgate_ = netgate; }

  // The whole report, for CheckHost.
  void report_host(std::function<void(Result<sandbox::HostReport>)> done);

 private:
  void wait();
  void on_readable();
  void take(sandbox::ReceivedReport received);
  void take_denial(const sandbox::Denied& denied);
  void send_surely(sandbox::Request request);
  void on_lost_launcher();

  boost::asio::io_context& io_;
  boost::asio::posix::stream_descriptor socket_;
  LaunchPlanner planner_;
  std::function<void()> on_lost_;
  supervision::LaunchId last_id_ = 0;
  struct Open {
    supervision::LaunchListener* listener;  // null: nobody wants to hear
    v1::Event origin;
    std::vector<std::uint16_t> gate_ports;
    std::vector<std::string> network_grants;
  };
  struct Trial {
    std::string name;
    std::function<void(Result<v1::Posture>)> done;
    v1::Posture posture;
  };
  // What this host lacks as an error, for `done` of a trial that it refused; else `cause`.
  void explain_refusal(Error cause, std::function<void(Result<v1::Posture>)> done);
  void finish_trial(Trial trial, const supervision::PluginExit& exit);

  std::unordered_map<supervision::LaunchId, Open> launches_;
  std::unordered_map<supervision::LaunchId, Trial> trials_;
  std::function<void(v1::Event)> on_denied_;
  std::deque<std::function<void(Result<sandbox::HostReport>)>> host_reports_wanted_;
  NetgateClient* netgate_ = nullptr;
  bool lost_ = false;
};

}  // namespace liongate::daemon
