// Control groups (cgroup v2) for sandboxes: finding the group that was delegated to the daemon, and a leaf in it for
// each sandbox.
//
//   GROUP/             delegated to us, e.g. /sys/fs/cgroup/system.slice/liongated.service; hands its controllers on
//   GROUP/daemon/      the daemon and its launcher: a group with controllers below may hold no process itself
//   GROUP/plugin-N/    the sandbox of launch N: made before its first process, which is born in it; removed after the
//                      last one has gone
//
// A tree is used only where it was given to us and is ours alone: a group that a service manager marked as delegated
// (Delegate=yes sets an extended attribute) or the root of a container's cgroup namespace. cgroup v1 and hybrid hosts
// have no such group. Without a tree a sandbox has rlimits only, and its posture says why.
// A manager that leaves no mark (a user's, of systemd 252) can be vouched for by who wrote the unit.
//
// Ownership and thread: the launcher's only thread. A CgroupTree lives as long as the launcher; a Cgroup is one leaf,
// owned by its launch and removed with it. Paths, not descriptors, are kept: only we write below GROUP.
// Errors: a tree that cannot be had is a reason in words; a leaf that cannot be made is an Error with its errno.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernel/base/result.h"
#include "kernel/base/unique_fd.h"

namespace liongate::sandbox {

inline constexpr std::uint32_t kDaemonCpuWeight = 1000;  // of 100 that each sandbox has: serving goes before running

// Where things are; other places than the host's are for tests.
struct CgroupPlaces {
  std::string mount = "/sys/fs/cgroup";
  std::string own_cgroup = "/proc/self/cgroup";
  std::string block_devices = "/sys/dev/block";
  std::vector<std::string> required{"memory", "pids"};  // without them there is no tree
  bool is_vouched_for = false;                          // whoever started us says that our own group is delegated
  bool is_fake = false;  // plain folders and files in place of cgroupfs: tests of what is decided and written
};

// What one sandbox may use. 0: no limit of that kind.
struct CgroupLimits {
  std::uint64_t memory_bytes_max = 0;
  std::uint64_t processes_max = 0;            // threads count; our pid 1 among them
  std::uint32_t cpu_percent_max = 0;          // of one CPU
  std::uint64_t io_bytes_per_second_max = 0;  // reading and writing each, on every device of `devices`
  std::vector<dev_t> devices;                 // of the granted paths; those without a disk are left out
  bool is_background = false;                 // a tenth of the others' weight
};

// What the processes of a leaf used together, and which limits they met.
struct CgroupUsage {
  std::optional<std::uint64_t> memory_peak_bytes;  // Linux 5.19
  std::uint64_t cpu_time_us = 0;
  std::uint64_t oom_kills = 0;                      // processes killed because memory.max was reached
  std::uint64_t process_denials = 0;                // forks refused because pids.max was reached
  std::optional<std::uint64_t> memory_pressure_us;  // time in which some task waited for memory (PSI)
  std::optional<std::uint64_t> cpu_pressure_us;
  std::optional<std::uint64_t> io_pressure_us;
};

class Cgroup {
 public:
  const std::string& folder() const { return folder_; }
  // Whether that controller limits here.
  bool has(std::string_view controller) const;

  // For CLONE_INTO_CGROUP.
  Result<UniqueFd> open() const;

  // SIGKILL to everything in it, at once. False and errno where the kernel has no cgroup.kill (before 5.14).
  bool kill() const;

  CgroupUsage usage() const;

 private:
  friend class CgroupTree;
  Cgroup(std::string folder, std::vector<std::string> controllers, bool is_fake)
      : folder_(std::move(folder)), controllers_(std::move(controllers)), is_fake_(is_fake) {}
  std::string read(const char* file) const;
  Result<void> write(const char* file, const std::string& text) const;
  Result<void> limit(const CgroupLimits& limits, const std::string& block_devices) const;

  std::string folder_;
  std::vector<std::string> controllers_;
  bool is_fake_ = false;
};

class CgroupTree {
 public:
  // Finds the delegated group, moves `members` (the daemon and its launcher) to its leaf `daemon`, hands the
  // controllers on, and removes the leaves that an earlier launcher left. Never fails: see reason().
  static CgroupTree adopt(CgroupPlaces places, const std::vector<pid_t>& members);

  bool available() const { return reason_.empty(); }
  // Why there is none, in words; empty when there is one.
  const std::string& reason() const { return reason_; }
  // What to do about it.
  const std::string& remedy() const { return remedy_; }
  const std::string& folder() const { return folder_; }
  const std::vector<std::string>& controllers() const { return controllers_; }

  // A new leaf with its limits set, nothing in it. The error says which file refused.
  Result<Cgroup> make(std::uint64_t launch_id, const CgroupLimits& limits) const;

  // Removes a leaf whose processes have ended. One that the kernel still counts as populated is tried again by sweep.
  void remove(Cgroup cgroup);
  void sweep();
  bool has_leftovers() const { return !leftovers_.empty(); }

 private:
  explicit CgroupTree(CgroupPlaces places) : places_(std::move(places)) {}
  bool find();
  bool is_delegated() const;
  bool occupy(const std::vector<pid_t>& members);
  bool hand_on();
  void remove_leaves();
  Cgroup leaf_of(const std::string& name) const { return Cgroup(folder_ + "/" + name, controllers_, places_.is_fake); }
  Result<void> write(const std::string& path, const std::string& text) const;
  bool refuse(std::string reason, std::string remedy);

  CgroupPlaces places_;
  std::string own_path_;
  std::string folder_;
  std::vector<std::string> controllers_;
  std::vector<Cgroup> leftovers_;
  std::string reason_;
  std::string remedy_;
};

// The disk that `device` lies on, as "MAJOR:MINOR": a partition's whole disk, because io.max takes nothing else.
// Nothing for a device without one (tmpfs, overlayfs, a network file system).
std::optional<std::string> whole_disk_of(dev_t device, const std::string& block_devices);

}  // namespace liongate::sandbox
