// A plugin with one sin a verb: `hostile VERB [ARGUMENT]` commits it and prints how it went, "ok" or the errno's name.
// Every attempt is a raw system call, so that no library in between softens it.
#include <dirent.h>
#include <elf.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

namespace {

void tell(const char* what, long result) {
  std::printf("%s=%s\n", what, result >= 0 ? "ok" : ::strerrorname_np(errno));
  std::fflush(stdout);
}

void show_file(const char* path) {
  const int fd = ::open(path, O_RDONLY);
  if (fd < 0) return tell(path, -1);
  char chunk[65536];
  for (ssize_t got = 0; (got = ::read(fd, chunk, sizeof chunk)) > 0;)
    std::fwrite(chunk, 1, static_cast<std::size_t>(got), stdout);
  ::close(fd);
}

void show_folder(const char* path) {
  DIR* folder = ::opendir(path);
  if (folder == nullptr) return tell(path, -1);
  while (const dirent* entry = ::readdir(folder)) std::printf("%s\n", entry->d_name);
  ::closedir(folder);
}

void show_descriptors() {
  for (int fd = 0; fd < 4096; ++fd) {
    if (::fcntl(fd, F_GETFD) >= 0) std::printf("fd %d\n", fd);
  }
}

void try_kernel() {
  tell("unshare", ::syscall(SYS_unshare, CLONE_NEWUSER));
  tell("clone_newuser", ::syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  tell("clone3", ::syscall(SYS_clone3, nullptr, 0));
  tell("setns", ::syscall(SYS_setns, 0, 0));
  tell("mount", ::syscall(SYS_mount, "none", "/tmp", "tmpfs", 0, nullptr));
  tell("umount2", ::syscall(SYS_umount2, "/proc", MNT_DETACH));
  tell("pivot_root", ::syscall(SYS_pivot_root, ".", "."));
  tell("chroot", ::syscall(SYS_chroot, "/tmp"));
  tell("open_tree", ::syscall(SYS_open_tree, -100, "/", 1));
  tell("ptrace", ::syscall(SYS_ptrace, PTRACE_ATTACH, 1, nullptr, nullptr));
  tell("bpf", ::syscall(SYS_bpf, 0, nullptr, 0));
  tell("keyctl", ::syscall(SYS_keyctl, 0, 0, 0));
  tell("add_key", ::syscall(SYS_add_key, "user", "a", "b", 1, -3));
  tell("perf_event_open", ::syscall(SYS_perf_event_open, nullptr, 0, 0, 0, 0));
  tell("io_uring_setup", ::syscall(SYS_io_uring_setup, 1, nullptr));
  tell("userfaultfd", ::syscall(SYS_userfaultfd, 0));
  tell("process_vm_readv", ::syscall(SYS_process_vm_readv, 1, nullptr, 0, nullptr, 0, 0));
  tell("open_by_handle_at", ::syscall(SYS_open_by_handle_at, -100, nullptr, 0));
  tell("seccomp", ::syscall(SYS_seccomp, 0, 0, nullptr));
  tell("prctl_seccomp", ::syscall(SYS_prctl, PR_SET_SECCOMP, 2, nullptr));
  tell("prctl_dumpable", ::syscall(SYS_prctl, PR_SET_DUMPABLE, 0));
  tell("mknod", ::syscall(SYS_mknod, "/tmp/device", S_IFCHR | 0600, 0x103));
  tell("sethostname", ::syscall(SYS_sethostname, "other", 5));
  tell("clock_settime", ::syscall(SYS_clock_settime, 0, nullptr));
  tell("personality", ::syscall(SYS_personality, 0x0040000));
  tell("modify_ldt", ::syscall(SYS_modify_ldt, 0, nullptr, 0));
  tell("setuid", ::syscall(SYS_setuid, 0));
  tell("capset", ::syscall(SYS_capset, nullptr, nullptr));
  tell("tiocsti", ::syscall(SYS_ioctl, 0, 0x5412, "x"));
  tell("tiocsti_high", ::syscall(SYS_ioctl, 0, 0x100005412UL, "x"));
  rlimit none{0, 0};
  tell("core_limit", ::syscall(SYS_prlimit64, 0, RLIMIT_CORE, &none, nullptr));
  tell("unknown", ::syscall(1000, 0));
}

void try_network() {
  for (const int family : {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK, AF_PACKET, 40 /* AF_VSOCK */, 38 /* AF_ALG */}) {
    const std::string name = "family" + std::to_string(family);
    tell(name.c_str(), ::syscall(SYS_socket, family, SOCK_STREAM, 0));
  }
  tell("raw", ::syscall(SYS_socket, AF_INET, SOCK_RAW, 1));
  int pair[2];
  tell("pair_stream", ::syscall(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair));
  tell("pair_packet", ::syscall(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET, 0, pair));
  tell("pair_datagram", ::syscall(SYS_socketpair, AF_UNIX, SOCK_DGRAM, 0, pair));
  tell("connect", ::syscall(SYS_connect, pair[0], nullptr, 0));
}

// Without `process` each of these fails; the last ones try to use the door the launcher came through.
void try_execution(const char* self) {
  char* const arguments[] = {const_cast<char*>(self), const_cast<char*>("exit"), const_cast<char*>("0"), nullptr};
  char* const environment[] = {nullptr};
  tell("fork", ::syscall(SYS_fork));
  tell("vfork_as_clone", ::syscall(SYS_clone, CLONE_VM | CLONE_VFORK | SIGCHLD, nullptr, nullptr, nullptr, nullptr));
  tell("execve", ::syscall(SYS_execve, self, arguments, environment));
  tell("execveat", ::syscall(SYS_execveat, AT_FDCWD, self, arguments, environment, 0));
  const int fd = ::open(self, O_RDONLY);
  tell("execveat_empty", ::syscall(SYS_execveat, fd, "", arguments, environment, AT_EMPTY_PATH));
  for (int place = 0; place < 16; ++place) {
    if (place != fd) ::dup2(fd, place + 16);
    ::syscall(SYS_execveat, place + 16, "", arguments, environment, AT_EMPTY_PATH);
  }
  tell("execveat_dup", ::syscall(SYS_execveat, 20, "", arguments, environment, AT_EMPTY_PATH));
  tell("memfd", ::syscall(SYS_memfd_create, "code", 0));
}

void try_memory() {
  void* page = ::mmap(nullptr, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  tell("map_both", reinterpret_cast<std::intptr_t>(::mmap(nullptr, 4096, PROT_READ | PROT_WRITE | PROT_EXEC,
                                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) == -1
                       ? -1
                       : 0);
  tell("make_executable", ::mprotect(page, 4096, PROT_READ | PROT_EXEC));
  tell("open_own_memory", ::open("/proc/self/mem", O_RDWR));
  tell("pkey_alloc", ::syscall(SYS_pkey_alloc, 0, 0));
}

void try_modes(const std::string& folder) {
  const std::string file = folder + "/file";
  const int fd = ::open(file.c_str(), O_CREAT | O_RDWR, 0600);
  tell("create", fd);
  tell("chmod_plain", ::syscall(SYS_chmod, file.c_str(), 0755));
  tell("chmod_setuid", ::syscall(SYS_chmod, file.c_str(), 04755));
  tell("fchmod_setgid", ::syscall(SYS_fchmod, fd, 02755));
  tell("fchmodat_setuid", ::syscall(SYS_fchmodat, AT_FDCWD, file.c_str(), 04755));
  tell("fchmodat2", ::syscall(452, AT_FDCWD, file.c_str(), 04755, 0));
  tell("open_setuid", ::syscall(SYS_openat, AT_FDCWD, (folder + "/other").c_str(), O_CREAT | O_RDWR, 04755));
  tell("tmpfile_setuid", ::syscall(SYS_openat, AT_FDCWD, folder.c_str(), O_TMPFILE | O_RDWR, 04755));
  tell("creat_setuid", ::syscall(SYS_creat, (folder + "/other").c_str(), 04755));
  tell("mkdir_setgid", ::syscall(SYS_mkdir, (folder + "/sub").c_str(), 02755));
}

void try_writing(const std::string& folder) {
  tell("create", ::open((folder + "/new").c_str(), O_CREAT | O_WRONLY, 0600));
  tell("write_existing", ::open((folder + "/existing").c_str(), O_WRONLY));
  tell("truncate", ::truncate((folder + "/existing").c_str(), 0));
  tell("chmod", ::chmod((folder + "/existing").c_str(), 0777));
  tell("unlink", ::unlink((folder + "/existing").c_str()));
  tell("link_out", ::link((folder + "/existing").c_str(), "/tmp/linked"));
}

// Writes until the file system is full; prints how many mebibytes it took.
void fill(const std::string& folder) {
  static char block[1024 * 1024];
  const int fd = ::open((folder + "/filler").c_str(), O_CREAT | O_WRONLY, 0600);
  int written = 0;
  while (written < 4096 && ::write(fd, block, sizeof block) == static_cast<ssize_t>(sizeof block)) ++written;
  std::printf("mebibytes=%d %s\n", written, ::strerrorname_np(errno));
  int made = 0;
  for (; made < 200000; ++made) {
    if (::open((folder + "/i" + std::to_string(made)).c_str(), O_CREAT | O_WRONLY, 0600) < 0 && errno != EMFILE) break;
    ::close(fd + 1);
  }
  std::printf("inodes=%d %s\n", made, ::strerrorname_np(errno));
}

// Leaves a grandchild behind that is in a session of its own and ignores what can be ignored, then ends.
void orphan() {
  if (::fork() == 0) {
    ::setsid();
    if (::fork() == 0) {
      for (int signal = 1; signal < 32; ++signal) ::signal(signal, SIG_IGN);
      for (;;) ::pause();
    }
    ::_exit(0);
  }
  ::wait(nullptr);
  std::printf("left\n");
}

void fork_bomb() {
  int made = 0;
  while (made < 5000 && ::fork() != -1) ++made;
  std::printf("children=%d %s\n", made, ::strerrorname_np(errno));
  std::fflush(stdout);
  ::_exit(0);
}

void eat_memory() {
  std::uint64_t mebibytes = 0;
  for (; mebibytes < 1U << 20; ++mebibytes) {
    if (::mmap(nullptr, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == MAP_FAILED) break;
  }
  std::printf("mebibytes=%llu %s\n", static_cast<unsigned long long>(mebibytes), ::strerrorname_np(errno));
}

void call_i386() {
  long result = 20;  // getpid of the i386 table
  asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
  std::printf("i386=%ld\n", result);
}

void show_limits() {
  for (const auto& [name, resource] : {std::pair{"core", RLIMIT_CORE},
                                       {"nofile", RLIMIT_NOFILE},
                                       {"nproc", RLIMIT_NPROC},
                                       {"fsize", RLIMIT_FSIZE},
                                       {"memlock", RLIMIT_MEMLOCK},
                                       {"as", RLIMIT_AS},
                                       {"data", RLIMIT_DATA},
                                       {"cpu", RLIMIT_CPU}}) {
    rlimit limit{};
    ::getrlimit(resource, &limit);
    std::printf("%s=%lld\n", name, static_cast<long long>(limit.rlim_max));
  }
}

int run(const std::string& verb, const char* self, const char* argument) {
  if (verb == "exit") return std::atoi(argument);
  if (verb == "signal") return ::raise(std::atoi(argument));
  if (verb == "show") show_file(argument);
  if (verb == "list") show_folder(argument);
  if (verb == "open") tell(argument, ::open(argument, O_RDONLY));
  if (verb == "open_for_writing") tell(argument, ::open(argument, O_WRONLY | O_NONBLOCK));
  if (verb == "descriptors") show_descriptors();
  if (verb == "kernel") try_kernel();
  if (verb == "network") try_network();
  if (verb == "execution") try_execution(self);
  if (verb == "memory") try_memory();
  if (verb == "modes") try_modes(argument);
  if (verb == "writing") try_writing(argument);
  if (verb == "fill") fill(argument);
  if (verb == "orphan") orphan();
  if (verb == "fork_bomb") fork_bomb();
  if (verb == "eat_memory") eat_memory();
  if (verb == "i386") call_i386();
  if (verb == "x32") tell("x32", ::syscall(0x40000000 | SYS_getpid));
  if (verb == "limits") show_limits();
  if (verb == "securebits") std::printf("securebits=%x\n", static_cast<unsigned>(::prctl(PR_GET_SECUREBITS)));
  if (verb == "ids") {
    gid_t groups[64];
    std::printf("uid=%d gid=%d groups=%d\n", ::getuid(), ::getgid(), ::getgroups(64, groups));
  }
  if (verb == "wait") {
    std::printf("waiting\n");
    std::fflush(stdout);
    for (;;) ::pause();
  }
  if (verb == "stop_self") {
    std::printf("stopping\n");
    std::fflush(stdout);
    ::raise(SIGSTOP);
  }
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count < 2) return 2;
  return run(arguments[1], "/plugin/hostile", count > 2 ? arguments[2] : "");
}
