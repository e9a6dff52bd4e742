#include "netgate/control.h"

#include <sys/resource.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdio>
#include <span>

namespace liongate::netgate {
namespace {

void complain(const std::string& text) {
  std::fprintf(stderr, "liongate-netgate: %s\n", text.c_str());
}

// Two descriptors each, and some are kept for doors, questions and what is refused.
std::size_t flows_of_all_max() {
  constexpr std::size_t kShareForDoors = 4;
  rlimit files{};
  if (::getrlimit(RLIMIT_NOFILE, &files) != 0) return 0;
  return static_cast<std::size_t>(files.rlim_cur - files.rlim_cur / kShareForDoors) / 2;
}

}  // namespace

Control::Control(boost::asio::io_context& io, UniqueFd socket, Resolver& resolver)
    : io_(io), socket_(io, socket.release()), resolver_(resolver) {
  bounds_.flows_of_all_max = flows_of_all_max();
  socket_.non_blocking(true);
}

void Control::wait() {
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& fault) {
    if (!fault) on_readable();
  });
}

void Control::on_readable() {
  for (;;) {
    Result<sandbox::Packet> packet = sandbox::receive_packet(socket_.native_handle());
    if (!packet) {
      if (packet.error().sys_errno == EAGAIN) break;
      if (packet.error().sys_errno == EMSGSIZE) {  // its descriptors found no place; those that did are closed
        complain("no descriptor is left for a sandbox's door");
        continue;
      }
      // The daemon has gone, and with it every sandbox: nothing is left to lead anywhere.
      io_.stop();
      return;
    }
    v1::GateRequest request;
    if (!request.ParseFromArray(packet->bytes.data(), static_cast<int>(packet->bytes.size()))) {
      complain("a request of the daemon cannot be read");
      io_.stop();
      return;
    }
    take(std::move(request), std::move(packet->descriptors));
  }
  wait();
}

void Control::take(v1::GateRequest request, std::vector<UniqueFd> descriptors) {
  const auto gate_of = [this](std::uint64_t id) -> Gate* {
    const auto found = gates_.find(id);
    return found == gates_.end() ? nullptr : found->second.get();
  };
  switch (request.request_case()) {
    case v1::GateRequest::kSettings:
      apply(request.settings());
      break;
    case v1::GateRequest::kOpen:
      open(request.open());
      break;
    case v1::GateRequest::kNarrow:
      if (Gate* gate = gate_of(request.narrow().gate_id())) {
        auto grants = Grants::parse({request.narrow().grants().begin(), request.narrow().grants().end()});
        gate->narrow(grants ? std::move(*grants) : Grants());
      }
      break;
    case v1::GateRequest::kClose:
      if (Gate* gate = gate_of(request.close().gate_id())) {
        gate->close();
        gates_.erase(request.close().gate_id());
      }
      {
        v1::GateReport closed;
        closed.mutable_gate_closed()->set_gate_id(request.close().gate_id());
        report(closed);
      }
      break;
    case v1::GateRequest::kRefusalRecorded:
      if (Gate* gate = gate_of(request.refusal_recorded().gate_id())) {
        gate->recorded(request.refusal_recorded().refusal_id());
      }
      break;
    case v1::GateRequest::kAddDoor:
      if (Gate* gate = gate_of(request.add_door().gate_id()); gate != nullptr && descriptors.size() == 2) {
        gate->add_door(static_cast<std::uint16_t>(request.add_door().port()), std::move(descriptors[0]),
                       std::move(descriptors[1]));
      }
      break;
    case v1::GateRequest::REQUEST_NOT_SET:
      break;
  }
}

void Control::apply(const v1::GateSettings& settings) {
  if (auto used = resolver_.use_servers(settings.resolver()); !used) complain(used.error().message);
  bounds_.flows_max = settings.flows_max();
  bounds_.idle = std::chrono::milliseconds(settings.idle_timeout_ms());
  bounds_.flow_bytes_max = settings.flow_bytes_max();
  bounds_.internal.clear();
  for (const std::string& range : settings.internal_ranges()) {
    if (const auto network = parse_network(range)) bounds_.internal.push_back(*network);
  }
}

// Grants that cannot be meant open nothing: the sandbox has no way out.
void Control::open(const v1::OpenGate& request) {
  auto grants = Grants::parse({request.grants().begin(), request.grants().end()});
  if (!grants) {
    complain("gate " + std::to_string(request.gate_id()) + " stays shut: " + grants.error().message);
    return;
  }
  gates_[request.gate_id()] = std::make_shared<Gate>(io_, resolver_, request.gate_id(), std::move(*grants), bounds_,
                                                     [this](const v1::GateReport& message) { report(message); });
}

void Control::report(const v1::GateReport& message) {
  const bool is_of_flows = message.has_flow_opened() || message.has_flow_closed();
  if (waiting_.size() >= kReportsWaitingMax && is_of_flows) return;
  waiting_.push_back(message.SerializeAsString());
  send_waiting();
}

void Control::send_waiting() {
  while (!waiting_.empty() && !waits_to_send_) {
    const std::string& next = waiting_.front();
    const auto sent = sandbox::send_packet(socket_.native_handle(), std::as_bytes(std::span(next)), {});
    if (!sent && sent.error().sys_errno == EAGAIN) {
      waits_to_send_ = true;
      socket_.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                         [this](const boost::system::error_code& fault) {
                           waits_to_send_ = false;
                           if (!fault) send_waiting();
                         });
      return;
    }
    // A daemon that has gone is noticed where it is listened for.
    waiting_.pop_front();
  }
}

}  // namespace liongate::netgate
