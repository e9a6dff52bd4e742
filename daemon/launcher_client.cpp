#include "daemon/launcher_client.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>
#include <map>

#include "kernel/base/sys.h"
#include "kernel/base/utf8.h"
#include "sandbox/setup_step.h"

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
  exit.cpu_wait_us = exited.cpu_wait_us;
  exit.memory_wait_us = exited.memory_wait_us;
  exit.io_wait_us = exited.io_wait_us;
  for (const sandbox::LimitHit& hit : exited.limit_hits) {
    v1::LimitHit& message = exit.limit_hits.emplace_back();
    message.set_limit(hit.limit);
    message.set_limit_value(hit.limit_value);
    message.set_used(hit.used);
    message.set_killed(hit.killed);
  }
  switch (exited.kind) {
    case sandbox::EndKind::kExited:
      exit.kind = supervision::ExitKind::kExited;
      break;
    case sandbox::EndKind::kSignalled:
      exit.kind = supervision::ExitKind::kSignalled;
      exit.in_setup = !exited.step.empty();
      break;
    case sandbox::EndKind::kSetupFailed:
      exit.kind = supervision::ExitKind::kSetupFailed;
      exit.step = exited.argument.empty() ? exited.step : exited.step + " " + exited.argument;
      exit.step_errno = exited.step_errno;
      exit.host_refuses = exited.host_refuses;
      exit.limit_is_unkept = exited.step == sandbox::words_of(sandbox::Step::kKeepLimit);
      break;
  }
  return exit;
}

std::string message_of(const sandbox::Denied& denied, const std::string& answer) {
  if (denied.system_call.empty()) return "killed: it " + denied.rule;
  std::string message =
      denied.system_call +
      (denied.count > 1 ? " was refused " + std::to_string(denied.count) + " more times" : " was refused");
  message += " with " + answer + ": ";
  return message + (denied.permission.empty() ? "no permission allows it"
                                              : "it needs the permission \"" + denied.permission + "\"");
}

v1::Event denial_event(v1::Event event, const sandbox::Denied& denied) {
  const char* name = ::strerrorname_np(denied.answer_errno);
  const std::string answer = denied.answer_errno == 0 || name == nullptr ? "" : name;
  event.set_type("PermissionDenied");
  event.set_actor("plugin:" + event.plugin_name());
  v1::PermissionDenied& denial = *event.mutable_permission_denied();
  denial.set_permission(to_utf8(denied.permission));  // an event that is no text could not be read back
  denial.set_rule("system call filter: " + denied.rule);
  denial.set_message(message_of(denied, answer));
  denial.set_action(denied.system_call.empty() ? "system call" : "system call " + denied.system_call);
  denial.set_system_call(denied.system_call);
  denial.set_arguments(to_utf8(denied.arguments));
  denial.set_answer(answer);
  denial.set_count(denied.count);
  return event;
}

// Part of an event of every start: so much that it says where the time went, and no more.
void add_steps(const std::vector<sandbox::StepTime>& steps, v1::Posture& posture) {
  constexpr std::uint32_t kShortUs = 10;
  std::uint32_t rest_us = 0;
  const auto add = [&posture](const std::string& step, std::uint32_t duration_us) {
    v1::StartStep& entry = *posture.add_steps();
    entry.set_step(step);
    entry.set_duration_us(duration_us);
  };
  for (const sandbox::StepTime& step : steps) {
    if (step.duration_us < kShortUs) {
      rest_us += step.duration_us;
    } else {
      add(step.step, step.duration_us);
    }
  }
  add("all other steps", rest_us);
}

// A value on its way to the launcher: memory that it, and nobody after us, can change.
Result<UniqueFd> sealed_copy(const SecretBytes& value) {
  constexpr unsigned kNeverExecuted = 0x8;  // MFD_NOEXEC_SEAL, Linux 6.3
  constexpr unsigned kFlags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  UniqueFd copy(::memfd_create("liongate-secret", kFlags | kNeverExecuted));
  if (!copy && errno == EINVAL) copy.reset(::memfd_create("liongate-secret", kFlags));
  if (!copy) return make_errno_error(Reason::kInternal, "memfd_create", errno);
  LG_TRY(sys::write_all(copy.get(), value.bytes()));
  if (::fcntl(copy.get(), F_ADD_SEALS, F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE) != 0) {
    return make_errno_error(Reason::kInternal, "seal a memory file", errno);
  }
  return copy;
}

