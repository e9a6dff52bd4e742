// One launch, from request to end: what the launcher knows of a sandbox and how its end is told.
//
// Order of events: begin; then at most one Started (read_channel); then the pidfd becomes readable and finish makes the
// one Exited. A launch that cannot begin has no process and is an Error at once. Between begin and finish its denials
// are told, once there is a listener for them.
//
// Ownership and thread: owned by the launcher's loop, one thread. Owns the sandbox's pidfd, channel and listener.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "sandbox/denial_listener.h"
#include "sandbox/file_watch.h"
#include "sandbox/launch_protocol.h"
#include "sandbox/sandbox_plan.h"
#include "sandbox/sandbox_process.h"
#include "sandbox/setup_channel.h"

namespace liongate::sandbox {

class Launch {
 public:
  // Errors are setup errors. Where `cgroups` is available the sandbox gets a leaf of it.
  static Result<Launch> begin(LaunchRequest request, std::vector<UniqueFd> descriptors, const HostFacts& host,
                              HostIds ids, CgroupTree& cgroups, NetworkSpare& networks);

  int pidfd() const { return process_.pidfd.get(); }
  int channel() const { return process_.channel.get(); }
  HostIds ids() const { return plan_.ids; }

  // Null until the filter is loaded, and where it has no listener.
  DenialListener* denials() { return denials_ ? &*denials_ : nullptr; }

  // When expire() has something to do.
  std::optional<SteadyTime> deadline() const;

  // Takes what the sandbox said since; the Started report when the program began to run, and what goes beside it.
  std::optional<Started> read_channel();
  std::vector<UniqueFd> take_descriptors();

  void kill();

  // A set-up that took too long is killed, its end then told as that; denials whose time came are returned.
  std::vector<Denied> expire(SteadyTime now, DenialListener::MayReport may_report);

  // What is left to tell of denials, a call by another ABI included. After finish.
  std::vector<Denied> last_denials();

  // Reaps pid 1, whose pidfd is readable, and gives its control group back to `cgroups`. Call once.
  Exited finish(CgroupTree& cgroups);

 private:
  enum class Phase { kSettingUp, kReady, kRunning, kFailed };

  Launch(SandboxPlan plan, SandboxProcess process, StepClock clock, FileWatch watch, std::string no_group_reason);
  Started started() const;
  void describe_end(Exited& exited, int reaper_status) const;
  void describe_group(Exited& exited) const;
  void signal_all();
  bool sets_up() const { return phase_ == Phase::kSettingUp || phase_ == Phase::kReady; }

  SandboxPlan plan_;  // its descriptors and grants are given up once the sandbox has its copies
  SandboxProcess process_;
  StepClock clock_;
  SteadyTime deadline_;
  Phase phase_ = Phase::kSettingUp;
  SetupRecord ready_{};
  pid_t program_pid_ = -1;
  std::uint64_t setup_cpu_time_us_ = 0;  // what pid 1 had used when the program began to run
  std::string no_group_reason_;
  std::optional<DenialListener> denials_;
  FileWatch watch_;
  std::vector<UniqueFd> gate_sockets_;
  std::optional<Doorbell> doorbell_;
  std::optional<int> wait_status_;
  std::optional<Exited> failure_;
  bool kill_requested_ = false;
};

}  // namespace liongate::sandbox
