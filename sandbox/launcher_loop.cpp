#include "sandbox/launcher_loop.h"

#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>

#include "kernel/base/limits.h"
#include "kernel/base/sys.h"
#include "sandbox/host_check.h"
#include "sandbox/plain_open.h"
#include "sandbox/seccomp_filter.h"

namespace liongate::sandbox {
namespace {

constexpr int kEventsAtOnce = 64;
constexpr unsigned kSourceBits = 3;
constexpr std::uint64_t kSourceMask = (1U << kSourceBits) - 1;
constexpr int kHostCheckTimeoutMs = 30'000;  // a second or less where the processor is not emulated
constexpr int kSweepMs = 10;                 // until a control group that could not be removed is tried again

Error failed(std::string_view call) {
  return make_errno_error(Reason::kInternal, call, errno);
}

// A packet whose descriptors do not fit would be cut, and with it the conversation: better to refuse a launch in time.
std::size_t affordable_launches() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur <= kDescriptorsReserved) return 1;
  return std::min<std::size_t>(kLaunchesMax, (limit.rlim_cur - kDescriptorsReserved) / kDescriptorsPerLaunch);
}

}  // namespace

LauncherLoop::LauncherLoop(int control_socket, int files_socket, const HostFacts& host, UidRange uids,
                           CgroupTree cgroups)
    : host_(host),
      uids_(uids),
      networks_(host.mode),
      control_(control_socket),
      files_(files_socket),
      cgroups_(std::move(cgroups)) {}

Result<void> LauncherLoop::run() {
  LG_TRY(prepare());
  std::array<epoll_event, kEventsAtOnce> events{};
  while (!daemon_gone_) {
    const bool can_prepare = networks_.is_wanted();
    const int count = ::epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, can_prepare ? 0 : wait_ms());
    if (count < 0 && errno != EINTR) return failed("epoll_wait");
    if (count == 0 && can_prepare && !networks_.prepare()) return failed("leave the spare network");
    for (int index = 0; index < count; ++index) {
      const epoll_event& event = events[static_cast<std::size_t>(index)];
      LG_TRY(handle(event.events, static_cast<Source>(event.data.u64 & kSourceMask), event.data.u64 >> kSourceBits));
    }
    LG_TRY(expire_late_ones());
    cgroups_.sweep();
    LG_TRY(rearm_queues());
  }
  return {};
}

Result<void> LauncherLoop::prepare() {
  // Compiled before the first launch, and shared by every sandbox's copy of this process.
  for (const Grantable process : {Grantable::kWithheld, Grantable::kGranted}) {
    for (const Grantable jit : {Grantable::kWithheld, Grantable::kGranted}) {
      for (const Grantable network : {Grantable::kWithheld, Grantable::kGranted})
        filter_for({process, jit, network, Grantable::kWithheld});
    }
  }
  launches_max_ = affordable_launches();
  epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!epoll_.valid()) return failed("epoll_create1");
  LG_TRY(sys::set_nonblocking(control_.socket()));
  LG_TRY(sys::set_nonblocking(files_.socket()));
  LG_TRY(watch(control_.socket(), EPOLLIN, Source::kControl, 0));
  return watch(files_.socket(), EPOLLIN, Source::kFiles, 0);
}

Result<void> LauncherLoop::watch(int fd, std::uint32_t events, Source source, std::uint64_t key) {
  epoll_event event{};
  event.events = events;
  event.data.u64 = (key << kSourceBits) | static_cast<std::uint64_t>(source);
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) == 0) return {};
  if (errno == EEXIST && ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0) return {};
  return failed("epoll_ctl");
}

