#include "sandbox/cgroup.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <memory>

#include "kernel/base/sys.h"
#include "sandbox/cgroup_files.h"

namespace liongate::sandbox {
namespace {

constexpr const char* kBackgroundWeight = "10";  // others have 100

constexpr long kCgroup2Magic = 0x63677270;
constexpr std::size_t kFileBytesMax = 64 * 1024;
constexpr const char* kDaemonLeaf = "/daemon";
constexpr std::string_view kLeafPrefix = "plugin-";
constexpr const char* kDelegateRemedy =
    "run liongated as the systemd unit that comes with it (Delegate=yes), on a host with cgroup v2 "
    "(systemd.unified_cgroup_hierarchy=1)";

std::string read_text(const std::string& path) {
  auto text = sys::read_file(path, kFileBytesMax);
  return text ? std::move(*text) : std::string();
}

// A fake tree keeps everything that was written to one file: cgroupfs makes its files itself, and takes a word a write.
Result<void> write_text(const std::string& path, const std::string& text, bool is_fake) {
  LG_ASSIGN(const UniqueFd fd, sys::open(path, is_fake ? O_WRONLY | O_CREAT | O_APPEND : O_WRONLY, 0644));
  if (::write(fd.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) return {};
  return make_errno_error(Reason::kInternal, "write " + path, errno);
}

bool contains(const std::vector<std::string>& list, std::string_view word) {
  return std::find(list.begin(), list.end(), word) != list.end();
}

bool says_delegated(const std::string& folder, const char* attribute) {
  char value[8] = {};
  const ssize_t got = ::getxattr(folder.c_str(), attribute, value, sizeof value - 1);
  return got > 0 && std::string_view(value, static_cast<std::size_t>(got)) == "1";
}

}  // namespace

std::optional<std::string> whole_disk_of(dev_t device, const std::string& block_devices) {
  namespace fs = std::filesystem;
  const std::string number = std::to_string(major(device)) + ":" + std::to_string(minor(device));
  std::error_code error;
  const fs::path entry = fs::canonical(block_devices + "/" + number, error);
  if (error) return std::nullopt;
  if (!fs::exists(entry / "partition", error)) return number;
  std::string disk = read_text((entry.parent_path() / "dev").string());
  while (!disk.empty() && disk.back() == '\n') disk.pop_back();
  if (disk.empty()) return std::nullopt;
  return disk;
}

// --- one leaf ---

bool Cgroup::has(std::string_view controller) const {
  return contains(controllers_, controller);
}

Result<UniqueFd> Cgroup::open() const {
  return sys::open(folder_, O_PATH | O_DIRECTORY);
}

std::string Cgroup::read(const char* file) const {
  return read_text(folder_ + "/" + file);
}

Result<void> Cgroup::write(const char* file, const std::string& text) const {
  return write_text(folder_ + "/" + file, text, is_fake_);
}

bool Cgroup::kill() const {
  const auto killed = write("cgroup.kill", "1");
  if (!killed) errno = killed.error().sys_errno;
  return killed.has_value();
}

CgroupUsage Cgroup::usage() const {
  CgroupUsage usage;
  usage.memory_peak_bytes = single_value(read("memory.peak"));
  usage.cpu_time_us = keyed_value(read("cpu.stat"), "usage_usec");
  usage.oom_kills = keyed_value(read("memory.events"), "oom_kill");
  usage.process_denials = keyed_value(read("pids.events"), "max");
  usage.memory_pressure_us = pressure_total_us(read("memory.pressure"));
  usage.cpu_pressure_us = pressure_total_us(read("cpu.pressure"));
  usage.io_pressure_us = pressure_total_us(read("io.pressure"));
  return usage;
}

Result<void> Cgroup::limit(const CgroupLimits& limits, const std::string& block_devices) const {
  if (has("memory") && limits.memory_bytes_max != 0) {
    LG_TRY(write("memory.max", std::to_string(limits.memory_bytes_max)));
    LG_TRY(write("memory.high", std::to_string(memory_high_of(limits.memory_bytes_max))));
    // All or nothing: half a plugin serves nobody. A kernel without swap accounting lacks the file, and has no swap
    // here.
    LG_TRY(write("memory.oom.group", "1"));
    // A kernel without swap accounting lacks the file.
    if (auto set = write("memory.swap.max", "0"); !set && set.error().sys_errno != ENOENT) {
      return std::move(set).error();
    }
  }
  if (has("pids") && limits.processes_max != 0) LG_TRY(write("pids.max", std::to_string(limits.processes_max)));
  if (has("cpu") && limits.cpu_percent_max != 0) LG_TRY(write("cpu.max", cpu_max_text(limits.cpu_percent_max)));
  if (has("cpu") && limits.is_background) LG_TRY(write("cpu.weight", kBackgroundWeight));
  if (!has("io") || limits.io_bytes_per_second_max == 0) return {};
  const std::string rate = std::to_string(limits.io_bytes_per_second_max);
  std::vector<std::string> disks;
  for (const dev_t device : limits.devices) {
    const auto disk = whole_disk_of(device, block_devices);
    if (!disk || contains(disks, *disk)) continue;
    LG_TRY(write("io.max", *disk + " rbps=" + rate + " wbps=" + rate));
    disks.push_back(*disk);
  }
  return {};
}

// --- the tree ---

CgroupTree CgroupTree::adopt(CgroupPlaces places, const std::vector<pid_t>& members) {
  CgroupTree tree(std::move(places));
  if (tree.find() && tree.occupy(members) && tree.hand_on()) tree.remove_leaves();
  return tree;
}

Result<void> CgroupTree::write(const std::string& path, const std::string& text) const {
  return write_text(folder_ + path, text, places_.is_fake);
}

bool CgroupTree::refuse(std::string reason, std::string remedy) {
  reason_ = std::move(reason);
  remedy_ = std::move(remedy);
  return false;
}

bool CgroupTree::find() {
  const OwnCgroup own = parse_own_cgroup(read_text(places_.own_cgroup));
  struct statfs info {};
  const bool is_v2 = places_.is_fake || (::statfs(places_.mount.c_str(), &info) == 0 && info.f_type == kCgroup2Magic);
  if (!is_v2 || !own.path) {
    return refuse("no cgroup v2 at " + places_.mount + " (v1 or hybrid counts as none)", kDelegateRemedy);
  }
  own_path_ = *own.path;
  if (own_path_.empty() || own_path_.front() != '/' || own_path_.find("/..") != std::string::npos) {
    return refuse("our group " + own_path_ + " lies outside " + places_.mount, kDelegateRemedy);
  }
  folder_ = own_path_ == "/" ? places_.mount : places_.mount + own_path_;
  // A launcher started by a daemon that an earlier launcher has moved already finds itself in the leaf.
  if (folder_.ends_with(kDaemonLeaf) && !is_delegated()) {
    folder_.resize(folder_.size() - std::strlen(kDaemonLeaf));
    own_path_.resize(own_path_.size() - std::strlen(kDaemonLeaf));
  }
  if (!is_delegated()) return refuse("the group " + own_path_ + " is not delegated to liongated", kDelegateRemedy);
  if (::access((folder_ + "/cgroup.procs").c_str(), W_OK) != 0 ||
      ::access((folder_ + "/cgroup.subtree_control").c_str(), W_OK) != 0) {
    return refuse("the group " + own_path_ + " cannot be written: " + std::strerror(errno), kDelegateRemedy);
  }
  controllers_ = words_of_list(read_text(folder_ + "/cgroup.controllers"));
  for (const std::string& wanted : places_.required) {
    if (contains(controllers_, wanted)) continue;
    return refuse("the group " + own_path_ + " has no controller " + wanted,
                  contains(own.legacy_controllers, wanted) ? "boot with systemd.unified_cgroup_hierarchy=1"
                                                           : "Delegate=yes, or Delegate= with " + wanted);
  }
  return true;
}

bool CgroupTree::is_delegated() const {
  // A service manager marks what it gave away; the file that the host's root lacks tells a container's own root.
  const bool is_namespace_root = own_path_ == "/" && ::access((folder_ + "/cgroup.type").c_str(), F_OK) == 0;
  // What was said of the group we are started in holds for that one alone, not for the leaf we move to.
  const bool is_vouched_for = places_.is_vouched_for && !folder_.ends_with(kDaemonLeaf);
  return is_namespace_root || is_vouched_for || says_delegated(folder_, "user.delegate") ||
         says_delegated(folder_, "trusted.delegate");
}

bool CgroupTree::occupy(const std::vector<pid_t>& members) {
  const std::string leaf = folder_ + kDaemonLeaf;
  for (const std::string& pid : words_of_list(read_text(leaf + "/cgroup.procs"))) {
    const bool is_member =
        std::any_of(members.begin(), members.end(), [&pid](pid_t member) { return std::to_string(member) == pid; });
    if (!is_member) return refuse("another liongated uses the group " + own_path_, "give each a unit of its own");
  }
  if (::mkdir(leaf.c_str(), 0755) != 0 && errno != EEXIST) {
    return refuse("mkdir " + leaf + ": " + std::strerror(errno), kDelegateRemedy);
  }
  for (const pid_t member : members) {
    if (const auto moved = write(std::string(kDaemonLeaf) + "/cgroup.procs", std::to_string(member)); !moved) {
      return refuse(moved.error().message, kDelegateRemedy);
    }
  }
  return true;
}

bool CgroupTree::hand_on() {
  std::vector<std::string> handed;
  for (const std::string& controller : controllers_) {
    if (!contains({"memory", "pids", "cpu", "io"}, controller)) continue;  // cpuset and the like limit nothing here
    const auto enabled = write("/cgroup.subtree_control", "+" + controller);
    if (enabled) {
      handed.push_back(controller);
    } else if (contains(places_.required, controller)) {
      return refuse("controller " + controller + " cannot be handed on: " + std::strerror(enabled.error().sys_errno),
                    "no other process may live in the group " + own_path_);
    }
  }
  controllers_ = std::move(handed);
  if (contains(controllers_, "cpu")) {
    // An advantage, no wall: a kernel that refuses it leaves the daemon with an equal share.
    static_cast<void>(write(std::string(kDaemonLeaf) + "/cpu.weight", std::to_string(kDaemonCpuWeight)).has_value());
  }
  return true;
}

// The group is ours alone, and this launcher has started nothing yet: what is there belonged to one that was killed.
void CgroupTree::remove_leaves() {
  const std::unique_ptr<DIR, int (*)(DIR*)> folder(::opendir(folder_.c_str()), ::closedir);
  if (!folder) return;
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(folder.get())) {
    if (std::string_view(entry->d_name).starts_with(kLeafPrefix)) names.emplace_back(entry->d_name);
  }
  for (const std::string& name : names) {
    Cgroup leaf = leaf_of(name);
    leaf.kill();
    remove(std::move(leaf));
  }
}

Result<Cgroup> CgroupTree::make(std::uint64_t launch_id, const CgroupLimits& limits) const {
  Cgroup leaf = leaf_of(std::string(kLeafPrefix) + std::to_string(launch_id));
  if (::mkdir(leaf.folder_.c_str(), 0755) != 0) {
    return make_errno_error(Reason::kInternal, "mkdir " + leaf.folder_, errno);
  }
  if (auto limited = leaf.limit(limits, places_.block_devices); !limited) {
    ::rmdir(leaf.folder_.c_str());
    return std::move(limited).error();
  }
  return leaf;
}

void CgroupTree::remove(Cgroup cgroup) {
  // A task that has just been reaped may be counted a moment longer.
  if (::rmdir(cgroup.folder_.c_str()) != 0 && errno == EBUSY) leftovers_.push_back(std::move(cgroup));
}

void CgroupTree::sweep() {
  std::erase_if(leftovers_, [](const Cgroup& leaf) { return ::rmdir(leaf.folder_.c_str()) == 0 || errno != EBUSY; });
}

}  // namespace liongate::sandbox
