#include "netgate/gate.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <boost/asio/read.hpp>
#include <boost/asio/write.hpp>
#include <cerrno>
#include <cstring>

namespace liongate::netgate {

using boost::asio::ip::address_v4;
using boost::asio::ip::address_v6;
using Fault = boost::system::error_code;

namespace {

constexpr std::uint16_t kDnsPort = 53;
constexpr int kDatagramsPerTurn = 64;
constexpr std::chrono::seconds kSweepInterval{1};
constexpr std::chrono::seconds kUdpIdleMax{60};
constexpr std::chrono::milliseconds kAcceptPause{100};
constexpr std::chrono::seconds kConnectMax{30};  // to all addresses of a name
constexpr int kIpv6FreeBind = 78;  // IPV6_FREEBIND: an answer may come from an address that is only routed here

Address address_of(const in6_addr& raw) {
  address_v6::bytes_type bytes;
  std::memcpy(bytes.data(), &raw, bytes.size());
  return plain(address_v6(bytes));
}

bool is_itself(const Address& address) {
  return address.is_loopback() || address.is_unspecified() || address.is_multicast();
}

// The sender and the place a datagram was sent to, of a socket of either family.
struct Datagram {
  std::string client;  // its sockaddr, as it is
  Address wanted;
  std::size_t bytes = 0;
};

// Nothing when there is none now.
std::optional<Datagram> receive_datagram(int socket, std::span<char> buffer) {
  sockaddr_storage from{};
  iovec part{buffer.data(), buffer.size()};
  alignas(cmsghdr) std::array<std::byte, 256> control{};
  msghdr message{};
  message.msg_name = &from;
  message.msg_namelen = sizeof from;
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  message.msg_controllen = control.size();
  ssize_t got = 0;
  do {
    got = ::recvmsg(socket, &message, MSG_DONTWAIT);
  } while (got < 0 && errno == EINTR);
  if (got < 0) return std::nullopt;
  Datagram datagram;
  datagram.client.assign(reinterpret_cast<const char*>(&from), message.msg_namelen);
  datagram.bytes = static_cast<std::size_t>(got);
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr; header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level == IPPROTO_IPV6 && header->cmsg_type == IPV6_PKTINFO) {
      in6_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(header), sizeof info);
      datagram.wanted = address_of(info.ipi6_addr);
    } else if (header->cmsg_level == IPPROTO_IP && header->cmsg_type == IP_PKTINFO) {
      in_pktinfo info{};
      std::memcpy(&info, CMSG_DATA(header), sizeof info);
      datagram.wanted = address_v4(ntohl(info.ipi_addr.s_addr));
    }
  }
  return datagram;
}

// An answer comes from where the question was sent to. Lost where the program does not take it: it is a datagram.
void send_datagram(int socket, bool is_ipv6, const std::string& client, const Address& source, const void* data,
                   std::size_t size) {
  iovec part{const_cast<void*>(data), size};
  alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(in6_pktinfo))> control{};
  msghdr message{};
  message.msg_name = const_cast<char*>(client.data());
  message.msg_namelen = static_cast<socklen_t>(client.size());
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control.data();
  auto* const header = reinterpret_cast<cmsghdr*>(control.data());
  if (is_ipv6) {
    in6_pktinfo info{};
    const auto bytes =
        (source.is_v6() ? source.to_v6() : boost::asio::ip::make_address_v6(boost::asio::ip::v4_mapped, source.to_v4()))
            .to_bytes();
    std::memcpy(&info.ipi6_addr, bytes.data(), bytes.size());
    *header = {CMSG_LEN(sizeof info), IPPROTO_IPV6, IPV6_PKTINFO};
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
  } else {
    in_pktinfo info{};
    info.ipi_spec_dst.s_addr = htonl(source.to_v4().to_uint());
    *header = {CMSG_LEN(sizeof info), IPPROTO_IP, IP_PKTINFO};
    std::memcpy(CMSG_DATA(header), &info, sizeof info);
    message.msg_controllen = CMSG_SPACE(sizeof info);
  }
  ::sendmsg(socket, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
}

