// X01 and on: what is not on the list and was thought of since, or found by attacking.
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/xattr.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <ctime>
#include <vector>

#include "tests/escape/programs/attempt.h"

namespace liongate::escape {
namespace {

// A pair of its own, or {-1, -1}.
std::array<int, 2> pair_of(int type) {
  std::array<int, 2> pair{-1, -1};
  ::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, pair.data());
  return pair;
}

void program_own_sockets(const Scene&, Report& report) {
  report.attempt("SO_ATTACH_FILTER", [] {
    sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, 0xffff)};
    const sock_fprog program{1, all};
    return ::setsockopt(pair_of(SOCK_STREAM)[0], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
  });
  report.attempt("SO_ATTACH_BPF", [] {
    const int none = -1;
    return ::setsockopt(pair_of(SOCK_STREAM)[0], SOL_SOCKET, SO_ATTACH_BPF, &none, sizeof none);
  });
  report.attempt("SO_ATTACH_REUSEPORT_CBPF", [] {
    sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, 0)};
    const sock_fprog program{1, all};
    return ::setsockopt(pair_of(SOCK_STREAM)[0], SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &program, sizeof program);
  });
  report.attempt("SO_LOCK_FILTER", [] {
    const int on = 1;
    return ::setsockopt(pair_of(SOCK_STREAM)[0], SOL_SOCKET, SO_LOCK_FILTER, &on, sizeof on);
  });
}

// CVE-2025-38236: the out-of-band byte of UNIX sockets led from a browser's sandbox into the kernel.
void out_of_band(const Scene&, Report& report) {
  char byte = 'x';
  iovec part{&byte, 1};
  msghdr message{};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  report.attempt("sendto",
                 [&] { return ::syscall(SYS_sendto, pair_of(SOCK_STREAM)[0], &byte, 1, MSG_OOB, nullptr, 0); });
  report.attempt("sendmsg", [&] { return ::syscall(SYS_sendmsg, pair_of(SOCK_STREAM)[0], &message, MSG_OOB); });
  report.attempt("sendmmsg", [&] {
    mmsghdr messages[1] = {{message, 0}};
    return ::syscall(SYS_sendmmsg, pair_of(SOCK_STREAM)[0], messages, 1, MSG_OOB);
  });
  report.attempt("recvfrom", [&] {
    const auto pair = pair_of(SOCK_STREAM);
    ::syscall(SYS_sendto, pair[0], &byte, 1, MSG_OOB, nullptr, 0);
    return ::syscall(SYS_recvfrom, pair[1], &byte, 1, MSG_OOB | MSG_DONTWAIT, nullptr, nullptr);
  });
}

