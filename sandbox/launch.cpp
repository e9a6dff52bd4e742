#include "sandbox/launch.h"

#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <ctime>

#include "kernel/base/limits.h"
#include "sandbox/posture.h"
#include "sandbox/rlimits.h"
#include "sandbox/seccomp_filter.h"

namespace liongate::sandbox {
namespace {

constexpr const char* kOtherAbiRule = "called the kernel by another ABI (i386 or x32)";
constexpr const char* kInterruptsRule = "interrupted its own refused calls, over and over";

bool has_null(const std::string& text) {
  return text.find('\0') != std::string::npos;
}

static_assert(limits::kPermissionsMax + 5 <= limits::kLaunchFdsMax, "a secret for each permission fits a message");

Result<void> check_request(const LaunchRequest& request, std::size_t descriptors) {
  if (request.secrets.size() > limits::kPermissionsMax) return setup_error(Step::kCheckRequest, E2BIG, "secrets");
  if (request.descriptor_count + request.secrets.size() != descriptors) {
    return setup_error(Step::kCheckRequest, EINVAL, std::to_string(descriptors) + " descriptors");
  }
  for (const SecretFile& secret : request.secrets) {
    const std::string& name = secret.name;
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos || has_null(name)) {
      return setup_error(Step::kCheckRequest, EINVAL, "name of a secret");
    }
  }
  if (request.arguments.empty()) return setup_error(Step::kCheckRequest, EINVAL, "arguments");
  if (request.gate_ports.size() > limits::kGatePortsMax) {
    return setup_error(Step::kCheckRequest, E2BIG, "ports of the network gate");
  }
  for (const GatePort& one : request.gate_ports) {
    if (one.port == 0 || one.port > 65'535) return setup_error(Step::kCheckRequest, EINVAL, "port of the network gate");
  }
  for (const std::string* path : {&request.executable, &request.working_directory}) {
    if (path->empty() || path->front() != '/') return setup_error(Step::kCheckRequest, EINVAL, *path);
  }
  for (const auto* list : {&request.arguments, &request.environment}) {
    for (const std::string& text : *list) {
      if (has_null(text)) return setup_error(Step::kCheckRequest, EINVAL, "a null byte in an argument");
    }
  }
  if (has_null(request.executable) || has_null(request.working_directory)) {
    return setup_error(Step::kCheckRequest, EINVAL, "a null byte in a path");
  }
  return {};
}

Result<void> make_group(SandboxPlan& plan, CgroupTree& cgroups) {
  std::vector<dev_t> devices;
  for (const Grant& grant : plan.pinned.grants) devices.push_back(grant.device);
  auto group = cgroups.make(plan.request.launch_id, cgroup_limits_of(plan.request.limits, std::move(devices)));
  if (!group) return setup_error(Step::kControlGroup, group.error().sys_errno, group.error().message);
  plan.cgroup = std::move(*group);
  return {};
}

// The first limit of the manifest that nothing on this host keeps, with what it needs; empty when all are kept.
std::string unkept_limit(const SandboxPlan& plan) {
  const auto has = [&plan](const char* controller) { return plan.cgroup && plan.cgroup->has(controller); };
  const ResourceLimits& limits = plan.request.limits;
  if (limits.cpu_percent_max != 0 && !has("cpu")) return "cpu_percent_max, which needs the control group cpu";
  if (limits.io_bytes_per_second_max != 0 && !has("io")) {
    return "io_bytes_per_second_max, which needs the control group io";
  }
  // RLIMIT_AS would refuse the address space that is reserved for code, and RLIMIT_DATA does not count shared memory.
  if (limits.memory_bytes_max != 0 && plan.request.allow_jit && !has("memory")) {
    return "memory_bytes_max, which with jit needs the control group memory";
  }
  return {};
}

// A plugin with a limit that is not kept does not start, unless the operator accepts that.
Result<void> require_limits(const SandboxPlan& plan, const std::string& no_group_reason) {
  const std::string limit = unkept_limit(plan);
  if (limit.empty() || plan.host.is_allowed_degraded("cgroup limits")) return {};
  return setup_error(Step::kKeepLimit, EOPNOTSUPP,
                     limit + (no_group_reason.empty() ? "" : " (" + no_group_reason + ")"));
}

// CPU time of a process's threads; 0 when it has gone.
std::uint64_t cpu_time_us_of(pid_t pid) {
  clockid_t clock = 0;
  timespec time{};
  if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) return 0;
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(time.tv_nsec) / 1000;
}

std::uint64_t microseconds(const timeval& time) {
  return static_cast<std::uint64_t>(time.tv_sec) * 1'000'000 + static_cast<std::uint64_t>(time.tv_usec);
}

}  // namespace