void LauncherLoop::unwatch(int fd) {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

Result<void> LauncherLoop::handle(std::uint32_t events, Source source, std::uint64_t key) {
  switch (source) {
    case Source::kControl:
    case Source::kFiles: {
      ReportQueue& queue = source == Source::kControl ? control_ : files_;
      if ((events & EPOLLOUT) != 0) LG_TRY(queue.flush());
      return (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 ? read_requests(queue.socket()) : Result<void>();
    }
    case Source::kChannel:
      return read_channel(key);
    case Source::kEnd:
      return finish_launch(key);
    case Source::kHostCheck:
      return finish_host_check();
    case Source::kDenials:
      return read_denial(key, events);
  }
  return {};
}

Result<void> LauncherLoop::read_requests(int socket) {
  // One packet a turn: the ends of sandboxes are not kept waiting by a daemon with much to ask.
  auto packet = receive_packet(socket);
  if (packet) return handle_request(std::move(*packet), socket);
  if (packet.error().sys_errno == EAGAIN) return {};
  if (packet.error().sys_errno == EPIPE) {
    if (socket == control_.socket()) daemon_gone_ = true;
    unwatch(socket);
    return {};
  }
  return std::move(packet).error();
}

Result<void> LauncherLoop::handle_request(Packet packet, int socket) {
  LG_ASSIGN(Request request, decode_request(packet.bytes));
  const bool is_open = std::holds_alternative<OpenRequest>(request);
  if (is_open != (socket == files_.socket())) {
    return make_error(Reason::kInvalidArgument, "a request on the wrong socket");
  }
  if (auto* launch = std::get_if<LaunchRequest>(&request)) {
    return handle_launch(std::move(*launch), std::move(packet.descriptors));
  }
  if (const auto* kill = std::get_if<KillRequest>(&request)) {
    if (const auto found = launches_.find(kill->launch_id); found != launches_.end()) found->second.kill();
    return {};
  }
  if (const auto* open = std::get_if<OpenRequest>(&request)) return handle_open(*open);
  if (const auto* recorded = std::get_if<DenialRecordedRequest>(&request)) return handle_recorded(*recorded);
  return begin_host_check();
}

Result<void> LauncherLoop::handle_launch(LaunchRequest request, std::vector<UniqueFd> descriptors) {
  const std::uint64_t launch_id = request.launch_id;
  // The upper bits carry the source of an event; an id is never reused, so a second one is a broken daemon.
  if (launch_id > (~std::uint64_t{0} >> kSourceBits) || launches_.contains(launch_id)) {
    return make_error(Reason::kInvalidArgument, "launch id " + std::to_string(launch_id) + " cannot be used");
  }
  const std::optional<HostIds> ids = launches_.size() < launches_max_ ? take_ids() : std::nullopt;
  if (!ids) {
    return control_.send(setup_failure(launch_id, setup_error(Step::kCheckRequest, EAGAIN, "too many sandboxes")));
  }
  auto launch = Launch::begin(std::move(request), std::move(descriptors), host_, *ids, cgroups_, networks_);
  if (!launch) {
    give_back(*ids);
    return control_.send(setup_failure(launch_id, launch.error()));
  }
  const auto [entry, inserted] = launches_.emplace(launch_id, std::move(*launch));
  note_deadline(launch_id);
  LG_TRY(watch(entry->second.channel(), EPOLLIN, Source::kChannel, launch_id));
  return watch(entry->second.pidfd(), EPOLLIN, Source::kEnd, launch_id);
}

Result<void> LauncherLoop::handle_open(const OpenRequest& request) {
  UniqueFd fd;
  const Opened opened{request.request_id, open_plainly(request.path, request.kind, fd)};
  std::vector<UniqueFd> descriptors;
  if (fd.valid()) descriptors.push_back(std::move(fd));
  return files_.send(opened, std::move(descriptors));
}

Result<void> LauncherLoop::read_channel(std::uint64_t launch_id) {
  const auto found = launches_.find(launch_id);
  if (found == launches_.end()) return {};
  Launch& launch = found->second;
  const bool had_listener = launch.denials() != nullptr;
  if (const auto started = launch.read_channel()) LG_TRY(control_.send(*started, launch.take_descriptors()));
  note_deadline(launch_id);
  if (!had_listener && launch.denials() != nullptr) {
    LG_TRY(watch(launch.denials()->fd(), EPOLLIN, Source::kDenials, launch_id));
  }
  // Its other end closes with pid 1, whose pidfd speaks next; until then a closed channel would wake us for nothing.
  char byte = 0;
  if (::recv(launch.channel(), &byte, sizeof byte, MSG_PEEK | MSG_DONTWAIT) == 0) unwatch(launch.channel());
  return {};
}

Result<void> LauncherLoop::finish_launch(std::uint64_t launch_id) {
  const auto found = launches_.find(launch_id);
  if (found == launches_.end()) return {};
  LG_TRY(read_channel(launch_id));
  const Exited exited = found->second.finish(cgroups_);
  for (const Denied& denied : found->second.last_denials()) LG_TRY(control_.send(denied));
  give_back(found->second.ids());
  launches_.erase(found);
  note_deadline(launch_id);
  return control_.send(exited);
}

// One notification a turn: whoever floods is served no more often than the end of another's sandbox, or a launch.
Result<void> LauncherLoop::read_denial(std::uint64_t launch_id, std::uint32_t events) {
  const auto found = launches_.find(launch_id);
  if (found == launches_.end() || found->second.denials() == nullptr) return {};
  DenialListener& denials = *found->second.denials();
  if ((events & EPOLLIN) == 0) {  // nobody is left under the filter; the pidfd speaks next
    unwatch(denials.fd());
    return {};
  }
  const auto denied = denials.take(std::chrono::steady_clock::now(), denial_budget_, may_report());
  if (denials.is_abused()) found->second.kill();
  note_deadline(launch_id);
  if (auto door = denials.take_door()) {
    std::vector<UniqueFd> sockets;
    sockets.push_back(std::move(door->listener));
    sockets.push_back(std::move(door->datagrams));
    LG_TRY(control_.send(DoorOpened{launch_id, door->port}, std::move(sockets)));
  }
  return denied ? control_.send(*denied) : Result<void>();
}

Result<void> LauncherLoop::handle_recorded(const DenialRecordedRequest& request) {
  const auto found = launches_.find(request.launch_id);
  if (found != launches_.end() && found->second.denials() != nullptr) {
    found->second.denials()->on_recorded(request.denial_id);
  }
  return {};
}

Result<void> LauncherLoop::begin_host_check() {
  if (host_check_) return {};  // the one under way answers both
  LG_ASSIGN(auto ends, packet_socket_pair());
  const pid_t pid = ::fork();
  if (pid < 0) return failed("fork");
  if (pid == 0) answer_host_check(ends.second.get(), host_);
  host_check_ = HostCheck{pid, std::move(ends.first),
                          std::chrono::steady_clock::now() + std::chrono::milliseconds(kHostCheckTimeoutMs)};
  return watch(host_check_->answer.get(), EPOLLIN, Source::kHostCheck, 0);
}

Result<void> LauncherLoop::finish_host_check() {
  if (!host_check_) return {};
  auto packet = receive_packet(host_check_->answer.get());
  HostReport report;
  report.rootless = host_.mode == HostMode::kRootless;
  report.mechanisms = {
      {"host check", false, true, "the trial process ended without an answer", "see the kernel's log"}};
  if (packet) {
    if (auto decoded = decode_report(packet->bytes); decoded && std::holds_alternative<HostReport>(*decoded)) {
      report = std::get<HostReport>(std::move(*decoded));
    }
  }
  // Not a trial: the group was taken, or not, when this launcher started.
  report.mechanisms.push_back({"cgroup limits", cgroups_.available(), false,
                               cgroups_.available() ? "leaves below " + cgroups_.folder() : cgroups_.reason(),
                               cgroups_.remedy()});
  mark_accepted(report, host_);
  ::kill(host_check_->pid, SIGKILL);
  ::waitpid(host_check_->pid, nullptr, 0);
  host_check_.reset();
  return control_.send(report);
}

Result<void> LauncherLoop::rearm_queues() {
  if (daemon_gone_) return {};
  const auto events = [](const ReportQueue& queue) { return queue.waiting() ? EPOLLIN | EPOLLOUT : EPOLLIN; };
  for (const auto& [queue, source] : {std::pair{&control_, Source::kControl}, std::pair{&files_, Source::kFiles}}) {
    epoll_event event{};
    event.events = static_cast<std::uint32_t>(events(*queue));
    event.data.u64 = static_cast<std::uint64_t>(source);
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, queue->socket(), &event);  // a closed files socket is watched no more
  }
  return {};
}

DenialListener::MayReport LauncherLoop::may_report() const {
  return control_.has_room_to_spare() ? DenialListener::MayReport::kYes : DenialListener::MayReport::kNo;
}

// Kept in order, so that a turn costs the same however many sandboxes there are.
void LauncherLoop::note_deadline(std::uint64_t launch_id) {
  if (const auto noted = noted_deadlines_.find(launch_id); noted != noted_deadlines_.end()) {
    deadlines_.erase({noted->second, launch_id});
    noted_deadlines_.erase(noted);
  }
  const auto found = launches_.find(launch_id);
  const auto deadline = found != launches_.end() ? found->second.deadline() : std::nullopt;
  if (!deadline) return;
  noted_deadlines_[launch_id] = *deadline;
  deadlines_.emplace(*deadline, launch_id);
}

int LauncherLoop::wait_ms() const {
  std::optional<SteadyTime> nearest;
  const auto consider = [&nearest](SteadyTime deadline) {
    nearest = nearest ? std::min(*nearest, deadline) : deadline;
  };
  if (!deadlines_.empty()) consider(deadlines_.begin()->first);
  if (host_check_) consider(host_check_->deadline);
  if (cgroups_.has_leftovers()) consider(std::chrono::steady_clock::now() + std::chrono::milliseconds(kSweepMs));
  if (!nearest) return -1;
  const auto left = std::chrono::ceil<std::chrono::milliseconds>(*nearest - std::chrono::steady_clock::now()).count();
  return static_cast<int>(std::max<std::int64_t>(left, 0));
}

Result<void> LauncherLoop::expire_late_ones() {
  const SteadyTime now = std::chrono::steady_clock::now();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    const std::uint64_t launch_id = deadlines_.begin()->second;
    for (const Denied& denied : launches_.at(launch_id).expire(now, may_report())) LG_TRY(control_.send(denied));
    note_deadline(launch_id);
  }
  // Its socket closes with it, and that is its answer.
  if (host_check_ && host_check_->deadline <= now) ::kill(host_check_->pid, SIGKILL);
  return {};
}

std::optional<HostIds> LauncherLoop::take_ids() {
  if (host_.mode == HostMode::kRootless) return HostIds{::geteuid(), ::getegid()};
  const auto uid = uids_.take();
  if (!uid) return std::nullopt;
  return HostIds{*uid, *uid};
}

void LauncherLoop::give_back(HostIds ids) {
  if (host_.mode == HostMode::kRootful) uids_.give_back(ids.uid);
}

}  // namespace liongate::sandbox
