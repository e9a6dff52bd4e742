#include "daemon/netgate_client.h"

#include <fcntl.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <span>

#include "sandbox/packet_socket.h"

namespace liongate::daemon {
namespace {

constexpr int kRestartsMax = 5;
constexpr std::chrono::seconds kRestartWindow{60};
constexpr std::chrono::milliseconds kRestartDelay{100};
constexpr int kGateReportsPerTurn = 64;
constexpr std::size_t kOutgoingMax = 65'536;
constexpr int kControlFd = 3;  // as netgate/main.cpp expects it

std::string permission_text(const v1::Refused& refused) {
  std::string text = "network:";
  const bool is_ipv6 = refused.host().find(':') != std::string::npos;
  text += is_ipv6 ? "[" + refused.host() + "]" : refused.host();
  if (refused.port() != 0) text += ":" + std::to_string(refused.port());
  return text;
}

v1::Event refusal_event(v1::Event event, const v1::Refused& refused) {
  event.set_type("PermissionDenied");
  event.set_actor("plugin:" + event.plugin_name());
  v1::PermissionDenied& denial = *event.mutable_permission_denied();
  const bool has_name = !refused.host().starts_with('(');  // what was asked for was no name at all
  const std::string permission = permission_text(refused);
  if (has_name) denial.set_permission(permission);
  denial.set_rule("network gate: " + refused.why());
  const std::string times = refused.count() > 1 ? std::to_string(refused.count()) + " times " : "";
  denial.set_message(refused.action() + " " + permission.substr(8) + " was refused " + times + "(" + refused.why() +
                     (has_name ? "): it needs the permission \"" + permission + "\"" : "): no permission allows it"));
  denial.set_action(refused.action());
  denial.set_count(refused.count());
  return event;
}

}  // namespace

NetgateClient::NetgateClient(boost::asio::io_context& io, NetgateSource source, const config::NetworkConfig& settings,
                             Handlers handlers)
    : io_(io), source_(std::move(source)), settings_(settings), handlers_(std::move(handlers)), restart_timer_(io) {}

NetgateClient::~NetgateClient() {
  socket_.reset();  // its end: the gate goes
  reap();
}

void NetgateClient::reap() {
  if (pid_ <= 0) return;
  // Its socket is closed; a gate that does not see it is a gate that hangs.
  ::kill(pid_, SIGKILL);
  ::waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void NetgateClient::set_settings(const config::NetworkConfig& settings) {
  settings_ = settings;
  if (socket_) send_settings();
}

std::shared_ptr<const std::uint64_t> NetgateClient::open(GateId id, Opening opening) {
  Open& open = gates_[id];
  open.opening = std::move(opening);
  open.requests = std::make_shared<std::uint64_t>(0);
  if (socket_) {
    send_open(id, open);
  } else if (!restart_waits_) {
    start();
  }
  return open.requests;
}

void NetgateClient::add_door(GateId id, std::uint16_t port, std::vector<UniqueFd> doors) {
  const auto found = gates_.find(id);
  if (found == gates_.end() || doors.size() != 2) return;
  v1::GateRequest request;
  request.mutable_add_door()->set_gate_id(id);
  request.mutable_add_door()->set_port(port);
  send(request, {doors[0].get(), doors[1].get()});
  found->second.opening.ports.push_back(port);
  for (UniqueFd& door : doors) found->second.opening.doors.push_back(std::move(door));
}

// What was carried is the gate's to tell: it is forgotten when the gate has told all.
void NetgateClient::close(GateId id) {
  const auto found = gates_.find(id);
  if (found == gates_.end()) return;
  found->second.is_closing = true;
  found->second.opening.doors.clear();
  if (!socket_) {
    gates_.erase(found);
    return;
  }
  v1::GateRequest request;
  request.mutable_close()->set_gate_id(id);
  send(request, {});
}

void NetgateClient::narrow(GateId id, std::vector<std::string> grants) {
  const auto found = gates_.find(id);
  if (found == gates_.end()) return;
  found->second.opening.grants = std::move(grants);
  v1::GateRequest request;
  request.mutable_narrow()->set_gate_id(id);
  for (const std::string& grant : found->second.opening.grants) request.mutable_narrow()->add_grants(grant);
  send(request, {});
}

// --- the gate's process ---

Result<UniqueFd> NetgateClient::start_program() {
  LG_ASSIGN(auto pair, sandbox::packet_socket_pair());
  posix_spawn_file_actions_t actions;
  posix_spawnattr_t attributes;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawnattr_init(&attributes);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, pair.second.get(), kControlFd);
  // What the daemon blocks or ignores is its own business.
  sigset_t none;
  ::sigemptyset(&none);
  ::posix_spawnattr_setsigmask(&attributes, &none);
  ::posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
  char name[] = "liongate-netgate";
  char* const arguments[] = {name, nullptr};
  char* const environment[] = {nullptr};
  const int failed = ::posix_spawn(&pid_, source_.program.c_str(), &actions, &attributes, arguments, environment);
  ::posix_spawn_file_actions_destroy(&actions);
  ::posix_spawnattr_destroy(&attributes);
  if (failed != 0) {
    pid_ = 0;
    return make_errno_error(Reason::kInternal, "start " + source_.program, failed);
  }
  return std::move(pair.first);
}

Result<UniqueFd> NetgateClient::connect_to_unit() {
  UniqueFd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (source_.socket.size() < sizeof address.sun_path) {
    std::memcpy(address.sun_path, source_.socket.c_str(), source_.socket.size() + 1);
    if (socket.valid() && ::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0) {
      return socket;
    }
  }
  return make_errno_error(Reason::kInternal, "connect to liongate-netgate at " + source_.socket, errno);
}

void NetgateClient::start() {
  auto started = source_.socket.empty() ? start_program() : connect_to_unit();
  if (!started) {
    handlers_.on_warning(started.error().message + ": plugins have no network");
    on_lost();
    return;
  }
  socket_.emplace(io_, started->release());
  socket_->non_blocking(true);
  send_settings();
  for (const auto& [id, open] : gates_) send_open(id, open);
  wait();
}

void NetgateClient::on_lost() {
  socket_.reset();
  outgoing_.clear();
  waits_to_send_ = false;
  ++generation_;
  reap();
  for (auto& [id, open] : gates_) {
    for (const auto& [flow_id, flow] : std::exchange(open.flows, {})) {
      v1::Event event = open.opening.origin;
      event.set_type("NetworkFlowClosed");
      event.mutable_network_flow_closed()->set_flow_id(flow_id);
      event.mutable_network_flow_closed()->set_reason("gate lost");
      event.mutable_network_flow_closed()->set_host(flow.host);
      event.mutable_network_flow_closed()->set_port(flow.port);
      handlers_.on_flow(std::move(event));
    }
  }
  std::erase_if(gates_, [](const auto& entry) { return entry.second.is_closing; });
  if (gates_.empty() || restart_waits_) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - window_begin_ > kRestartWindow) {
    window_begin_ = now;
    restarts_in_window_ = 0;
  }
  const bool too_often = ++restarts_in_window_ > kRestartsMax;
  if (too_often) handlers_.on_warning("liongate-netgate ends again and again: tried anew in a minute");
  restart_waits_ = true;
  restart_timer_.expires_after(too_often ? std::chrono::milliseconds(kRestartWindow) : kRestartDelay);
  restart_timer_.async_wait([this](const boost::system::error_code& fault) {
    restart_waits_ = false;
    if (!fault && !socket_ && !gates_.empty()) start();
  });
}