v1::Posture posture_of(const sandbox::Started& started) {
  v1::Posture posture;
  for (const sandbox::Mechanism& mechanism : started.posture) {
    v1::MechanismState& state = *posture.add_mechanisms();
    state.set_name(mechanism.name);
    state.set_state(mechanism.state);
    state.set_detail(mechanism.detail);
  }
  add_steps(started.steps, posture);
  return posture;
}

// Why a launch could not be asked for.
Error send_error(Error error) {
  if (error.sys_errno == EAGAIN) {
    return make_error(Reason::kQueueFull, "liongate-launcher has too many launches waiting")
        .with_hint("try again in a moment");
  }
  if (error.reason == Reason::kInvalidArgument) {
    error.reason = Reason::kInputTooLarge;
    error.hint = "a launch's words are bounded; remove {input} from args: the input is on stdin as well";
  }
  return error;
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
  Open open{&listener, std::move(order.origin), {}, network_grants_of(order.loaded->manifest())};
  for (const sandbox::GatePort& one : request.gate_ports)
    open.gate_ports.push_back(static_cast<std::uint16_t>(one.port));
  for (const policy::SecretValue& secret : order.secrets) {
    LG_ASSIGN(UniqueFd copy, sealed_copy(secret.value));
    request.secrets.push_back({secret.name});
    order.descriptors.push_back(std::move(copy));
  }
  std::vector<int> descriptors;
  for (const UniqueFd& descriptor : order.descriptors) descriptors.push_back(descriptor.get());
  if (Result<void> sent = sandbox::send_request(socket_.native_handle(), std::move(request), descriptors); !sent) {
    return send_error(std::move(sent).error());
  }
  launches_[last_id_] = std::move(open);
  return last_id_;
}

void LauncherClient::kill(LaunchId id) {
  send_surely(sandbox::KillRequest{id});
}

// A full socket means that the launcher is busy starting; what must not be lost is sent again.
void LauncherClient::send_surely(sandbox::Request request) {
  if (lost_) return;
  if (const auto sent = sandbox::send_request(socket_.native_handle(), request, {});
      !sent && sent.error().sys_errno == EAGAIN) {
    socket_.async_wait(boost::asio::posix::stream_descriptor::wait_write,
                       [this, request = std::move(request)](const boost::system::error_code& error) {
                         if (!error) send_surely(request);
                       });
  }
}

void LauncherClient::narrow_network(LaunchId id, const v1::Manifest& manifest) {
  if (netgate_ != nullptr) netgate_->narrow(id, network_grants_of(manifest));
}

void LauncherClient::forget(LaunchId id) {
  if (const auto found = launches_.find(id); found != launches_.end()) found->second.listener = nullptr;
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

void LauncherClient::try_command(const v1::PluginLoaded& loaded, std::function<void(Result<v1::Posture>)> done) {
  const auto fail = [this, &done](Error error) {
    boost::asio::post(io_, [done = std::move(done), error = std::move(error)] { done(error); });
  };
  if (lost_) {
    fail(lost_error());
    return;
  }
  Result<sandbox::LaunchRequest> request = planner_.plan(loaded, "", 0);
  if (!request) {
    fail(std::move(request).error());
    return;
  }
  request->launch_id = ++last_id_;
  request->is_trial = true;
  if (auto sent = sandbox::send_request(socket_.native_handle(), std::move(*request), {}); !sent) {
    fail(send_error(std::move(sent).error()));
    return;
  }
  trials_[last_id_] = Trial{loaded.manifest().name(), std::move(done), {}};
}

void LauncherClient::explain_refusal(Error cause, std::function<void(Result<v1::Posture>)> done) {
  report_host([cause = std::move(cause), done = std::move(done)](const Result<sandbox::HostReport>& report) {
    if (report) {
      for (const sandbox::HostMechanism& mechanism : report->mechanisms) {
        if (mechanism.available || !mechanism.mandatory) continue;
        done(make_error(Reason::kSandboxUnavailable, "this host lacks " + mechanism.name + ": " + mechanism.reason)
                 .with_hint(mechanism.remedy)
                 .with("mechanism", mechanism.name));
        return;
      }
    }
    done(cause);
  });
}

void LauncherClient::finish_trial(Trial trial, const PluginExit& exit) {
  if (exit.kind == supervision::ExitKind::kExited && exit.exit_code == 0) {
    trial.done(std::move(trial.posture));
    return;
  }
  Error error = supervision::load_error(trial.name, exit);
  if (exit.host_refuses && !exit.limit_is_unkept) {
    explain_refusal(std::move(error), std::move(trial.done));
  } else {
    trial.done(std::move(error));
  }
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
    take(std::move(*received));
  }
  wait();
}