bool is_ipv6_socket(int socket) {
  int domain = 0;
  socklen_t size = sizeof domain;
  return ::getsockopt(socket, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 && domain == AF_INET6;
}

}  // namespace

struct Gate::Door {
  Door(boost::asio::io_context& io, std::uint16_t at) : port(at), acceptor(io), datagrams(io), pause(io) {}
  std::uint16_t port;
  bool is_ipv6 = false;
  Tcp::acceptor acceptor;
  boost::asio::posix::stream_descriptor datagrams;
  boost::asio::steady_timer pause;
};

struct Gate::DnsConnection {
  explicit DnsConnection(Tcp::socket taken) : socket(std::move(taken)) {}
  Tcp::socket socket;
  std::array<unsigned char, 2> length{};
  std::vector<std::byte> message;
};

Gate::Gate(boost::asio::io_context& io, Resolver& resolver, std::uint64_t id, Grants grants, Bounds bounds,
           Report report)
    : io_(io),
      resolver_(resolver),
      id_(id),
      grants_(std::move(grants)),
      bounds_(std::move(bounds)),
      report_(std::move(report)),
      denials_([this](v1::Refused refused) {
        v1::GateReport message;
        refused.set_gate_id(id_);
        *message.mutable_refused() = std::move(refused);
        report_(std::move(message));
      }),
      sweep_timer_(io) {}

bool Gate::Rate::take() {
  const auto now = Clock::now();
  if (now >= second_ + std::chrono::seconds(1)) {
    second_ = now;
    used_ = 0;
  }
  return used_++ < per_second_;
}

void Gate::add_door(std::uint16_t port, UniqueFd listener, UniqueFd datagrams) {
  auto door = std::make_shared<Door>(io_, port);
  door->is_ipv6 = is_ipv6_socket(listener.get());
  has_ipv6_ = has_ipv6_ || door->is_ipv6;
  const int yes = 1;
  if (door->is_ipv6) {
    ::setsockopt(datagrams.get(), IPPROTO_IPV6, IPV6_RECVPKTINFO, &yes, sizeof yes);
    ::setsockopt(datagrams.get(), IPPROTO_IPV6, kIpv6FreeBind, &yes, sizeof yes);
  } else {
    ::setsockopt(datagrams.get(), IPPROTO_IP, IP_PKTINFO, &yes, sizeof yes);
  }
  Fault fault;
  door->acceptor.assign(door->is_ipv6 ? Tcp::v6() : Tcp::v4(), listener.get(), fault);
  if (fault) return;
  (void)listener.release();
  door->acceptor.non_blocking(true, fault);
  door->datagrams.assign(datagrams.get(), fault);
  if (fault) return;
  (void)datagrams.release();
  doors_.push_back(door);
  accept(door);
  wait_datagram(door);
}

void Gate::close() {
  if (closed_) return;
  for (const auto& [id, flow] : std::map(flows_)) flow->end("stopped");
  closed_ = true;
  for (const auto& door : doors_) {
    Fault ignored;
    door->acceptor.close(ignored);
    door->datagrams.close(ignored);
    door->pause.cancel();
  }
  doors_.clear();
  denials_.flush(Clock::now(), true);
  // Answers that nobody will give hold connections, and those hold us.
  denials_.drop();
  const auto unanswered = std::exchange(resolutions_, {});
  sweep_timer_.cancel();
}

void Gate::narrow(Grants grants) {
  grants_ = std::move(grants);
  for (const auto& [id, flow] : std::map(flows_)) {
    const Target& target = flow->target();
    const Address& address = flow->is_open() ? flow->address() : target.addresses.front();
    const bool is_name = canonical_name(target.host).has_value();
    const bool leads_there = target.host == kHostLoopback || may_lead_to(address, target.port);
    const bool stays = is_name ? grants_.allows_name(target.host, target.port) && leads_there
                               : grants_.allows_address(address, target.port);
    if (!stays) flow->end("revoked");
  }
}