// --- what is said ---

// Never ends the gate from here: callers walk the gates. One that takes nothing for long is one that hangs.
void NetgateClient::send(const v1::GateRequest& request, const std::vector<int>& descriptors) {
  if (!socket_) return;
  if (outgoing_.size() >= kOutgoingMax) {
    boost::asio::post(io_, [this] {
      if (outgoing_.size() < kOutgoingMax) return;
      handlers_.on_warning("liongate-netgate takes no more requests: it is ended");
      on_lost();
    });
    return;
  }
  Outgoing& next = outgoing_.emplace_back();
  next.bytes = request.SerializeAsString();
  // Copies: the gate may be closed before this is sent.
  for (const int descriptor : descriptors) next.descriptors.emplace_back(::fcntl(descriptor, F_DUPFD_CLOEXEC, 3));
  send_waiting();
}

void NetgateClient::send_waiting() {
  while (socket_ && !waits_to_send_ && !outgoing_.empty()) {
    const Outgoing& next = outgoing_.front();
    std::vector<int> descriptors;
    for (const UniqueFd& descriptor : next.descriptors) descriptors.push_back(descriptor.get());
    const auto sent = sandbox::send_packet(socket_->native_handle(), std::as_bytes(std::span(next.bytes)), descriptors);
    if (!sent && sent.error().sys_errno == EAGAIN) {
      waits_to_send_ = true;
      socket_->async_wait(boost::asio::posix::stream_descriptor::wait_write,
                          [this, generation = generation_](const boost::system::error_code& fault) {
                            if (generation != generation_) return;  // of a gate that has gone
                            waits_to_send_ = false;
                            if (!fault) send_waiting();
                          });
      return;
    }
    // A gate that has gone is noticed where it is listened for.
    if (!sent && sent.error().sys_errno != EPIPE) {
      handlers_.on_warning("a request to liongate-netgate is lost: " + sent.error().message);
    }
    outgoing_.pop_front();
  }
}

