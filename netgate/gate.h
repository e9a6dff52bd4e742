// The network of one sandbox, seen from outside: its doors, its DNS, its flows, and what of it is granted.
//
// A door is a pair of sockets made inside (sandbox/gate_sockets.h): whatever the program sends to that port, to any
// address, arrives here and shows where it was meant to go. Then one of three things happens. It is granted: it becomes
// a flow. It is refused: the daemon records it, then the program sees a reset, or a name that does not exist. It is
// meant for the sandbox itself (loopback): it is reset, since nobody of ours is there.
//
// Bounds: flows at a time, flows and resolutions a second, idle time and bytes of a flow (Bounds), names (NameBook).
//
// Ownership and thread: kept by the gate's process; its only thread. What is pending keeps it alive until it ends.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "kernel/base/unique_fd.h"
#include "liongate/v1/netgate.pb.h"
#include "netgate/denials.h"
#include "netgate/dns_message.h"
#include "netgate/flow.h"
#include "netgate/grants.h"
#include "netgate/name_book.h"
#include "netgate/resolver.h"

namespace liongate::netgate {

struct Bounds {
  std::uint32_t flows_max = 256;
  std::chrono::milliseconds idle{300'000};
  std::uint64_t flow_bytes_max = 0;  // 0: none
  std::size_t flows_of_all_max = 0;  // of all sandboxes together
  std::vector<Network> internal;     // private addresses that names may lead to
};

inline constexpr std::uint32_t kFlowsPerSecondMax = 200;
inline constexpr std::uint32_t kResolutionsPerSecondMax = 50;
inline constexpr std::size_t kResolutionsMax = 64;  // under way at a time
inline constexpr std::size_t kDnsConnectionsMax = 16;

class Gate : public std::enable_shared_from_this<Gate> {
 public:
  using Report = std::function<void(v1::GateReport)>;
  Gate(boost::asio::io_context& io, Resolver& resolver, std::uint64_t id, Grants grants, Bounds bounds, Report report);

  // Takes both sockets of a port.
  void add_door(std::uint16_t port, UniqueFd listener, UniqueFd datagrams);
  void narrow(Grants grants);
  void recorded(std::uint64_t refusal_id) { denials_.recorded(refusal_id); }
  // Cuts all flows and closes the doors.
  void close();

 private:
  using Tcp = boost::asio::ip::tcp;
  using Clock = std::chrono::steady_clock;
  struct Door;
  struct DnsConnection;
  // Endpoint of the program, and the address and port that it sent to.
  using DatagramKey = std::tuple<std::string, std::string, std::uint16_t>;

  // At most `per_second` at a time.
  class Rate {
   public:
    explicit Rate(std::uint32_t per_second) : per_second_(per_second) {}
    bool take();

   private:
    std::uint32_t per_second_;
    std::uint32_t used_ = 0;
    Clock::time_point second_{};
  };

  struct Verdict {
    std::optional<Target> target;  // granted
    std::string host;
    std::string why;  // empty: refused without a word
  };
  Verdict decide(const Address& wanted, std::uint16_t port) const;
  // Of a name: at that port, or at some.
  bool may_lead_to(const Address& address, std::uint16_t port) const;
  bool may_lead_somewhere(const Address& address) const;

  bool is_internal(const Address& address) const;
  std::string crowded();

  void accept(const std::shared_ptr<Door>& door);
  void take_connection(Tcp::socket socket, std::uint16_t port);
  void wait_datagram(const std::shared_ptr<Door>& door);
  void take_datagrams(const std::shared_ptr<Door>& door);
  void take_datagram(const std::shared_ptr<Door>& door, const std::string& client, const Address& wanted,
                     std::span<const char> bytes);
  void open_flow(const std::shared_ptr<Flow>& flow);
  Flow::Events flow_events();
  void end_flow(Flow& flow, const std::string& reason);
  void refuse(std::string action, const Verdict& verdict, std::uint16_t port, std::function<void()> then);

  using Answer = std::function<void(std::vector<std::byte>)>;
  void ask(std::span<const std::byte> message, const Answer& answer);
  void answer_name(const Question& question, const std::string& name, const Answer& answer);
  void resolved(const std::string& name, std::vector<Address> addresses, bool failed);
  void serve_dns(Tcp::socket socket);
  void read_question_length(const std::shared_ptr<DnsConnection>& connection);

  void arm_sweep();
  void sweep();

  boost::asio::io_context& io_;
  Resolver& resolver_;
  const std::uint64_t id_;
  Grants grants_;
  const Bounds bounds_;
  Report report_;
  Denials denials_;
  NameBook names_;
  std::vector<std::shared_ptr<Door>> doors_;
  std::map<std::uint64_t, std::shared_ptr<Flow>> flows_;
  std::map<DatagramKey, std::weak_ptr<UdpFlow>> datagram_flows_;
  struct Waiting {
    Question question;
    Answer answer;
  };
  std::map<std::string, std::vector<Waiting>> resolutions_;
  Rate flow_rate_{kFlowsPerSecondMax};
  Rate resolution_rate_{kResolutionsPerSecondMax};
  boost::asio::steady_timer sweep_timer_;
  bool sweeps_ = false;
  bool closed_ = false;
  bool has_ipv6_ = false;
  std::size_t dns_connections_ = 0;
  std::uint64_t last_flow_id_ = 0;
};

}  // namespace liongate::netgate