void odd_flags(const Scene& scene, Report& report) {
  report.attempt("notification pipe", [] {
    std::array<int, 2> pipe{};
    return ::syscall(SYS_pipe2, pipe.data(), O_EXCL);
  });
  report.describe("huge pages", [] {
    constexpr int kFlags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB;
    void* page = ::mmap(nullptr, 2 << 20, PROT_READ | PROT_WRITE, kFlags, -1, 0);
    return outcome_of(page == MAP_FAILED ? -1 : 0);
  });
  const std::string folder = scene.get("rw").empty() ? "/tmp" : scene.get("rw");
  report.attempt("device by whiteout", [&] {
    ::close(::open((folder + "/from").c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
    const long result = ::syscall(SYS_renameat2, AT_FDCWD, (folder + "/from").c_str(), AT_FDCWD,
                                  (folder + "/to").c_str(), 4 /* RENAME_WHITEOUT */);
    const int error = errno;
    ::unlink((folder + "/from").c_str());
    ::unlink((folder + "/to").c_str());
    errno = error;
    return result;
  });
}

void write_own_memory(const Scene&, Report& report) {
  for (const char* path : {"/proc/self/mem", "/proc/thread-self/mem", "/proc/self/clear_refs",
                           "/proc/self/timens_offsets", "/proc/self/projid_map", "/proc/self/gid_map",
                           "/proc/self/autogroup", "/proc/self/coredump_filter", "/proc/self/make-it-fail"}) {
    report.describe(path, [&] { return opens(path, O_RDWR); });
  }
}

void weaken_walls(const Scene&, Report& report) {
  const std::pair<const char*, int> options[] = {
      {"PTRACER", PR_SET_PTRACER},
      {"MM", PR_SET_MM},
      {"DUMPABLE", PR_SET_DUMPABLE},
      {"SECCOMP", PR_SET_SECCOMP},
      {"SUBREAPER", PR_SET_CHILD_SUBREAPER},
      {"IO_FLUSHER", 57},
      {"USER_DISPATCH", 59},
      {"MDWE", 65},
      {"SPECULATION", PR_SET_SPECULATION_CTRL},
      {"TSC", PR_SET_TSC},
      {"FP_MODE", PR_SET_FP_MODE},
      {"MCE", PR_MCE_KILL},
      {"CAPBSET_DROP", PR_CAPBSET_DROP},
      {"SCHED_CORE", 62},
      {"MPX", 43},
      {"TIMING", PR_SET_TIMING},
  };
  for (const auto& [name, option] : options) {
    const int wanted = option;
    report.attempt(name, [&] { return ::syscall(SYS_prctl, wanted, 1, 0, 0, 0); });
  }
  report.attempt("seccomp()", [] {
    sock_filter all[] = {BPF_STMT(BPF_RET | BPF_K, 0x7fff0000)};
    const sock_fprog program{1, all};
    return ::syscall(SYS_seccomp, 1, 8 /* NEW_LISTENER */, &program);
  });
}

void make_set_id(const Scene& scene, Report& report) {
  const std::string folder = scene.get("rw").empty() ? "/tmp" : scene.get("rw");
  const std::string path = folder + "/setid";
  const int fd = ::open(path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0755);
  report.attempt("chmod", [&] { return ::syscall(SYS_chmod, path.c_str(), 04755); });
  report.attempt("fchmod", [&] { return ::syscall(SYS_fchmod, fd, 06755); });
  report.attempt("fchmodat", [&] { return ::syscall(SYS_fchmodat, AT_FDCWD, path.c_str(), 02755); });
  report.attempt("fchmodat2", [&] { return ::syscall(452, fd, "", 04755, AT_EMPTY_PATH); });
  report.attempt("high bits", [&] { return ::syscall(SYS_fchmod, fd, 0x100000000UL | 04755); });
  report.attempt("mkdir", [&] { return ::syscall(SYS_mkdir, (path + ".d").c_str(), 02777); });
  report.attempt("O_TMPFILE and linkat", [&] {
    const int made = static_cast<int>(::syscall(SYS_openat, AT_FDCWD, folder.c_str(), O_TMPFILE | O_RDWR, 04755));
    if (made < 0) return -1;
    return ::linkat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(made)).c_str(), AT_FDCWD, (path + ".t").c_str(),
                    AT_SYMLINK_FOLLOW);
  });
  report.attempt("capability attribute", [&] {
    const std::array<std::uint32_t, 5> capabilities{0x02000001, ~0U, 0, ~0U, 0};
    return ::setxattr(path.c_str(), "security.capability", capabilities.data(), sizeof capabilities, 0);
  });
  report.attempt("trusted attribute", [&] { return ::setxattr(path.c_str(), "trusted.x", "x", 1, 0); });
  report.attempt("another owner", [&] { return ::chown(path.c_str(), 0, 0); });
  ::close(fd);
  struct stat found {};
  report.say("mode", ::stat(path.c_str(), &found) == 0 && (found.st_mode & 06000) == 0 ? "plain" : "set-id");
  ::unlink(path.c_str());
  ::unlink((path + ".t").c_str());
  ::rmdir((path + ".d").c_str());
}