// --- what is granted ---

bool Gate::may_lead_to(const Address& address, std::uint16_t port) const {
  if (is_public(address)) return true;
  if (is_metadata(address)) return false;
  return is_internal(address) || grants_.allows_address(address, port);
}

bool Gate::may_lead_somewhere(const Address& address) const {
  if (is_public(address)) return true;
  if (is_metadata(address)) return false;
  return is_internal(address) || grants_.names_address(address);
}

bool Gate::is_internal(const Address& address) const {
  return std::ranges::any_of(bounds_.internal, [&](const Network& network) { return network.contains(address); });
}

Gate::Verdict Gate::decide(const Address& wanted, std::uint16_t port) const {
  if (is_itself(wanted)) return {};
  Verdict verdict;
  if (const std::string* name = names_.name_at(wanted)) {
    verdict.host = *name;
    if (!grants_.allows_name(*name, port)) {
      verdict.why = "no permission of it names this port";
      return verdict;
    }
    const NameBook::Place* const place = names_.place(*name);
    std::vector<Address> addresses = place == nullptr ? std::vector<Address>() : place->addresses;
    // What a name may lead to at one port it may not at another, and what it might once it may not any more.
    if (*name != kHostLoopback) {
      std::erase_if(addresses, [&](const Address& address) { return !may_lead_to(address, port); });
    }
    if (addresses.empty()) {
      verdict.why = place == nullptr ? "the name leads nowhere" : "it leads to no public address at this port";
    } else {
      verdict.target = Target{*name, std::move(addresses), port, bounds_.flow_bytes_max};
    }
    return verdict;
  }
  if (NameBook::is_ours(wanted)) return {};
  verdict.host = wanted.to_string();
  if (grants_.allows_address(wanted, port)) {
    verdict.target = Target{verdict.host, {wanted}, port, bounds_.flow_bytes_max};
  } else {
    verdict.why = "no permission of it names this address";
  }
  return verdict;
}

void Gate::refuse(std::string action, const Verdict& verdict, std::uint16_t port, std::function<void()> then) {
  if (verdict.why.empty()) {
    then();
    return;
  }
  if (closed_) return;
  denials_.refuse({std::move(action), verdict.host, port, verdict.why}, std::move(then));
  arm_sweep();
}

// --- flows ---

void Gate::accept(const std::shared_ptr<Door>& door) {
  door->acceptor.async_accept([self = shared_from_this(), door](const Fault& fault, Tcp::socket socket) {
    if (self->closed_ || fault == boost::asio::error::operation_aborted) return;
    if (!fault) {
      self->take_connection(std::move(socket), door->port);
      self->accept(door);
      return;
    }
    // Most likely no descriptor is left: what waits at the door waits until one is, without a spin.
    door->pause.expires_after(kAcceptPause);
    door->pause.async_wait([self, door](const Fault& stopped) {
      if (!stopped && !self->closed_) self->accept(door);
    });
  });
}

// Why there is no room for one flow more; empty where there is.
std::string Gate::crowded() {
  if (flows_.size() >= bounds_.flows_max) {
    return "it has as many connections as a plugin may have (" + std::to_string(bounds_.flows_max) + ")";
  }
  if (Flow::live_count() >= bounds_.flows_of_all_max) {
    return "all plugins together have as many connections as the gate carries (" +
           std::to_string(bounds_.flows_of_all_max) + ")";
  }
  if (flow_rate_.take()) return "";
  return "it opens more than " + std::to_string(kFlowsPerSecondMax) + " connections a second";
}

