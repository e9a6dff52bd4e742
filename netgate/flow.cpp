#include "netgate/flow.h"

#include <boost/asio/post.hpp>

namespace liongate::netgate {

using boost::asio::ip::tcp;
using boost::asio::ip::udp;
using Fault = boost::system::error_code;

void reset(tcp::socket& socket) {
  Fault ignored;  // it may be gone already, which is what was wanted
  socket.set_option(boost::asio::socket_base::linger(true, 0), ignored);
  socket.close(ignored);
}

void Flow::opened(const Address& address) {
  address_ = address;
  is_open_ = true;
  last_moved_ = Clock::now();
  events_.on_open(*this);
}

void Flow::moved(std::uint64_t& counter, std::size_t bytes) {
  counter += bytes;
  last_moved_ = Clock::now();
  if (target_.bytes_max != 0 && bytes_out_ + bytes_in_ > target_.bytes_max) end("bytes");
}

void Flow::end(const std::string& reason) {
  if (has_ended_) return;
  has_ended_ = true;
  const auto kept = shared_from_this();
  cut();
  events_.on_end(*this, reason);
}

// --- TCP ---

TcpFlow::TcpFlow(boost::asio::io_context& io, Socket inside, std::uint64_t id, Target target, Events events)
    : Flow(id, std::move(target), std::move(events)), inside_(std::move(inside)), outside_(io), timer_(io) {}

void TcpFlow::start() {
  Fault ignored;  // a little slower without
  inside_.set_option(tcp::no_delay(true), ignored);
  connect(0);
}

void TcpFlow::cut() {
  timer_.cancel();
  reset(inside_);
  reset(outside_);
}

void TcpFlow::connect(std::size_t index) {
  if (index >= target().addresses.size()) {
    boost::asio::post(outside_.get_executor(), [self = self()] { self->end("unreachable"); });
    return;
  }
  const Address address = target().addresses[index];
  Fault ignored;
  outside_.close(ignored);
  timer_.expires_after(kConnectTimeout);
  timer_.async_wait([self = self()](const Fault& fault) {
    Fault also_ignored;
    if (!fault && !self->is_open()) self->outside_.close(also_ignored);
  });
  outside_.async_connect(tcp::endpoint(address, target().port), [self = self(), address, index](const Fault& fault) {
    if (self->has_ended()) return;
    if (fault) {
      self->connect(index + 1);
      return;
    }
    self->timer_.cancel();
    Fault also_ignored;
    self->outside_.set_option(tcp::no_delay(true), also_ignored);
    // What the program has said already goes out before anybody is told.
    self->pump(self->inside_, self->outside_, self->out_, self->bytes_out_);
    self->pump(self->outside_, self->inside_, self->in_, self->bytes_in_);
    self->opened(address);
  });
}

void TcpFlow::pump(Socket& from, Socket& to, Direction& direction, std::uint64_t& counter) {
  from.async_read_some(boost::asio::buffer(direction.buffer),
                       [self = self(), &from, &to, &direction, &counter](const Fault& fault, std::size_t bytes) {
                         if (self->has_ended()) return;
                         if (fault == boost::asio::error::eof) return self->over(to, direction);
                         if (fault) return self->end("reset");
                         self->deliver(from, to, direction, counter, {0, bytes});
                       });
}

// Part by part, so that a slow reader is seen to move.
void TcpFlow::deliver(Socket& from, Socket& to, Direction& direction, std::uint64_t& counter, Part part) {
  to.async_write_some(boost::asio::buffer(direction.buffer.data() + part.begin, part.end - part.begin),
                      [self = self(), &from, &to, &direction, &counter, part](const Fault& fault, std::size_t bytes) {
                        if (self->has_ended()) return;
                        self->moved(counter, bytes);
                        if (fault) self->end("reset");
                        if (self->has_ended()) return;
                        if (part.begin + bytes < part.end) {
                          self->deliver(from, to, direction, counter, {part.begin + bytes, part.end});
                        } else {
                          self->pump(from, to, direction, counter);
                        }
                      });
}

// One side has said all; the other may go on.
void TcpFlow::over(Socket& to, Direction& direction) {
  direction.is_over = true;
  Fault fault;
  to.shutdown(tcp::socket::shutdown_send, fault);
  if (!out_.is_over || !in_.is_over) return;
  // Both ends were told; closing without a reset lets the last bytes arrive.
  inside_.close(fault);
  outside_.close(fault);
  end("closed");
}

// --- UDP ---

UdpFlow::UdpFlow(boost::asio::io_context& io, std::uint64_t id, Target target, Events events, Reply reply)
    : Flow(id, std::move(target), std::move(events)), outside_(io), reply_(std::move(reply)) {}

void UdpFlow::start() {
  Fault fault = boost::asio::error::host_unreachable;
  for (const Address& address : target().addresses) {
    outside_.close(fault);
    outside_.connect(udp::endpoint(address, target().port), fault);
    // Asio waits for room in a socket that blocks, whatever the flags of a call say: nobody may wait here.
    if (!fault) outside_.non_blocking(true, fault);
    if (fault) continue;
    opened(address);
    receive();
    return;
  }
  boost::asio::post(outside_.get_executor(), [self = shared_from_this()] { self->end("unreachable"); });
}

void UdpFlow::cut() {
  Fault ignored;
  outside_.close(ignored);
}

void UdpFlow::send(std::span<const char> datagram) {
  Fault ignored;  // a datagram may be lost, and one that was refused before says so here
  outside_.send(boost::asio::buffer(datagram.data(), datagram.size()), udp::socket::message_flags(MSG_DONTWAIT),
                ignored);
  moved(bytes_out_, datagram.size());
}

void UdpFlow::receive() {
  outside_.async_receive(boost::asio::buffer(buffer_), [self = std::static_pointer_cast<UdpFlow>(shared_from_this())](
                                                           const Fault& fault, std::size_t bytes) {
    if (self->has_ended()) return;
    if (!fault) {
      self->moved(self->bytes_in_, bytes);
      if (self->has_ended()) return;
      self->reply_(std::span(self->buffer_).first(bytes));
    } else if (fault != boost::asio::error::connection_refused) {
      return self->end("reset");
    }
    self->receive();
  });
}

}  // namespace liongate::netgate