void NetgateClient::send_settings() {
  v1::GateRequest request;
  v1::GateSettings& settings = *request.mutable_settings();
  settings.set_resolver(settings_.resolver);
  for (const std::string& range : settings_.internal_ranges) settings.add_internal_ranges(range);
  settings.set_flows_max(static_cast<std::uint32_t>(settings_.flows_max));
  settings.set_idle_timeout_ms(static_cast<std::uint32_t>(settings_.idle_timeout_ms));
  settings.set_flow_bytes_max(settings_.flow_bytes_max);
  send(request, {});
}

void NetgateClient::send_open(GateId id, const Open& open) {
  v1::GateRequest request;
  request.mutable_open()->set_gate_id(id);
  for (const std::string& grant : open.opening.grants) request.mutable_open()->add_grants(grant);
  send(request, {});
  // A door a message: all together may be more descriptors than one can carry.
  for (std::size_t index = 0; index < open.opening.ports.size(); ++index) {
    v1::GateRequest door;
    door.mutable_add_door()->set_gate_id(id);
    door.mutable_add_door()->set_port(open.opening.ports[index]);
    send(door, {open.opening.doors[2 * index].get(), open.opening.doors[2 * index + 1].get()});
  }
}

void NetgateClient::wait() {
  socket_->async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& fault) {
    if (!fault && socket_) on_readable();
  });
}

void NetgateClient::on_readable() {
  for (int i = 0; i < kGateReportsPerTurn; ++i) {
    auto packet = sandbox::receive_packet(socket_->native_handle());
    if (!packet && packet.error().sys_errno == EAGAIN) break;
    v1::GateReport report;
    if (!packet || !report.ParseFromArray(packet->bytes.data(), static_cast<int>(packet->bytes.size()))) {
      handlers_.on_warning("liongate-netgate ended: connections are cut, and it is started again");
      on_lost();
      return;
    }
    take(report);
    if (!socket_) return;
  }
  wait();
}

void NetgateClient::take(const v1::GateReport& report) {
  const auto gate_of = [this](GateId id) -> Open* {
    const auto found = gates_.find(id);
    return found == gates_.end() ? nullptr : &found->second;
  };
  if (report.has_flow_opened()) {
    const v1::FlowOpened& flow = report.flow_opened();
    Open* const open = gate_of(flow.gate_id());
    if (open == nullptr) return;
    ++*open->requests;
    open->flows[flow.flow_id()] = {flow.host(), flow.port()};
    v1::Event event = open->opening.origin;
    event.set_type("NetworkFlowOpened");
    v1::NetworkFlowOpened& opened = *event.mutable_network_flow_opened();
    opened.set_flow_id(flow.flow_id());
    opened.set_protocol(flow.protocol());
    opened.set_host(flow.host());
    opened.set_address(flow.address());
    opened.set_port(flow.port());
    handlers_.on_flow(std::move(event));
  } else if (report.has_flow_closed()) {
    const v1::FlowClosed& flow = report.flow_closed();
    Open* const open = gate_of(flow.gate_id());
    if (open == nullptr) return;
    v1::Event event = open->opening.origin;
    event.set_type("NetworkFlowClosed");
    v1::NetworkFlowClosed& closed = *event.mutable_network_flow_closed();
    closed.set_flow_id(flow.flow_id());
    closed.set_reason(flow.reason());
    closed.set_bytes_out(flow.bytes_out());
    closed.set_bytes_in(flow.bytes_in());
    closed.set_duration_ms(flow.duration_ms());
    closed.set_host(flow.host());
    closed.set_port(flow.port());
    open->flows.erase(flow.flow_id());
    handlers_.on_flow(std::move(event));
  } else if (report.has_gate_closed()) {
    gates_.erase(report.gate_closed().gate_id());
  } else if (report.has_refused()) {
    const v1::Refused& refused = report.refused();
    if (const Open* const open = gate_of(refused.gate_id()); open != nullptr) {
      handlers_.on_refused(refusal_event(open->opening.origin, refused));
    }
    if (refused.refusal_id() == 0) return;
    v1::GateRequest request;
    request.mutable_refusal_recorded()->set_gate_id(refused.gate_id());
    request.mutable_refusal_recorded()->set_refusal_id(refused.refusal_id());
    send(request, {});
  }
}

}  // namespace liongate::daemon