void LauncherClient::take(sandbox::ReceivedReport received) {
  sandbox::Report& report = received.report;
  if (auto* started = std::get_if<sandbox::Started>(&report)) {
    if (const auto trial = trials_.find(started->launch_id); trial != trials_.end()) {
      trial->second.posture = posture_of(*started);
      return;
    }
    const auto found = launches_.find(started->launch_id);
    if (found == launches_.end() || found->second.listener == nullptr) return;
    supervision::LaunchStarted message;
    message.pid = started->pid;
    message.posture = posture_of(*started);
    if (started->gate_sockets > 0 && started->gate_sockets <= received.descriptors.size() && netgate_ != nullptr) {
      NetgateClient::Opening opening{found->second.gate_ports, {}, found->second.network_grants, found->second.origin};
      const auto first = received.descriptors.end() - static_cast<std::ptrdiff_t>(started->gate_sockets);
      std::move(first, received.descriptors.end(), std::back_inserter(opening.doors));
      received.descriptors.erase(first, received.descriptors.end());
      message.network_requests = netgate_->open(started->launch_id, std::move(opening));
    }
    if (!received.descriptors.empty()) {
      std::map<int, std::string> folders;
      for (sandbox::WatchedFolder& folder : started->watched) folders[folder.watch] = std::move(folder.path);
      message.created_files = supervision::FileWatch(std::move(received.descriptors.front()), std::move(folders));
    }
    found->second.listener->on_launch_started(std::move(message));
  } else if (const auto* door = std::get_if<sandbox::DoorOpened>(&report)) {
    if (netgate_ != nullptr) {
      netgate_->add_door(door->launch_id, static_cast<std::uint16_t>(door->port), std::move(received.descriptors));
    }
  } else if (auto* exited = std::get_if<sandbox::Exited>(&report)) {
    if (auto trial = trials_.extract(exited->launch_id)) {
      finish_trial(std::move(trial.mapped()), to_exit(*exited));
      return;
    }
    const auto found = launches_.find(exited->launch_id);
    if (found == launches_.end()) return;
    supervision::LaunchListener* listener = found->second.listener;
    launches_.erase(found);
    if (netgate_ != nullptr) netgate_->close(exited->launch_id);
    if (listener != nullptr) listener->on_launch_ended(to_exit(*exited));
  } else if (const auto* denied = std::get_if<sandbox::Denied>(&report)) {
    take_denial(*denied);
  } else if (auto* host = std::get_if<sandbox::HostReport>(&report); host != nullptr) {
    // One check answers all who asked while it ran.
    for (const auto& done : std::exchange(host_reports_wanted_, {})) done(*host);
  }
}

void LauncherClient::take_denial(const sandbox::Denied& denied) {
  if (const auto found = launches_.find(denied.launch_id); found != launches_.end() && on_denied_) {
    on_denied_(denial_event(found->second.origin, denied));
  }
  if (denied.denial_id != 0) send_surely(sandbox::DenialRecordedRequest{denied.launch_id, denied.denial_id});
}

void LauncherClient::on_lost_launcher() {
  lost_ = true;
  PluginExit exit;
  exit.kind = supervision::ExitKind::kLauncherLost;
  for (auto& [id, open] : std::exchange(launches_, {})) {
    if (open.listener != nullptr) open.listener->on_launch_ended(exit);
  }
  for (auto& [id, trial] : std::exchange(trials_, {})) trial.done(lost_error());
  for (auto& done : std::exchange(host_reports_wanted_, {})) done(lost_error());
  on_lost_();
}

}  // namespace liongate::daemon