void replace_mount_points(const Scene& scene, Report& report) {
  std::vector<std::string> places = {"/tmp", "/dev/shm", "/dev/null", "/proc", "/plugin", "/plugin/escape"};
  if (!scene.get("rw").empty()) places.insert(places.end(), {scene.get("rw"), scene.get("ro") + "/file"});
  for (const std::string& place : places) {
    report.attempt("rename " + place, [&] { return ::rename(place.c_str(), "/tmp/moved"); });
    report.attempt("remove " + place, [&] { return ::unlink(place.c_str()) == 0 ? 0 : ::rmdir(place.c_str()); });
    report.attempt("exchange " + place, [&] {
      ::mkdir("/tmp/other", 0700);
      return ::syscall(SYS_renameat2, AT_FDCWD, place.c_str(), AT_FDCWD, "/tmp/other", 2 /* RENAME_EXCHANGE */);
    });
  }
  report.attempt("create in /", [] { return ::mkdir("/new", 0700); });
  report.attempt("create in /dev", [] { return ::symlink("/tmp", "/dev/new"); });
}

// How much each takes outside of any memory limit, and whether the host's other programs of this user would feel it.
void exhaust_kernel_objects(const Scene& scene, Report& report) {
  const long wanted = scene.number("objects_max", 100'000);
  const auto count = [&](const std::function<long()>& make) {
    long made = 0;
    while (made < wanted && make() >= 0) ++made;
    return std::to_string(made) + ": " + (made < wanted ? outcome_of(-1) : "not refused");
  };
  report.describe("timers", [&] {
    std::vector<int> timers;
    const std::string said = count([&] {
      sigevent event{};
      event.sigev_notify = SIGEV_NONE;
      int timer = 0;
      const long result = ::syscall(SYS_timer_create, CLOCK_MONOTONIC, &event, &timer);
      if (result == 0) timers.push_back(timer);
      return result;
    });
    for (const int timer : timers) ::syscall(SYS_timer_delete, timer);
    return said;
  });
  report.describe("queued signals", [&] {
    sigset_t all{};
    ::sigfillset(&all);
    ::sigprocmask(SIG_BLOCK, &all, nullptr);
    siginfo_t info{};
    info.si_code = SI_QUEUE;
    const pid_t me = ::getpid();
    const std::string said =
        count([&] { return ::syscall(SYS_rt_tgsigqueueinfo, me, ::gettid(), SIGRTMIN + 3, &info); });
    const timespec none{};
    while (::sigtimedwait(&all, nullptr, &none) > 0) continue;
    ::sigprocmask(SIG_UNBLOCK, &all, nullptr);
    return said;
  });
  report.describe("descriptors in flight", [&] {
    const auto pair = pair_of(SOCK_STREAM);
    const std::vector<int> stdin_64_times(64, 0);
    const std::string said = count([&] { return send_descriptors(pair[0], stdin_64_times); });
    ::close(pair[0]);
    ::close(pair[1]);
    return said;
  });
}

void lock_read_only(const Scene& scene, Report& report) {
  const std::string file = scene.get("ro").empty() ? "/plugin/manifest.toml" : scene.get("ro") + "/file";
  report.attempt("flock", [&] { return ::flock(::open(file.c_str(), O_RDONLY | O_CLOEXEC), LOCK_EX | LOCK_NB); });
  report.attempt("lease", [&] { return ::fcntl(::open(file.c_str(), O_RDONLY | O_CLOEXEC), F_SETLEASE, F_RDLCK); });
  report.attempt("notification",
                 [&] { return ::fcntl(::open((file + "/..").c_str(), O_RDONLY | O_CLOEXEC), F_NOTIFY, 2); });
  report.attempt("mandatory hint", [&] {
    const std::uint64_t hint = 5;
    return ::fcntl(::open(file.c_str(), O_RDONLY | O_CLOEXEC), 1036 /* F_SET_RW_HINT */, &hint);
  });
}

void share_pages(const Scene& scene, Report& report) {
  const std::string file = scene.get("ro").empty() ? "/plugin/manifest.toml" : scene.get("ro") + "/file";
  const std::string folder = scene.get("rw").empty() ? "/tmp" : scene.get("rw");
  constexpr unsigned long kFiclone = 0x40049409, kGetFlags = 0x80086601, kSetFlags = 0x40086602,
                          kFsGetXattr = 0x801c581f, kFsSetXattr = 0x401c5820, kDedupe = 0xc0189436,
                          kAddEntropy = 0x40085203, kClearPool = 0x5206, kFitrim = 0xc0185879;
  const int from = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  const int to = ::open((folder + "/clone").c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0600);
  std::array<char, 64> room{};
  report.attempt("FICLONE", [&] { return ::syscall(SYS_ioctl, to, kFiclone, from); });
  report.attempt("FIDEDUPERANGE", [&] { return ::syscall(SYS_ioctl, from, kDedupe, room.data()); });
  report.attempt("FS_IOC_GETFLAGS", [&] { return ::syscall(SYS_ioctl, to, kGetFlags, room.data()); });
  report.attempt("FS_IOC_SETFLAGS", [&] { return ::syscall(SYS_ioctl, to, kSetFlags, room.data()); });
  report.attempt("FS_IOC_FSGETXATTR", [&] { return ::syscall(SYS_ioctl, to, kFsGetXattr, room.data()); });
  report.attempt("FS_IOC_FSSETXATTR", [&] { return ::syscall(SYS_ioctl, to, kFsSetXattr, room.data()); });
  report.attempt("FITRIM", [&] { return ::syscall(SYS_ioctl, to, kFitrim, room.data()); });
  const int random = ::open("/dev/random", O_RDWR | O_CLOEXEC);
  report.attempt("RNDADDENTROPY", [&] { return ::syscall(SYS_ioctl, random, kAddEntropy, room.data()); });
  report.attempt("RNDCLEARPOOL", [&] { return ::syscall(SYS_ioctl, random, kClearPool, 0); });
  ::close(from);
  ::close(to);
  ::close(random);
  ::unlink((folder + "/clone").c_str());
}

// Numbers that newer kernels gave out, with arguments that mean nothing: what is not known is not there.
void call_new_numbers(const Scene&, Report& report) {
  for (long number = 424; number < 512; ++number) {
    // pidfd_send_signal, pidfd_open, close_range, faccessat2, epoll_pwait2: known, and checked elsewhere.
    if (number == 424 || number == 434 || number == 436 || number == 439 || number == 441) continue;
    report.attempt(std::to_string(number), [&] { return ::syscall(number, -1, -1, -1, -1, -1, -1); });
  }
}

// Bytes that wait in pairs of its own until no more can be made, with buffers as large as can be had.
std::string fill_sockets(long mebibytes_max) {
  static const std::vector<char> block(65536, 'x');
  const int enough = 1 << 30;
  long bytes = 0;
  std::vector<int> open;
  std::string why = "not refused";
  while (bytes >> 20 < mebibytes_max) {
    std::array<int, 2> pair{};
    if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair.data()) != 0) {
      why = outcome_of(-1);
      break;
    }
    for (const int end : pair) {
      open.push_back(end);
      ::setsockopt(end, SOL_SOCKET, SO_SNDBUF, &enough, sizeof enough);
      for (ssize_t sent = 0; (sent = ::write(end, block.data(), block.size())) > 0;) bytes += sent;
    }
  }
  for (const int end : open) ::close(end);
  return std::to_string(bytes >> 20) + " MiB: " + why;
}