void Gate::take_connection(Tcp::socket socket, std::uint16_t port) {
  Fault fault;
  const Address wanted = plain(socket.local_endpoint(fault).address());
  if (fault) return;
  if (port == kDnsPort && (wanted == NameBook::dns_address() || wanted.is_loopback())) {
    serve_dns(std::move(socket));
    return;
  }
  Verdict verdict = decide(wanted, port);
  if (std::string why = verdict.target ? crowded() : ""; !why.empty()) {
    verdict.target.reset();
    verdict.why = std::move(why);
  }
  if (!verdict.target) {
    auto held = std::make_shared<Tcp::socket>(std::move(socket));
    refuse("connect", verdict, port, [held] { reset(*held); });
    return;
  }
  open_flow(
      std::make_shared<TcpFlow>(io_, std::move(socket), ++last_flow_id_, std::move(*verdict.target), flow_events()));
}

Flow::Events Gate::flow_events() {
  return {[self = weak_from_this()](const Flow& flow) {
            const auto gate = self.lock();
            if (!gate) return;
            v1::GateReport message;
            v1::FlowOpened& opened = *message.mutable_flow_opened();
            opened.set_gate_id(gate->id_);
            opened.set_flow_id(flow.id());
            opened.set_protocol(flow.protocol());
            opened.set_host(flow.target().host);
            opened.set_address(flow.address().to_string());
            opened.set_port(flow.target().port);
            gate->report_(std::move(message));
          },
          [self = weak_from_this()](Flow& flow, const std::string& reason) {
            if (const auto gate = self.lock()) gate->end_flow(flow, reason);
          }};
}

void Gate::open_flow(const std::shared_ptr<Flow>& flow) {
  flows_.emplace(flow->id(), flow);
  flow->start();
  arm_sweep();
}

void Gate::end_flow(Flow& flow, const std::string& reason) {
  v1::GateReport message;
  v1::FlowClosed& closed = *message.mutable_flow_closed();
  closed.set_gate_id(id_);
  closed.set_flow_id(flow.id());
  closed.set_reason(flow.is_open() ? reason : "unreachable");
  closed.set_host(flow.target().host);
  closed.set_port(flow.target().port);
  closed.set_bytes_out(flow.bytes_out());
  closed.set_bytes_in(flow.bytes_in());
  closed.set_duration_ms(static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - flow.begun()).count()));
  report_(std::move(message));
  flows_.erase(flow.id());
}

void Gate::wait_datagram(const std::shared_ptr<Door>& door) {
  door->datagrams.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                             [self = shared_from_this(), door](const Fault& fault) {
                               if (self->closed_ || fault) return;
                               self->take_datagrams(door);
                               self->wait_datagram(door);
                             });
}

void Gate::take_datagrams(const std::shared_ptr<Door>& door) {
  static std::array<char, 64 * 1024> buffer;  // the process has one thread
  for (int i = 0; i < kDatagramsPerTurn && !closed_; ++i) {
    const auto datagram = receive_datagram(door->datagrams.native_handle(), buffer);
    if (!datagram) return;
    take_datagram(door, datagram->client, datagram->wanted, std::span(buffer).first(datagram->bytes));
  }
}

void Gate::take_datagram(const std::shared_ptr<Door>& door, const std::string& client, const Address& wanted,
                         std::span<const char> bytes) {
  const auto reply = [door, client, wanted](const void* data, std::size_t size) {
    if (!door->datagrams.is_open()) return;
    send_datagram(door->datagrams.native_handle(), door->is_ipv6, client, wanted, data, size);
  };
  if (door->port == kDnsPort && (wanted == NameBook::dns_address() || wanted.is_loopback())) {
    ask(std::as_bytes(bytes), [reply](std::vector<std::byte> answer) { reply(answer.data(), answer.size()); });
    return;
  }
  const DatagramKey key{client, wanted.to_string(), door->port};
  if (const auto found = datagram_flows_.find(key); found != datagram_flows_.end()) {
    if (const auto flow = found->second.lock(); flow && flows_.contains(flow->id())) {
      flow->send(bytes);
      return;
    }
    datagram_flows_.erase(found);
  }
  Verdict verdict = decide(wanted, door->port);
  if (verdict.target && !crowded().empty()) return;
  if (!verdict.target) {
    refuse("send", verdict, door->port, [] {});
    return;
  }
  auto flow = std::make_shared<UdpFlow>(io_, ++last_flow_id_, std::move(*verdict.target), flow_events(),
                                        [reply](std::span<const char> data) { reply(data.data(), data.size()); });
  if (datagram_flows_.size() > bounds_.flows_max) {
    std::erase_if(datagram_flows_, [](const auto& entry) { return entry.second.expired(); });
  }
  datagram_flows_[key] = flow;
  open_flow(flow);
  flow->send(bytes);
}

