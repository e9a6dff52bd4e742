// K01 to K17: doors into the kernel that turn a bug there into the host's.
#include <fcntl.h>
#include <linux/bpf.h>
#include <linux/io_uring.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <array>
#include <csignal>
#include <cstring>

#include "tests/escape/programs/attempt.h"

namespace liongate::escape {
namespace {

constexpr unsigned long kNewTime = 0x80;

// A child that a clone made ends at once: what matters is that it could be made.
long clone_and_end(unsigned long flags) {
  const long child = ::syscall(SYS_clone, flags | SIGCHLD, nullptr, nullptr, nullptr, nullptr);
  if (child == 0) ::_exit(0);
  if (child > 0) ::waitpid(static_cast<pid_t>(child), nullptr, 0);
  return child;
}

void new_namespaces(const Scene&, Report& report) {
  const std::pair<const char*, unsigned long> kinds[] = {
      {"user", CLONE_NEWUSER}, {"user+net", CLONE_NEWUSER | CLONE_NEWNET},
      {"mount", CLONE_NEWNS},  {"net", CLONE_NEWNET},
      {"pid", CLONE_NEWPID},   {"ipc", CLONE_NEWIPC},
      {"uts", CLONE_NEWUTS},   {"cgroup", CLONE_NEWCGROUP},
  };
  for (const auto& [name, flags] : kinds) {
    const unsigned long wanted = flags;
    report.attempt(std::string("unshare ") + name, [&] { return ::syscall(SYS_unshare, wanted); });
    report.attempt(std::string("clone ") + name, [&] { return clone_and_end(wanted); });
  }
  report.attempt("unshare time", [] { return ::syscall(SYS_unshare, kNewTime); });
  // A clone that hides its flags above the 32 bits that the kernel reads, and one that hides them in memory.
  report.attempt("clone3 user", [] {
    std::array<std::uint64_t, 11> arguments{CLONE_NEWUSER};
    arguments[4] = SIGCHLD;
    const long child = ::syscall(SYS_clone3, arguments.data(), sizeof arguments);
    if (child == 0) ::_exit(0);
    return child;
  });
}

void enter_namespaces(const Scene&, Report& report) {
  for (const char* kind : {"net", "mnt", "user", "pid"}) {
    report.attempt(std::string("open init's ") + kind,
                   [&] { return ::open((std::string("/proc/1/ns/") + kind).c_str(), O_RDONLY | O_CLOEXEC); });
  }
  report.attempt("setns by file", [] {
    const int fd = ::open("/proc/self/ns/uts", O_RDONLY | O_CLOEXEC);
    return ::syscall(SYS_setns, fd, CLONE_NEWUTS);
  });
  report.attempt("setns by pidfd", [] {
    const long fd = ::syscall(SYS_pidfd_open, ::getpid(), 0);
    return ::syscall(SYS_setns, fd, CLONE_NEWUTS);
  });
}

void change_mounts(const Scene&, Report& report) {
  report.attempt("mount tmpfs", [] { return ::syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, nullptr); });
  report.attempt("mount proc", [] { return ::syscall(SYS_mount, "proc", "/tmp", "proc", 0, nullptr); });
  report.attempt("bind", [] { return ::syscall(SYS_mount, "/", "/tmp", nullptr, MS_BIND | MS_REC, nullptr); });
  report.attempt("remount writable",
                 [] { return ::syscall(SYS_mount, nullptr, "/", nullptr, MS_REMOUNT | MS_BIND, nullptr); });
  report.attempt("share", [] { return ::syscall(SYS_mount, nullptr, "/", nullptr, MS_SHARED | MS_REC, nullptr); });
  report.attempt("umount proc", [] { return ::syscall(SYS_umount2, "/proc", MNT_DETACH); });
  report.attempt("open_tree", [] { return ::syscall(SYS_open_tree, AT_FDCWD, "/", 1 /* OPEN_TREE_CLONE */); });
  report.attempt("fsopen", [] { return ::syscall(SYS_fsopen, "tmpfs", 0); });
  report.attempt("fspick", [] { return ::syscall(SYS_fspick, AT_FDCWD, "/", 0); });
  report.attempt("move_mount", [] { return ::syscall(SYS_move_mount, -1, "", AT_FDCWD, "/tmp", 4); });
  report.attempt("mount_setattr", [] {
    std::array<std::uint64_t, 4> attributes{0, 1 /* clears MOUNT_ATTR_RDONLY */, 0, 0};
    return ::syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, attributes.data(), sizeof attributes);
  });
}