std::string fill_pipes(long mebibytes_max) {
  static const std::vector<char> block(65536, 'x');
  long bytes = 0;
  std::vector<int> open;
  std::string why = "not refused";
  while (bytes >> 20 < mebibytes_max) {
    std::array<int, 2> pipe{};
    if (::pipe2(pipe.data(), O_NONBLOCK | O_CLOEXEC) != 0) {
      why = outcome_of(-1);
      break;
    }
    open.insert(open.end(), pipe.begin(), pipe.end());
    ::fcntl(pipe[1], F_SETPIPE_SZ, 1 << 20);
    for (ssize_t sent = 0; (sent = ::write(pipe[1], block.data(), block.size())) > 0;) bytes += sent;
  }
  for (const int end : open) ::close(end);
  return std::to_string(bytes >> 20) + " MiB: " + why;
}

// Memory of the kernel that is no process's.
void fill_kernel_buffers(const Scene& scene, Report& report) {
  const long wanted = scene.number("mebibytes_max", 512);
  report.describe("socket buffers", [&] { return fill_sockets(wanted); });
  report.describe("pipes", [&] { return fill_pipes(wanted); });
}

// Each denied call waits for an answer from outside: many of them at once must disturb nobody, nor fill the log.
void flood_denials(const Scene& scene, Report& report) {
  report.describe("calls", [&] {
    constexpr int kThreads = 8;
    static std::atomic<bool> is_over{false};
    std::array<pthread_t, kThreads> threads{};
    for (pthread_t& thread : threads) {
      ::pthread_create(
          &thread, nullptr,
          [](void*) -> void* {
            while (!is_over) ::syscall(SYS_unshare, CLONE_NEWUSER);
            return nullptr;
          },
          nullptr);
    }
    const timespec time{scene.number("seconds", 2), 0};
    ::nanosleep(&time, nullptr);
    is_over = true;
    for (const pthread_t thread : threads) ::pthread_join(thread, nullptr);
    return outcome_of(::syscall(SYS_unshare, CLONE_NEWUSER));
  });
}