// --- names ---

void Gate::ask(std::span<const std::byte> message, const Answer& answer) {
  const auto question = read_question(message);
  if (!question) return;
  const auto name = canonical_name(question->name);
  if (name && *name == "localhost") {
    const bool wants_ipv6 = question->type == static_cast<std::uint16_t>(RecordType::kAaaa);
    answer(make_answer(*question, AnswerCode::kNoError,
                       wants_ipv6 ? Address(address_v6::loopback()) : Address(address_v4::loopback())));
    return;
  }
  if (!name || !grants_.allows_name(*name)) {
    Verdict verdict;
    verdict.host = name.value_or("(no name)");
    verdict.why = "no permission of it names this host";
    refuse("resolve", verdict, 0,
           [answer, question] { answer(make_answer(*question, AnswerCode::kNameError, std::nullopt)); });
    return;
  }
  if (question->type != static_cast<std::uint16_t>(RecordType::kA) &&
      question->type != static_cast<std::uint16_t>(RecordType::kAaaa)) {
    // Nothing is asked of anybody: a question can carry what an answer cannot take back.
    answer(make_answer(*question, AnswerCode::kNoError, std::nullopt));
    return;
  }
  if (*name == kHostLoopback && names_.enter(*name)) {
    names_.set_place(*name, {{address_v4::loopback(), address_v6::loopback()}, Clock::now()});
  }
  const NameBook::Place* const place = names_.place(*name);
  if (place != nullptr && Clock::now() < place->resolved_at + std::chrono::seconds(kDnsTtlSeconds)) {
    answer_name(*question, *name, answer);
    return;
  }
  if (const auto under_way = resolutions_.find(*name); under_way != resolutions_.end()) {
    if (under_way->second.size() < kResolutionsMax) under_way->second.push_back({*question, answer});
    return;
  }
  if (resolutions_.size() >= kResolutionsMax || !resolution_rate_.take()) {
    answer(make_answer(*question, AnswerCode::kServerFailure, std::nullopt));
    return;
  }
  resolutions_[*name].push_back({*question, answer});
  resolver_.resolve(*name, [self = shared_from_this(), name = *name](std::vector<Address> addresses, bool failed) {
    self->resolved(name, std::move(addresses), failed);
  });
}

void Gate::answer_name(const Question& question, const std::string& name, const Answer& answer) {
  const NameBook::Place* const place = names_.place(name);
  if (place == nullptr || place->addresses.empty()) {
    answer(make_answer(question, AnswerCode::kNameError, std::nullopt));
    return;
  }
  const auto number = names_.enter(name);
  if (!number) {
    answer(make_answer(question, AnswerCode::kServerFailure, std::nullopt));
    return;
  }
  const bool wants_ipv6 = question.type == static_cast<std::uint16_t>(RecordType::kAaaa);
  std::optional<Address> address;
  if (!wants_ipv6) address = NameBook::ipv4_of(*number);
  if (wants_ipv6 && has_ipv6_) address = NameBook::ipv6_of(*number);
  answer(make_answer(question, AnswerCode::kNoError, address));
}