void change_root(const Scene&, Report& report) {
  report.attempt("chroot", [] { return ::syscall(SYS_chroot, "/tmp"); });
  report.attempt("pivot_root", [] { return ::syscall(SYS_pivot_root, ".", "."); });
}

void program_kernel(const Scene&, Report& report) {
  report.attempt("map", [] {
    bpf_attr attributes{};
    attributes.map_type = BPF_MAP_TYPE_ARRAY;
    attributes.key_size = 4;
    attributes.value_size = 8;
    attributes.max_entries = 1;
    return ::syscall(SYS_bpf, BPF_MAP_CREATE, &attributes, sizeof attributes);
  });
  report.attempt("program", [] {
    bpf_insn code[] = {{0xb7, 0, 0, 0, 0}, {0x95, 0, 0, 0, 0}};  // r0 = 0; exit
    bpf_attr attributes{};
    attributes.prog_type = BPF_PROG_TYPE_SOCKET_FILTER;
    attributes.insns = reinterpret_cast<std::uint64_t>(code);
    attributes.insn_cnt = 2;
    attributes.license = reinterpret_cast<std::uint64_t>("Apache");
    return ::syscall(SYS_bpf, BPF_PROG_LOAD, &attributes, sizeof attributes);
  });
}

void second_way_in(const Scene&, Report& report) {
  report.attempt("setup", [] {
    io_uring_params parameters{};
    return ::syscall(SYS_io_uring_setup, 1, &parameters);
  });
  report.attempt("enter", [] { return ::syscall(SYS_io_uring_enter, -1, 0, 0, 0, nullptr, 0); });
  report.attempt("register", [] { return ::syscall(SYS_io_uring_register, -1, 0, nullptr, 0); });
}

void stop_kernel_midway(const Scene&, Report& report) {
  report.attempt("userfaultfd", [] { return ::syscall(SYS_userfaultfd, O_CLOEXEC | 1 /* UFFD_USER_MODE_ONLY */); });
  report.describe("device", [] { return opens("/dev/userfaultfd", O_RDWR); });
}

void watch_kernel(const Scene&, Report& report) {
  report.attempt("software clock of itself", [] {
    perf_event_attr attributes{};
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.size = sizeof attributes;
    attributes.config = PERF_COUNT_SW_CPU_CLOCK;
    attributes.exclude_kernel = 1;
    return ::syscall(SYS_perf_event_open, &attributes, 0, -1, -1, 0);
  });
  report.attempt("everything on a processor", [] {
    perf_event_attr attributes{};
    attributes.type = PERF_TYPE_SOFTWARE;
    attributes.size = sizeof attributes;
    attributes.config = PERF_COUNT_SW_CPU_CLOCK;
    return ::syscall(SYS_perf_event_open, &attributes, -1, 0, -1, 0);
  });
}

void use_keys(const Scene&, Report& report) {
  constexpr long kProcessKeyring = -2, kSessionKeyring = -3, kUserKeyring = -4;
  report.attempt("add_key", [] { return ::syscall(SYS_add_key, "user", "liongate-escape", "x", 1, kProcessKeyring); });
  report.attempt("keyctl session", [] { return ::syscall(SYS_keyctl, 0, kSessionKeyring, 1); });
  report.attempt("keyctl user's", [] { return ::syscall(SYS_keyctl, 0, kUserKeyring, 1); });
  report.attempt("keyctl join", [] { return ::syscall(SYS_keyctl, 1, nullptr); });
  report.attempt("request_key",
                 [] { return ::syscall(SYS_request_key, "user", "liongate-escape", nullptr, kProcessKeyring); });
}

void trace(const Scene& scene, Report& report) {
  report.attempt("be traced", [] { return ::syscall(SYS_ptrace, PTRACE_TRACEME, 0, nullptr, nullptr); });
  // In a control the parent is the driver's, which is let be: a child of its own stands for it.
  if (scene.is_control()) {
    report.attempt("child", [] {
      const pid_t child = ::fork();
      if (child == 0) {
        for (;;) ::pause();
      }
      const long result = ::syscall(SYS_ptrace, PTRACE_SEIZE, child, nullptr, nullptr);
      const int error = errno;
      ::kill(child, SIGKILL);
      errno = error;
      return result;
    });
    return;
  }
  report.attempt("child", [] { return ::syscall(SYS_ptrace, PTRACE_SEIZE, ::getpid() + 1, nullptr, nullptr); });
  report.attempt("parent", [] { return ::syscall(SYS_ptrace, PTRACE_SEIZE, ::getppid(), nullptr, nullptr); });
  report.attempt("init", [] { return ::syscall(SYS_ptrace, PTRACE_ATTACH, 1, nullptr, nullptr); });
}