// CVE-2014-3153: a lock that hands its waiters' priority on, asked for in a way nobody had thought of.
void inherit_priority(const Scene&, Report& report) {
  constexpr std::pair<const char*, int> kOperations[] = {
      {"LOCK_PI", FUTEX_LOCK_PI},
      {"LOCK_PI2", FUTEX_LOCK_PI2},
      {"TRYLOCK_PI", FUTEX_TRYLOCK_PI},
      {"UNLOCK_PI", FUTEX_UNLOCK_PI},
      {"WAIT_REQUEUE_PI", FUTEX_WAIT_REQUEUE_PI},
      {"CMP_REQUEUE_PI", FUTEX_CMP_REQUEUE_PI},
  };
  for (const auto& [name, operation] : kOperations) {
    for (const int flags : {0, FUTEX_PRIVATE_FLAG}) {
      const int asked = operation | flags;
      report.attempt(std::string(name) + (flags != 0 ? " private" : ""), [asked] {
        std::uint32_t lock = 0;
        std::uint32_t other = 0;
        // A value that is not there: a kernel that is asked says EAGAIN at once instead of waiting.
        return ::syscall(SYS_futex, &lock, asked, 1, nullptr, &other, 1);
      });
    }
  }
  report.attempt("wake", [] {
    std::uint32_t word = 0;
    return ::syscall(SYS_futex, &word, FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
  });
}

// For the driver, which moves the file about meanwhile.
void read_file(const Scene& scene, Report& report) {
  report.describe("file", [&] { return contents_of(scene.get("file")); });
}

constexpr Check kChecks[] = {
    {"X13", read_file},           {"X15", flood_denials},        {"X16", inherit_priority},
    {"X12", fill_kernel_buffers}, {"X01", program_own_sockets},  {"X02", out_of_band},
    {"X03", odd_flags},           {"X04", write_own_memory},     {"X05", weaken_walls},
    {"X06", make_set_id},         {"X07", replace_mount_points}, {"X08", exhaust_kernel_objects},
    {"X09", lock_read_only},      {"X10", share_pages},          {"X11", call_new_numbers},
};

}  // namespace

std::span<const Check> unlisted_checks() {
  return kChecks;
}

}  // namespace liongate::escape