// One address that may not be is enough: whoever answers with it means no good, or does not know what he does.
void Gate::resolved(const std::string& name, std::vector<Address> addresses, bool failed) {
  const auto found = resolutions_.find(name);
  if (found == resolutions_.end()) return;
  const std::vector<Waiting> waiting = std::move(found->second);
  resolutions_.erase(found);
  if (closed_) return;
  if (failed) {
    for (const Waiting& one : waiting) one.answer(make_answer(one.question, AnswerCode::kServerFailure, std::nullopt));
    return;
  }
  const auto bad =
      std::ranges::find_if(addresses, [&](const Address& address) { return !may_lead_somewhere(address); });
  if (bad == addresses.end()) {
    if (!addresses.empty()) names_.enter(name);
    names_.set_place(name, {std::move(addresses), Clock::now()});
    for (const Waiting& one : waiting) answer_name(one.question, name, one.answer);
    return;
  }
  Verdict verdict;
  verdict.host = name;
  verdict.why = "it leads to " + bad->to_string() + ", which is no public address (network_internal_ranges)";
  names_.set_place(name, {});
  refuse("resolve", verdict, 0, [waiting] {
    for (const Waiting& one : waiting) one.answer(make_answer(one.question, AnswerCode::kNameError, std::nullopt));
  });
}

void Gate::serve_dns(Tcp::socket socket) {
  if (dns_connections_ >= kDnsConnectionsMax) {
    reset(socket);
    return;
  }
  ++dns_connections_;
  // Counted down when nobody holds it any more.
  const std::shared_ptr<DnsConnection> connection(new DnsConnection(std::move(socket)),
                                                  [self = shared_from_this()](const DnsConnection* gone) {
                                                    --self->dns_connections_;
                                                    delete gone;
                                                  });
  read_question_length(connection);
}

void Gate::read_question_length(const std::shared_ptr<DnsConnection>& connection) {
  boost::asio::async_read(
      connection->socket, boost::asio::buffer(connection->length),
      [self = shared_from_this(), connection](const Fault& fault, std::size_t) {
        const std::size_t length = static_cast<std::size_t>(connection->length[0]) << 8 | connection->length[1];
        if (fault || self->closed_ || length > kDnsMessageBytesMax) return;
        connection->message.resize(length);
        boost::asio::async_read(
            connection->socket, boost::asio::buffer(connection->message),
            [self, connection](const Fault& read_fault, std::size_t) {
              if (read_fault || self->closed_) return;
              self->ask(connection->message, [self, connection](const std::vector<std::byte>& answer) {
                auto framed = std::make_shared<std::vector<std::byte>>();
                framed->push_back(static_cast<std::byte>(answer.size() >> 8));
                framed->push_back(static_cast<std::byte>(answer.size() & 0xff));
                framed->insert(framed->end(), answer.begin(), answer.end());
                boost::asio::async_write(connection->socket, boost::asio::buffer(*framed),
                                         [self, connection, framed](const Fault& write_fault, std::size_t) {
                                           if (!write_fault) self->read_question_length(connection);
                                         });
              });
            });
      });
}

// --- what time ends ---

void Gate::arm_sweep() {
  if (sweeps_ || closed_) return;
  sweeps_ = true;
  sweep_timer_.expires_after(kSweepInterval);
  sweep_timer_.async_wait([self = weak_from_this()](const Fault& fault) {
    const auto gate = self.lock();
    if (!gate) return;
    gate->sweeps_ = false;
    if (!fault) gate->sweep();
  });
}

void Gate::sweep() {
  const auto now = Clock::now();
  for (const auto& [id, flow] : std::map(flows_)) {
    const auto idle = std::string_view(flow->protocol()) == "udp"
                          ? std::min<std::chrono::milliseconds>(bounds_.idle, kUdpIdleMax)
                          : bounds_.idle;
    if (flow->is_open() && now - flow->last_moved() > idle) flow->end("idle");
    if (!flow->is_open() && now - flow->begun() > kConnectMax) flow->end("unreachable");
  }
  denials_.flush(now, false);
  if (!flows_.empty() || denials_.has_counts()) arm_sweep();
}

}  // namespace liongate::netgate
