#include "sandbox/root_builder.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <vector>

#include "sandbox/mount_targets.h"
#include "sandbox/rlimits.h"

namespace liongate::sandbox {
namespace {

// Every host has /proc, and no grant is looked up by path any more when the new root is put over it.
constexpr const char* kStagingPath = "/proc";
constexpr const char* kSecretsFolder = "/run/secrets";
constexpr unsigned long kTmpfsFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC;
constexpr unsigned long kProcFlags = MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_RDONLY;
constexpr std::array<const char*, 5> kDevices{"null", "zero", "full", "random", "urandom"};

// The one place that turns what is mounted into what Landlock allows.
Reach reach_of(const Grant& grant) {
  if ((grant.mount_attributes & MOUNT_ATTR_RDONLY) == 0) return Reach::kReadWrite;
  return (grant.mount_attributes & MOUNT_ATTR_NOEXEC) == 0 ? Reach::kReadExecute : Reach::kRead;
}

// Notes at the step under way what may be done with what was just mounted or made.
void allow(LandlockRules& rules, int place, Reach reach, std::string_view path, SetupReporter& reporter) {
  const Step step = reporter.current();
  reporter.begin(Step::kLandlockRules);
  reporter.require(rules.allow(place, reach), path);
  reporter.begin(step);
}

struct Device {
  std::string path;
  UniqueFd tree;
};

std::string tmpfs_options(std::uint64_t bytes, std::uint64_t inodes, const char* mode) {
  return "size=" + std::to_string(bytes) + ",nr_inodes=" + std::to_string(inodes) + ",mode=" + mode;
}

// Attaches a detached mount at a place that was opened without following links.
bool attach(int tree_fd, int place_fd) {
  return ::move_mount(tree_fd, "", place_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0;
}

// Rootless: walks to each grant again, now in this mount namespace, and refuses anything but the file that was pinned.
void clone_grants(std::vector<Grant>& grants, SetupReporter& reporter) {
  reporter.begin(Step::kCompareGrant);
  for (Grant& grant : grants) {
    const UniqueFd again(open_pinned(grant.source));
    reporter.require(again.valid(), grant.source);
    struct stat info {};
    reporter.require(::fstat(again.get(), &info) == 0, grant.source);
    if (info.st_dev != grant.device || info.st_ino != grant.inode) reporter.fail(ESTALE, grant.source);
    grant.tree.reset(clone_tree(again.get()));
    reporter.require(grant.tree.valid() && seal_tree(grant.tree.get(), grant.mount_attributes), grant.source);
  }
}

std::vector<Device> clone_devices(SetupReporter& reporter) {
  reporter.begin(Step::kDevices);
  std::vector<Device> devices;
  for (const char* name : kDevices) {
    Device device{std::string("/dev/") + name, {}};
    // Of the host's own /dev nothing needs to be pinned: only its root could change it.
    device.tree.reset(
        ::open_tree(AT_FDCWD, device.path.c_str(), AT_SYMLINK_NOFOLLOW | OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC));
    // Read-only spares the node's mode and times; reading and writing the device itself is not touched by it.
    constexpr std::uint64_t kAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
    reporter.require(device.tree.valid() && seal_tree(device.tree.get(), kAttributes), device.path);
    devices.push_back(std::move(device));
  }
  return devices;
}

UniqueFd mount_new_root(SetupReporter& reporter) {
  reporter.begin(Step::kNewRoot);
  const std::string options = tmpfs_options(kRootBytesMax, kRootInodesMax, "0755");
  reporter.require(::mount("tmpfs", kStagingPath, "tmpfs", kTmpfsFlags, options.c_str()) == 0, kStagingPath);
  UniqueFd root(::open(kStagingPath, O_PATH | O_DIRECTORY | O_CLOEXEC));
  reporter.require(root.valid() && ::fchdir(root.get()) == 0, kStagingPath);
  return root;
}

// Paths of the fresh root are used relative to it: it is the working folder, and nothing but our own folders is there.
void mount_temporary_folders(MountTargets& targets, const ResourceLimits& limits, LandlockRules& rules,
                             SetupReporter& reporter) {
  reporter.begin(Step::kTemporaryFolders);
  // One inode more: the folder itself is one.
  const std::string options =
      tmpfs_options(limits.tmp_bytes_max != 0 ? limits.tmp_bytes_max : kTmpBytesMaxDefault,
                    (limits.tmp_files_max != 0 ? limits.tmp_files_max : kTmpFilesMaxDefault) + 1, "1777");
  for (const char* folder : {"/tmp", "/dev/shm"}) {
    reporter.require(targets.folder(folder).valid(), folder);
    reporter.require(::mount("tmpfs", folder + 1, "tmpfs", kTmpfsFlags, options.c_str()) == 0, folder);
    const UniqueFd mounted = targets.folder(folder);
    reporter.require(mounted.valid() && targets.own(mounted.get()), folder);
    allow(rules, mounted.get(), Reach::kReadWrite, folder, reporter);
  }
}

void attach_devices(MountTargets& targets, const std::vector<Device>& devices, LandlockRules& rules,
                    SetupReporter& reporter) {
  reporter.begin(Step::kDevices);
  reporter.require(targets.folder("/dev").valid(), "/dev");
  for (const Device& device : devices) {
    // Below the fresh root nobody else has made anything yet: a name is as good as a descriptor.
    const char* const place = device.path.c_str() + 1;
    const UniqueFd made(::open(place, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444));
    const bool attached =
        made.valid() && ::move_mount(device.tree.get(), "", AT_FDCWD, place, MOVE_MOUNT_F_EMPTY_PATH) == 0;
    reporter.require(attached, device.path);
    allow(rules, device.tree.get(), Reach::kDevice, device.path, reporter);
  }
  constexpr std::array<std::array<const char*, 2>, 4> kLinks{{{"/proc/self/fd", "dev/fd"},
                                                              {"/proc/self/fd/0", "dev/stdin"},
                                                              {"/proc/self/fd/1", "dev/stdout"},
                                                              {"/proc/self/fd/2", "dev/stderr"}}};
  for (const auto& [target, path] : kLinks) reporter.require(::symlink(target, path) == 0, path);
}

void attach_grants(MountTargets& targets, const std::vector<Grant>& grants, LandlockRules& rules,
                   SetupReporter& reporter) {
  for (const Grant& grant : grants) {
    reporter.begin(Step::kMountPoint);
    const UniqueFd place = targets.mount_point(grant.target, grant.kind);
    reporter.require(place.valid(), grant.target);
    reporter.begin(Step::kBind);
    reporter.require(attach(grant.tree.get(), place.get()), grant.source);
    allow(rules, grant.tree.get(), reach_of(grant), grant.target, reporter);
  }
}

void make_links(MountTargets& targets, const std::vector<SymbolicLink>& links, SetupReporter& reporter) {
  reporter.begin(Step::kLink);
  for (const SymbolicLink& link : links) {
    std::string name;
    const UniqueFd folder = targets.folder_of(link.link_path, name);
    reporter.require(folder.valid() && ::symlinkat(link.target.c_str(), folder.get(), name.c_str()) == 0,
                     link.link_path);
  }
}

void write_synthetic_files(MountTargets& targets, const std::vector<SyntheticFile>& files, LandlockRules& rules,
                           SetupReporter& reporter) {
  reporter.begin(Step::kSyntheticFile);
  for (const SyntheticFile& file : files) {
    std::string name;
    const UniqueFd folder = targets.folder_of(file.path, name);
    reporter.require(folder.valid(), file.path);
    const UniqueFd made(::openat(folder.get(), name.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0444));
    reporter.require(made.valid(), file.path);
    const ssize_t written = ::write(made.get(), file.contents.data(), file.contents.size());
    reporter.require(written == static_cast<ssize_t>(file.contents.size()), file.path);
    allow(rules, made.get(), Reach::kRead, file.path, reporter);
  }
}

// A file system whose pages are never written to a swap device, attached nowhere yet. A tmpfs can be told not to be
// swapped only outside a user namespace.
UniqueFd detached_ramfs() {
  const UniqueFd context(::fsopen("ramfs", FSOPEN_CLOEXEC));
  if (!context.valid() || ::fsconfig(context.get(), FSCONFIG_SET_STRING, "mode", "0500", 0) != 0 ||
      ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) {
    return UniqueFd();
  }
  return UniqueFd(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
}

// The kernel copies: no byte of a secret is ever in our memory, nor in the launcher's.
bool copy_secret(int from, int to) {
  struct stat info {};
  if (::fstat(from, &info) != 0) return false;
  off_t copied = 0;
  while (copied < info.st_size) {
    if (::sendfile(to, from, &copied, static_cast<std::size_t>(info.st_size - copied)) <= 0) return false;
  }
  return true;
}

void make_secret_files(SandboxPlan& plan, MountTargets& targets, LandlockRules& rules, SetupReporter& reporter) {
  if (plan.request.secrets.empty()) return;
  // Last, so that no grant hides it; within a granted /run there must be such a folder.
  reporter.begin(Step::kMountPoint);
  const UniqueFd place = targets.folder(kSecretsFolder);
  reporter.require(place.valid(), kSecretsFolder);
  reporter.begin(Step::kSecrets);
  const UniqueFd mounted = detached_ramfs();
  reporter.require(mounted.valid(), kSecretsFolder);
  for (std::size_t index = 0; index < plan.secrets.size(); ++index) {
    const std::string& name = plan.request.secrets[index].name;
    constexpr int kFlags = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC;
    const UniqueFd made(::openat(mounted.get(), name.c_str(), kFlags, 0400));
    reporter.require(made.valid() && copy_secret(plan.secrets[index].get(), made.get()), name);
  }
  plan.secrets.clear();
  constexpr std::uint64_t kAttributes = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  reporter.require(seal_tree(mounted.get(), kAttributes) && attach(mounted.get(), place.get()), kSecretsFolder);
  allow(rules, mounted.get(), Reach::kRead, kSecretsFolder, reporter);
}

// A whole /proc that is attached nowhere: only who holds the descriptor sees it.
UniqueFd detached_proc() {
  const UniqueFd context(::fsopen("proc", FSOPEN_CLOEXEC));
  if (!context.valid() || ::fsconfig(context.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0) return UniqueFd();
  return UniqueFd(::fsmount(context.get(), FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC));
}

bool write_setting(int proc, const char* path, std::string_view value) {
  const UniqueFd fd(::openat(proc, path, O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
  return fd.valid() && ::write(fd.get(), value.data(), value.size()) > 0;
}

// The highest process number of the namespace, where Linux (6.14) keeps one for each. Numbers below kReservedPids are
// given out only once, so that what remains bounds living processes about as the plugin's own bound does. As the host's
// root user one would set the host's own number on an older kernel: then it is left alone.
void lower_process_numbers(int proc, const SandboxPlan& plan, SetupReporter& reporter) {
  constexpr std::uint64_t kReservedPids = 301;  // the kernel's own least value
  if (plan.ids.uid == 0) return;
  const std::uint32_t asked = plan.request.limits.processes_max;
  const std::string value = std::to_string(kReservedPids + (asked != 0 ? asked : kProcessesMaxDefault));
  if (write_setting(proc, "sys/kernel/pid_max", value)) reporter.gained(Gained::kPidNumbers);
}

// Limits that live in the namespaces themselves. They bind even where no cgroup does, and are lowered before the plugin
// exists; where a kernel has no such file the plugin's filter is what remains.
//
// The descriptor comes back: closing it now would make every start wait for the kernel to take the mount apart (0.1
// ms).
UniqueFd lower_namespace_limits(const SandboxPlan& plan, SetupReporter& reporter) {
  reporter.begin(Step::kPrivateSettings);
  UniqueFd proc = detached_proc();
  if (!proc.valid()) return proc;
  struct Setting {
    const char* path;
    std::string_view value;
  };
  // Without a user namespace no other one can be made either: the rest are locked doors behind a locked door. Low ports
  // are the plugin's own as all of its network is.
  constexpr const char* kLowPorts = "sys/net/ipv4/ip_unprivileged_port_start";
  constexpr std::array<Setting, 5> kSettings{{{"sys/user/max_user_namespaces", "0"},
                                              {"sys/user/max_mnt_namespaces", "0"},
                                              {"sys/user/max_inotify_instances", "16"},
                                              {"sys/user/max_inotify_watches", "1024"},
                                              {kLowPorts, "0"}}};
  bool all_set = true;
  for (const Setting& setting : kSettings) {
    if (setting.path == kLowPorts && plan.has_spare_network) continue;  // done, and not the sandbox's to do
    all_set = write_setting(proc.get(), setting.path, setting.value) && all_set;
  }
  if (all_set) reporter.gained(Gained::kPrivateSettings);
  lower_process_numbers(proc.get(), plan, reporter);
  return proc;
}

// Kernels before 5.8 know fewer options; less is asked for until one set is taken, and the posture says which.
void mount_proc(LandlockRules& rules, SetupReporter& reporter) {
  reporter.begin(Step::kMountProc);
  reporter.require(::mkdir("proc", 0555) == 0 || errno == EEXIST, "/proc");
  if (::mount("proc", "proc", "proc", kProcFlags, "subset=pid,hidepid=ptraceable") == 0) {
    reporter.gained(Gained::kProcPidsOnly);
    reporter.gained(Gained::kProcHidden);
  } else if (::mount("proc", "proc", "proc", kProcFlags, "hidepid=2") == 0) {
    reporter.gained(Gained::kProcHidden);
  } else {
    reporter.require(::mount("proc", "proc", "proc", kProcFlags, nullptr) == 0, "/proc");
  }
  const UniqueFd proc(::open("proc", O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
  reporter.require(proc.valid(), "/proc");
  allow(rules, proc.get(), Reach::kRead, "/proc", reporter);
}

void change_root(SetupReporter& reporter) {
  reporter.begin(Step::kPivotRoot);
  // The old root ends up on top of the new one and is detached from there: no folder for it is ever needed.
  reporter.require(::syscall(SYS_pivot_root, ".", ".") == 0, "/");
  reporter.require(::umount2(".", MNT_DETACH) == 0, "/");
  reporter.require(::chdir("/") == 0, "/");
  mount_attr read_only{};
  read_only.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  reporter.require(::mount_setattr(AT_FDCWD, "/", 0, &read_only, sizeof read_only) == 0, "/");
}

}  // namespace

UniqueFd build_root(SandboxPlan& plan, LandlockRules& rules, SetupReporter& reporter) {
  ::umask(0);  // the modes below are meant as written
  if (plan.host.mode == HostMode::kRootless) clone_grants(plan.pinned.grants, reporter);
  const std::vector<Device> devices = clone_devices(reporter);
  const UniqueFd root = mount_new_root(reporter);
  MountTargets targets(root.get());
  reporter.require(targets.own(root.get()), "/");
  allow(rules, root.get(), Reach::kList, "/", reporter);
  // The temporary folders come first: a grant may lie within /tmp.
  mount_temporary_folders(targets, plan.request.limits, rules, reporter);
  attach_devices(targets, devices, rules, reporter);
  attach_grants(targets, plan.pinned.grants, rules, reporter);
  make_links(targets, plan.request.links, reporter);
  write_synthetic_files(targets, plan.request.files, rules, reporter);
  make_secret_files(plan, targets, rules, reporter);
  UniqueFd settings = lower_namespace_limits(plan, reporter);
  mount_proc(rules, reporter);
  change_root(reporter);
  return settings;
}

}  // namespace liongate::sandbox