void read_memory(const Scene&, Report& report) {
  static char mine[8], other[8];
  const iovec local{mine, sizeof mine}, remote{other, sizeof other};
  report.attempt("read itself", [&] { return ::syscall(SYS_process_vm_readv, ::getpid(), &local, 1, &remote, 1, 0); });
  report.attempt("write itself",
                 [&] { return ::syscall(SYS_process_vm_writev, ::getpid(), &local, 1, &remote, 1, 0); });
  report.attempt("madvise itself", [] { return ::syscall(SYS_process_madvise, -1, nullptr, 0, 0, 0); });
  report.attempt("kcmp", [] { return ::syscall(SYS_kcmp, ::getpid(), ::getpid(), 0, 0, 0); });
  report.attempt("pidfd_getfd", [] {
    const long fd = ::syscall(SYS_pidfd_open, ::getpid(), 0);
    return ::syscall(SYS_pidfd_getfd, fd, 0, 0);
  });
}

// Arguments that the kernel refuses behind the question of privilege: nothing is loaded or restarted wherever this
// runs.
void control_host(const Scene&, Report& report) {
  constexpr unsigned long kNoSuchFlag = 0x8000;
  report.attempt("kexec_load", [] { return ::syscall(SYS_kexec_load, 0, 0, nullptr, kNoSuchFlag); });
  report.attempt("kexec_file_load", [] { return ::syscall(SYS_kexec_file_load, -1, -1, 0, nullptr, kNoSuchFlag); });
  report.attempt("reboot", [] { return ::syscall(SYS_reboot, 0, 0, 0, nullptr); });
  report.attempt("init_module", [] { return ::syscall(SYS_init_module, nullptr, 0, ""); });
  report.attempt("finit_module", [] { return ::syscall(SYS_finit_module, -1, "", 0); });
  report.attempt("delete_module", [] { return ::syscall(SYS_delete_module, "liongate_no_such_module", O_NONBLOCK); });
}

// Files and types that do not exist: the question of privilege comes first.
void privileged_calls(const Scene&, Report& report) {
  report.attempt("swapon", [] { return ::syscall(SYS_swapon, "/liongate-no-such-file", 0); });
  report.attempt("quotactl",
                 [] { return ::syscall(SYS_quotactl, 0x80000700 | 9, "/liongate-no-such-file", 0, nullptr); });
  report.attempt("quotactl_fd", [] { return ::syscall(SYS_quotactl_fd, -1, 0x80000700 | 9, 0, nullptr); });
  report.attempt("acct", [] { return ::syscall(SYS_acct, "/liongate-no-such-file"); });
  report.attempt("syslog", [] { return ::syscall(SYS_syslog, 10, nullptr, 0); });
  report.attempt("lookup_dcookie", [] { return ::syscall(SYS_lookup_dcookie, 0, nullptr, 0); });
}

void open_by_number(const Scene& scene, Report& report) {
  struct Handle {
    unsigned bytes = 128;
    int type = 0;
    std::array<char, 128> data{};
  };
  const std::string file = scene.is_control() ? scene.get("ro") + "/file" : "/plugin/manifest.toml";
  report.attempt("name_to_handle_at", [&] {
    Handle handle;
    int mount = 0;
    return ::syscall(SYS_name_to_handle_at, AT_FDCWD, file.c_str(), &handle, &mount, 0);
  });
  report.attempt("open_by_handle_at", [&] {
    Handle handle;
    int mount = 0;
    ::syscall(SYS_name_to_handle_at, AT_FDCWD, file.c_str(), &handle, &mount, 0);
    const int folder = ::open(scene.is_control() ? scene.get("ro").c_str() : "/plugin", O_RDONLY | O_DIRECTORY);
    return ::syscall(SYS_open_by_handle_at, folder, &handle, O_RDONLY);
  });
}

constexpr Check kChecks[] = {
    {"K01", new_namespaces},     {"K03", enter_namespaces},
    {"K04", change_mounts},      {"K06", change_root},
    {"K07", program_kernel},     {"K08", second_way_in},
    {"K09", stop_kernel_midway}, {"K10", watch_kernel},
    {"K11", use_keys},           {"K12", trace},
    {"K13", read_memory},        {"K15", control_host},
    {"K16", privileged_calls},   {"K17", open_by_number},
};

}  // namespace

std::span<const Check> kernel_checks() {
  return kChecks;
}

}  // namespace liongate::escape