Result<Launch> Launch::begin(LaunchRequest request, std::vector<UniqueFd> descriptors, const HostFacts& host,
                             HostIds ids, CgroupTree& cgroups, NetworkSpare& networks) {
  StepClock clock;
  clock.begin(Step::kCheckRequest);
  LG_TRY(check_request(request, descriptors.size()));
  clock.begin(Step::kPinGrant);
  LG_ASSIGN(PinnedGrants pinned, pin_grants(request.binds, host.mode, ids));
  FileWatch watch = watch_writable_folders(request.binds, pinned.grants);
  std::vector<UniqueFd> secrets(
      std::make_move_iterator(descriptors.begin() + static_cast<std::ptrdiff_t>(request.descriptor_count)),
      std::make_move_iterator(descriptors.end()));
  descriptors.resize(request.descriptor_count);
  SandboxPlan plan{std::move(request), host,        ids, std::move(pinned), std::move(descriptors),
                   std::move(secrets), std::nullopt};
  if (cgroups.available()) {
    clock.begin(Step::kControlGroup);
    LG_TRY(make_group(plan, cgroups));
  }
  const auto start = [&]() -> Result<SandboxProcess> {
    clock.begin(Step::kKeepLimit);
    LG_TRY(require_limits(plan, cgroups.reason()));
    clock.begin(Step::kCreateNamespaces);
    return start_sandbox(plan, networks);
  };
  auto process = start();
  clock.end();
  if (process) return Launch(std::move(plan), std::move(*process), clock, std::move(watch), cgroups.reason());
  if (plan.cgroup) cgroups.remove(std::move(*plan.cgroup));
  return std::move(process).error();
}

Launch::Launch(SandboxPlan plan, SandboxProcess process, StepClock clock, FileWatch watch, std::string no_group_reason)
    : plan_(std::move(plan)),
      process_(std::move(process)),
      clock_(clock),
      deadline_(std::chrono::steady_clock::now() + std::chrono::milliseconds(limits::kLaunchTimeoutMs)),
      no_group_reason_(std::move(no_group_reason)),
      watch_(std::move(watch)) {
  // The sandbox has its own copies; ours would keep the plugin's pipes open after its end, and its secrets in memory.
  plan_.descriptors.clear();
  plan_.secrets.clear();
  for (Grant& grant : plan_.pinned.grants) grant.tree.reset();
  plan_.request.environment.clear();
  plan_.request.files.clear();
}

std::optional<SteadyTime> Launch::deadline() const {
  std::optional<SteadyTime> nearest = denials_ ? denials_->deadline() : std::nullopt;
  if (sets_up()) nearest = nearest ? std::min(*nearest, deadline_) : deadline_;
  return nearest;
}

std::optional<Started> Launch::read_channel() {
  std::optional<Started> news;
  while (auto received = receive_record(channel())) {
    const SetupRecord& record = received->record;
    switch (record.kind) {
      case RecordKind::kReadyToExecute:
        phase_ = Phase::kReady;
        ready_ = record;
        program_pid_ = received->sender_pid;
        if (!received->descriptors.empty()) {
          denials_.emplace(std::move(received->descriptors.front()), plan_.request.launch_id,
                           permissions_of(plan_.request));
          if (plan_.request.watch_paths) denials_->watch_paths(PathWatch(plan_.request));
          if (doorbell_) denials_->answer_doorbell(std::move(*std::exchange(doorbell_, std::nullopt)));
        }
        break;
      case RecordKind::kGateSockets:
        gate_sockets_ = std::move(received->descriptors);
        if (const std::size_t doors = 2 * plan_.request.gate_ports.size(); gate_sockets_.size() > doors) {
          std::vector<UniqueFd> spares(
              std::make_move_iterator(gate_sockets_.begin() + static_cast<std::ptrdiff_t>(doors)),
              std::make_move_iterator(gate_sockets_.end()));
          gate_sockets_.resize(doors);
          doorbell_.emplace(std::move(spares), plan_.request.gate_ports);
        }
        break;
      case RecordKind::kStepFailed:
        phase_ = Phase::kFailed;
        failure_ =
            setup_failure(plan_.request.launch_id, setup_error(record.step, record.sys_errno, record.argument.data()));
        break;
      case RecordKind::kProgramStarted:
        // pid 1 goes on after pid 2's exec or its end; only a set-up that came to its last step and did not fail ran.
        if (phase_ != Phase::kReady) break;
        phase_ = Phase::kRunning;
        // Who executes can tell no more himself.
        ready_.duration_us[static_cast<std::size_t>(Step::kExecute)] =
            static_cast<std::uint32_t>(record.sent_at_us - ready_.sent_at_us);
        setup_cpu_time_us_ = cpu_time_us_of(process_.pid);
        news = started();
        break;
      case RecordKind::kProgramEnded:
        wait_status_ = record.wait_status;
        break;
    }
  }
  return news;
}

std::vector<UniqueFd> Launch::take_descriptors() {
  std::vector<UniqueFd> descriptors;
  if (watch_.inotify.valid()) descriptors.push_back(std::move(watch_.inotify));
  std::ranges::move(gate_sockets_, std::back_inserter(descriptors));
  gate_sockets_.clear();
  return descriptors;
}

