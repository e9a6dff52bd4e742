#include "daemon/launcher_client.h"

#include <boost/asio/post.hpp>
#include <cerrno>

namespace liongate::daemon {

using supervision::LaunchId;
using supervision::PluginExit;

namespace {

// Reports taken in one turn of the loop before others have theirs.
constexpr int kReportsPerTurn = 64;

PluginExit to_exit(const sandbox::Exited& exited) {
  PluginExit exit;
  exit.exit_code = exited.exit_code;
  exit.signal = exited.signal;
  exit.cpu_time_us = exited.cpu_time_us;
  exit.memory_peak_bytes = exited.memory_peak_bytes;
  switch (exited.kind) {
    case sandbox::EndKind::kExited:
      exit.kind = supervision::ExitKind::kExited;
      break;
    case sandbox::EndKind::kSignalled:
      exit.kind = supervision::ExitKind::kSignalled;
      break;
    case sandbox::EndKind::kSetupFailed:
      exit.kind = supervision::ExitKind::kSetupFailed;
      exit.step = exited.argument.empty() ? exited.step : exited.step + " " + exited.argument;
      exit.step_errno = exited.step_errno;
      exit.host_refuses = exited.host_refuses;
      break;
  }
  return exit;
}

Error lost_error() {
  return make_error(Reason::kSandboxUnavailable, "liongate-launcher has ended: nothing can be started")
      .with_hint("restart liongated");
}

}  // namespace

LauncherClient::LauncherClient(boost::asio::io_context& io, UniqueFd control_socket, LaunchPlanner planner,
                               std::function<void()> on_lost)
    : io_(io), socket_(io, control_socket.release()), planner_(std::move(planner)), on_lost_(std::move(on_lost)) {
  socket_.non_blocking(true);
}

Result<LaunchId> LauncherClient::launch(supervision::LaunchOrder order, supervision::LaunchListener& listener) {
  if (lost_) return lost_error();
  LG_ASSIGN(sandbox::LaunchRequest request,
            planner_.plan(*order.loaded, order.input_argument, order.descriptors.size()));
  request.launch_id = ++last_id_;
  std::vector<int> descriptors;
  for (const UniqueFd& descriptor : order.descriptors) descriptors.push_back(descriptor.get());
  if (Result<void> sent = sandbox::send_request(socket_.native_handle(), std::move(request), descriptors); !sent) {
    if (sent.error().sys_errno == EAGAIN) {
      return make_error(Reason::kQueueFull, "liongate-launcher has too many launches waiting")
          .with_hint("try again in a moment");
    }
    Error error = std::move(sent).error();
    if (error.reason == Reason::kInvalidArgument) {
      error.reason = Reason::kInputTooLarge;
      error.hint = "a launch's words are bounded; remove {input} from args: the input is on stdin as well";
    }
    return error;
  }
  listeners_[last_id_] = &listener;
  return last_id_;
}

void LauncherClient::kill(LaunchId id) {
  if (lost_) return;
  // A full socket means that the launcher is busy starting; the kill must not be lost, so it is sent again.
  if (const auto sent = sandbox::send_request(socket_.native_handle(), sandbox::KillRequest{id}, {});
      !sent && sent.error().sys_errno == EAGAIN) {
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                       [this, id](const boost::system::error_code& error) {
                         if (!error) kill(id);
                       });
  }
}

void LauncherClient::forget(LaunchId id) {
  if (const auto found = listeners_.find(id); found != listeners_.end()) found->second = nullptr;
}

void LauncherClient::report_host(std::function<void(Result<sandbox::HostReport>)> done) {
  if (!lost_ && !host_reports_wanted_.empty()) {
    host_reports_wanted_.push_back(std::move(done));
    return;
  }
  if (!lost_) {
    if (const auto sent = sandbox::send_request(socket_.native_handle(), sandbox::CheckHostRequest{}, {}); sent) {
      host_reports_wanted_.push_back(std::move(done));
      return;
    }
  }
  boost::asio::post(io_, [done = std::move(done)] { done(lost_error()); });
}

void LauncherClient::check_host(std::function<void(Result<void>)> done) {
  report_host([done = std::move(done)](Result<sandbox::HostReport> report) {
    if (!report) {
      done(std::move(report).error());
      return;
    }
    for (const sandbox::HostMechanism& mechanism : report->mechanisms) {
      if (mechanism.available || !mechanism.mandatory) continue;
      done(make_error(Reason::kSandboxUnavailable, "this host lacks " + mechanism.name + ": " + mechanism.reason)
               .with_hint(mechanism.remedy)
               .with("mechanism", mechanism.name));
      return;
    }
    done({});
  });
}

void LauncherClient::wait() {
  socket_.async_wait(boost::asio::posix::stream_descriptor::wait_read, [this](const boost::system::error_code& error) {
    if (!error) on_readable();
  });
}

void LauncherClient::on_readable() {
  for (int i = 0; i < kReportsPerTurn; ++i) {
    Result<sandbox::ReceivedReport> received = sandbox::receive_report(socket_.native_handle());
    if (!received) {
      if (received.error().sys_errno == EAGAIN) break;
      on_lost_launcher();
      return;
    }
    take(std::move(received->report));
  }
  wait();
}

void LauncherClient::take(sandbox::Report report) {
  if (auto* started = std::get_if<sandbox::Started>(&report)) {
    const auto found = listeners_.find(started->launch_id);
    if (found == listeners_.end() || found->second == nullptr) return;
    supervision::LaunchStarted message;
    message.pid = started->pid;
    for (const sandbox::Mechanism& mechanism : started->posture) {
      v1::MechanismState& state = *message.posture.add_mechanisms();
      state.set_name(mechanism.name);
      state.set_state(mechanism.state);
      state.set_detail(mechanism.detail);
    }
    found->second->on_launch_started(std::move(message));
  } else if (auto* exited = std::get_if<sandbox::Exited>(&report)) {
    const auto found = listeners_.find(exited->launch_id);
    if (found == listeners_.end()) return;
    supervision::LaunchListener* listener = found->second;
    listeners_.erase(found);
    if (listener != nullptr) listener->on_launch_ended(to_exit(*exited));
  } else if (auto* host = std::get_if<sandbox::HostReport>(&report); host != nullptr) {
    // One check answers all who asked while it ran.
    for (const auto& done : std::exchange(host_reports_wanted_, {})) done(*host);
  }
}

void LauncherClient::on_lost_launcher() {
  lost_ = true;
  PluginExit exit;
  exit.kind = supervision::ExitKind::kLauncherLost;
  for (auto& [id, listener] : std::exchange(listeners_, {})) {
    if (listener != nullptr) listener->on_launch_ended(exit);
  }
  for (auto& done : std::exchange(host_reports_wanted_, {})) done(lost_error());
  on_lost_();
}

}  // namespace liongate::daemon
