// One flow of one sandbox: what a program inside sends to one place, and what comes back.
//
// TcpFlow takes an accepted connection, connects to the first address that answers, and copies both ways until both
// ends have said all; a refused or lost one is a reset for the program, as if the place itself had done it.
// UdpFlow is one pair of endpoints; it ends when nothing moved for a while.
//
// Ownership and thread: kept by its gate until it calls `on_end`, once, last and never within start(). The process's
// only thread. Buffers are bounded: kFlowBufferBytes each way.
#pragma once

#include <array>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "netgate/grants.h"

namespace liongate::netgate {

inline constexpr std::size_t kFlowBufferBytes = 64 * 1024;
inline constexpr std::chrono::seconds kConnectTimeout{5};  // for each address of a name

// Where a flow leads, as it was decided.
struct Target {
  std::string host;  // as it was granted: a name, or the address
  std::vector<Address> addresses;
  std::uint16_t port = 0;
  std::uint64_t bytes_max = 0;  // both ways together, then it is cut; 0: no bound
};

class Flow : public std::enable_shared_from_this<Flow> {
 public:
  struct Events {
    std::function<void(const Flow&)> on_open;                      // it is connected
    std::function<void(Flow&, const std::string& reason)> on_end;  // after it, or instead: "unreachable"
  };
  using Clock = std::chrono::steady_clock;

  Flow(std::uint64_t id, Target target, Events events)
      : id_(id), target_(std::move(target)), events_(std::move(events)) {
    ++live_count_;
  }
  virtual ~Flow() { --live_count_; }
  // Of all sandboxes together.
  static std::size_t live_count() { return live_count_; }
  Flow(const Flow&) = delete;
  Flow& operator=(const Flow&) = delete;

  virtual const char* protocol() const = 0;
  virtual void start() = 0;
  // Cuts it; the program sees a reset.
  virtual void cut() = 0;

  void end(const std::string& reason);

  std::uint64_t id() const { return id_; }
  const Target& target() const { return target_; }
  const Address& address() const { return address_; }
  std::uint64_t bytes_out() const { return bytes_out_; }
  std::uint64_t bytes_in() const { return bytes_in_; }
  bool is_open() const { return is_open_; }
  Clock::time_point last_moved() const { return last_moved_; }
  Clock::time_point begun() const { return begun_; }

 protected:
  void opened(const Address& address);
  // Ends the flow when that was more than it may carry.
  void moved(std::uint64_t& counter, std::size_t bytes);
  bool has_ended() const { return has_ended_; }

  std::uint64_t bytes_out_ = 0;
  std::uint64_t bytes_in_ = 0;

 private:
  const std::uint64_t id_;
  const Target target_;
  Events events_;
  Address address_;
  bool is_open_ = false;
  bool has_ended_ = false;
  static inline std::size_t live_count_ = 0;
  const Clock::time_point begun_ = Clock::now();
  Clock::time_point last_moved_ = begun_;
};

class TcpFlow final : public Flow {
 public:
  using Socket = boost::asio::ip::tcp::socket;
  TcpFlow(boost::asio::io_context& io, Socket inside, std::uint64_t id, Target target, Events events);

  const char* protocol() const override { return "tcp"; }
  void start() override;
  void cut() override;

 private:
  struct Direction {
    std::array<char, kFlowBufferBytes> buffer;
    bool is_over = false;
  };
  void connect(std::size_t index);
  void pump(Socket& from, Socket& to, Direction& direction, std::uint64_t& counter);
  struct Part {
    std::size_t begin = 0;
    std::size_t end = 0;
  };
  void deliver(Socket& from, Socket& to, Direction& direction, std::uint64_t& counter, Part part);
  void over(Socket& to, Direction& direction);
  std::shared_ptr<TcpFlow> self() { return std::static_pointer_cast<TcpFlow>(shared_from_this()); }

  Socket inside_;
  Socket outside_;
  boost::asio::steady_timer timer_;
  Direction out_;
  Direction in_;
};

class UdpFlow final : public Flow {
 public:
  // Gives what came back to the program.
  using Reply = std::function<void(std::span<const char>)>;
  UdpFlow(boost::asio::io_context& io, std::uint64_t id, Target target, Events events, Reply reply);

  const char* protocol() const override { return "udp"; }
  void start() override;
  void cut() override;
  void send(std::span<const char> datagram);

 private:
  void receive();

  boost::asio::ip::udp::socket outside_;
  Reply reply_;
  std::array<char, kFlowBufferBytes> buffer_;
};

// The program's connection ends as if the place had refused it.
void reset(boost::asio::ip::tcp::socket& socket);

}  // namespace liongate::netgate
