#include "sandbox/posture.h"

#include "sandbox/landlock.h"
#include "sandbox/rlimits.h"
#include "sandbox/root_builder.h"
#include "sandbox/setup_channel.h"

namespace liongate::sandbox {
namespace {

constexpr const char* kActive = "active";
constexpr const char* kAbsent = "absent";
constexpr const char* kNotApplicable = "not_applicable";

std::string joined(const std::vector<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

Mechanism user_of(const SandboxPlan& plan) {
  if (plan.host.mode == HostMode::kRootful) {
    return {"own host user", kActive, "uid " + std::to_string(plan.ids.uid) + " outside, 1000 inside, no groups"};
  }
  return {"own host user", kAbsent, "rootless: the daemon's user and its supplementary groups outside, 1000 inside"};
}

Mechanism translation_of(const PinnedGrants& pinned) {
  if (!pinned.untranslated.empty()) {
    return {"idmapped grants", kAbsent, "plain mount, its file system cannot: " + joined(pinned.untranslated)};
  }
  if (pinned.translated.empty()) return {"idmapped grants", kNotApplicable, "no grant needs one"};
  return {"idmapped grants", kActive, joined(pinned.translated)};
}

Mechanism groups_of(const SandboxPlan& plan) {
  if (plan.host.mode == HostMode::kRootful) return {"ordinary groups", kActive, "no groups at all"};
  if (plan.host.privileged_groups.empty()) return {"ordinary groups", kActive, "none that is as good as root"};
  return {"ordinary groups", kAbsent, "keeps " + joined(plan.host.privileged_groups)};
}

Mechanism speculation_of(std::uint32_t active) {
  const auto has = [active](Gained bit) { return (active & static_cast<std::uint32_t>(bit)) != 0; };
  if (has(Gained::kStoreBypassHarmless)) {
    return {"speculation control", kNotApplicable, "the processor does not read past stores"};
  }
  if (has(Gained::kNoStoreBypass)) return {"speculation control", kActive, "no speculative store bypass"};
  return {"speculation control", kAbsent, "the processor or kernel cannot switch it off for one process"};
}

Mechanism landlock_of(const SandboxPlan& plan, std::uint32_t active) {
  if ((active & static_cast<std::uint32_t>(Gained::kLandlock)) == 0) {
    return {"landlock", kAbsent, "the kernel has none: mounts and the filter alone"};
  }
  const std::string abi = "ABI " + std::to_string(plan.host.landlock_abi) + ": files as they are mounted";
  const std::string missing = missing_at_landlock_abi(plan.host.landlock_abi);
  if (missing.empty())
    return {"landlock", kActive,
            abi + ", no device ioctls" + (plan.request.allow_network ? "" : ", no TCP") +
                ", no signals or abstract sockets out"};
  return {"landlock", kActive, abi + "; not " + missing};
}

Mechanism memory_of(const SandboxPlan& plan) {
  const LaunchRequest& request = plan.request;
  const std::uint64_t asked = request.limits.memory_bytes_max;
  if (plan.cgroup) {
    return {"memory limit", kActive,
            "all processes and private folders together: " +
                std::to_string(cgroup_limits_of(request.limits, {}).memory_bytes_max) + " bytes" +
                (asked == 0 ? " (default)" : "")};
  }
  if (asked == 0) {
    return {"memory limit", kActive,
            "each process: " + std::to_string(kDataBytesMaxDefault) + " bytes of private data (default)"};
  }
  const char* what =
      request.allow_jit ? " bytes of private data; shared memory is not counted" : " bytes of address space";
  return {"memory limit", kActive, "each process: " + std::to_string(asked) + what};
}

// A limit that only a control group keeps.
Mechanism share_of(std::string name, const char* controller, std::uint64_t asked, const char* unit,
                   const SandboxPlan& plan) {
  if (asked == 0) return {std::move(name), kNotApplicable, "no limit asked for"};
  if (plan.cgroup && plan.cgroup->has(controller)) return {std::move(name), kActive, std::to_string(asked) + unit};
  return {std::move(name), kAbsent, std::to_string(asked) + unit + " asked for: needs a control group"};
}

Mechanism group_of(const SandboxPlan& plan, const std::string& no_group_reason) {
  if (!plan.cgroup) return {"cgroup limits", kAbsent, "rlimits and the pid namespace alone: " + no_group_reason};
  const CgroupLimits limits = cgroup_limits_of(plan.request.limits, {});
  return {"cgroup limits", kActive,
          "memory " + std::to_string(limits.memory_bytes_max) + " bytes, no swap, " +
              std::to_string(limits.processes_max - 1) + " processes, all killed together"};
}

Mechanism filter_of(const LaunchRequest& request) {
  std::string detail = "allow list of x86-64 calls";
  if (request.allow_processes) detail += ", with process";
  if (request.allow_jit) detail += ", with jit";
  if (request.allow_network) detail += ", with network";
  return {"system call filter", kActive, detail};
}

}  // namespace

std::vector<Mechanism> posture_of(const SandboxPlan& plan, std::uint32_t active, const std::string& no_group_reason) {
  const auto gained = [active](Gained bit, std::string name, std::string with, std::string without) {
    const bool is_active = (active & static_cast<std::uint32_t>(bit)) != 0;
    return Mechanism{std::move(name), is_active ? kActive : kAbsent, is_active ? std::move(with) : std::move(without)};
  };
  Mechanism write_execute =
      gained(Gained::kDenyWriteExecute, "deny write-execute", "kernel and filter", "filter only: needs Linux 6.3");
  if (plan.request.allow_jit) write_execute = {"deny write-execute", kNotApplicable, "permission jit"};
  std::vector<Mechanism> rows{
      {"user namespace", kActive, "no further ones can be made"},
      user_of(plan),
      {"mount namespace", kActive, "read-only root of " + std::to_string(plan.pinned.grants.size()) + " grants"},
      {"pid namespace", kActive, "pid 1 reaps; its end kills all"},
      {"network namespace", kActive,
       plan.request.allow_network ? "its own: every address in it is the network gate's" : "empty: not even loopback"},
      {"ipc namespace", kActive, ""},
      {"uts namespace", kActive, "host name " + plan.request.name},
      {"cgroup namespace", kActive, ""},
      translation_of(plan.pinned),
      gained(Gained::kProcHidden, "hidden processes", "/proc hides what cannot be traced",
             "the kernel refused hidepid"),
      gained(Gained::kProcPidsOnly, "process-only /proc", "no kernel settings in /proc", "needs Linux 5.8"),
      gained(Gained::kPrivateSettings, "namespace limits", "no namespaces, few inotify watches", "no such settings"),
      gained(Gained::kPidNumbers, "process number limit", "kernel.pid_max of the pid namespace",
             "needs Linux 6.14: RLIMIT_NPROC alone"),
      {"session", kActive, "of its own, no terminal; umask 077; host memory runs out for it first"},
      groups_of(plan),
      gained(Gained::kSessionKeyring, "session keyring", "new and empty", "the kernel has no keyrings"),
      {"capabilities", kActive, "none, bounding and ambient sets empty, securebits locked"},
      {"no new privileges", kActive, ""},
      filter_of(plan.request),
      gained(Gained::kDenialReports, "denial reports", "a refused call is an event before its errno is seen",
             "refused calls fail unreported: no user notification (Linux 5.0, not nested)"),
      std::move(write_execute),
      {"resource limits", kActive, "rlimits"},
      memory_of(plan),
      share_of("cpu share", "cpu", plan.request.limits.cpu_percent_max, " % of one CPU", plan),
      share_of("disk rate", "io", plan.request.limits.io_bytes_per_second_max, " bytes a second each way", plan),
      speculation_of(active),
      landlock_of(plan, active),
      plan.host.runs_from_sealed_memory
          ? Mechanism{"sealed launcher", kActive, "no file of the host is behind /proc/1/exe"}
          : Mechanism{"sealed launcher", kAbsent, "it runs from its file: the host refuses executable memory files"},
      group_of(plan, no_group_reason),
  };
  for (Mechanism& row : rows) {
    if (row.state == kAbsent && plan.host.is_allowed_degraded(row.name)) row.detail += "; accepted by allow_degraded";
  }
  return rows;
}

}  // namespace liongate::sandbox