Started Launch::started() const {
  Started started;
  started.launch_id = plan_.request.launch_id;
  started.pid = program_pid_;
  started.posture = posture_of(plan_, ready_.active, no_group_reason_);
  for (std::size_t index = 0; index < kStepCount; ++index) {
    const std::uint32_t duration_us = clock_.durations_us()[index] + ready_.duration_us[index];
    if (duration_us != 0) started.steps.push_back({std::string(words_of(static_cast<Step>(index))), duration_us});
  }
  if (watch_.inotify.valid()) started.watched = watch_.folders;
  started.gate_sockets = static_cast<std::uint32_t>(gate_sockets_.size());
  return started;
}

void Launch::kill() {
  kill_requested_ = true;
  signal_all();
}

// The end of pid 1 is the end of all. The group's own kill reaches them at once, without waiting for pid 1's turn.
void Launch::signal_all() {
  if (plan_.cgroup) plan_.cgroup->kill();
  ::syscall(SYS_pidfd_send_signal, pidfd(), SIGKILL, nullptr, 0);
}

std::vector<Denied> Launch::expire(SteadyTime now, DenialListener::MayReport may_report) {
  if (sets_up() && deadline_ <= now) {
    static const std::string kBound =
        "(the set-up did not end within " + std::to_string(limits::kLaunchTimeoutMs / 1000) + " s)";
    failure_ = setup_failure(plan_.request.launch_id, setup_error(Step::kAwaitLauncher, ETIMEDOUT, kBound));
    phase_ = Phase::kFailed;
    signal_all();
  }
  return denials_ ? denials_->expire(now, may_report) : std::vector<Denied>();
}

std::vector<Denied> Launch::last_denials() {
  std::vector<Denied> last = denials_ ? denials_->finish() : std::vector<Denied>();
  const auto killed_for = [&last, this](const char* rule) {
    Denied denied;
    denied.launch_id = plan_.request.launch_id;
    denied.rule = rule;
    last.push_back(std::move(denied));
  };
  if (wait_status_ && WIFSIGNALED(*wait_status_) && WTERMSIG(*wait_status_) == SIGSYS) killed_for(kOtherAbiRule);
  if (denials_ && denials_->is_abused()) killed_for(kInterruptsRule);
  return last;
}

Exited Launch::finish(CgroupTree& cgroups) {
  int reaper_status = 0;
  rusage usage{};
  pid_t reaped = 0;
  do {
    reaped = ::wait4(process_.pid, &reaper_status, __WALL, &usage);
  } while (reaped < 0 && errno == EINTR);
  LG_ASSERT(reaped == process_.pid);
  Exited exited;
  if (failure_) exited = *failure_;
  exited.launch_id = plan_.request.launch_id;
  if (!failure_) describe_end(exited, reaper_status);
  const std::uint64_t cpu_time_us = microseconds(usage.ru_utime) + microseconds(usage.ru_stime);
  exited.cpu_time_us = cpu_time_us - std::min(cpu_time_us, setup_cpu_time_us_);
  exited.memory_peak_bytes = static_cast<std::uint64_t>(usage.ru_maxrss) * 1024;
  if (plan_.cgroup) {
    describe_group(exited);
    cgroups.remove(std::move(*plan_.cgroup));
    plan_.cgroup.reset();
  }
  return exited;
}

void Launch::describe_group(Exited& exited) const {
  const CgroupUsage usage = plan_.cgroup->usage();
  const CgroupLimits limits = cgroup_limits_of(plan_.request.limits, {});
  if (usage.memory_peak_bytes) exited.memory_peak_bytes = *usage.memory_peak_bytes;
  exited.cpu_wait_us = usage.cpu_pressure_us.value_or(0);
  exited.memory_wait_us = usage.memory_pressure_us.value_or(0);
  exited.io_wait_us = usage.io_pressure_us.value_or(0);
  if (usage.oom_kills > 0) {
    exited.limit_hits.push_back(
        {"memory_bytes_max", limits.memory_bytes_max, usage.memory_peak_bytes.value_or(limits.memory_bytes_max), true});
  }
  if (usage.process_denials > 0) {
    exited.limit_hits.push_back({"processes_max", limits.processes_max - 1, usage.process_denials, false});
  }
}

void Launch::describe_end(Exited& exited, int reaper_status) const {
  // Without word from the reaper it was killed, and the program with it, or it never came to run one.
  const bool unexpected = !wait_status_ && !kill_requested_ && phase_ != Phase::kRunning;
  if (unexpected && !WIFSIGNALED(reaper_status)) {
    const auto words = "ended with " + std::to_string(WEXITSTATUS(reaper_status));
    exited = setup_failure(plan_.request.launch_id, setup_error(Step::kForkProgram, EIO, words));
    return;
  }
  // Killed while it was set up, by somebody else or for want of memory: an end by a signal like any other.
  if (unexpected) exited.step = "set up the sandbox";
  const int status = wait_status_.value_or(unexpected ? WTERMSIG(reaper_status) : SIGKILL);
  if (WIFEXITED(status)) {
    exited.kind = EndKind::kExited;
    exited.exit_code = WEXITSTATUS(status);
  } else {
    exited.kind = EndKind::kSignalled;
    exited.signal = WTERMSIG(status);
  }
}

}  // namespace liongate::sandbox
