// K19 to K30: the host's state, foreign call tables, pages that are only to be read, terminals, and gaining privilege.
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>

#include "tests/escape/programs/attempt.h"

namespace liongate::escape {
namespace {

// Nothing is changed wherever this runs: no time is given, no mode of the clock, and names only in a control's own
// namespace.
void set_host_state(const Scene&, Report& report) {
  report.attempt("clock_settime", [] { return ::syscall(SYS_clock_settime, 0, nullptr); });
  report.attempt("settimeofday", [] { return ::syscall(SYS_settimeofday, nullptr, nullptr); });
  report.attempt("adjtimex", [] {
    std::array<char, 512> query{};
    return ::syscall(SYS_adjtimex, query.data());
  });
  report.attempt("clock_adjtime", [] {
    std::array<char, 512> query{};
    return ::syscall(SYS_clock_adjtime, 0, query.data());
  });
  report.attempt("sethostname", [] { return ::syscall(SYS_sethostname, "escaped", 7); });
  report.attempt("setdomainname", [] { return ::syscall(SYS_setdomainname, "escaped", 7); });
}

void weaken_process(const Scene&, Report& report) {
  report.attempt("no randomization", [] { return ::syscall(SYS_personality, ADDR_NO_RANDOMIZE); });
  report.attempt("readable is executable", [] { return ::syscall(SYS_personality, READ_IMPLIES_EXEC); });
  report.attempt("page 0", [] { return ::syscall(SYS_personality, MMAP_PAGE_ZERO); });
  report.attempt("modify_ldt", [] {
    std::array<char, 64> table{};
    return ::syscall(SYS_modify_ldt, 0, table.data(), table.size());
  });
  report.attempt("iopl", [] { return ::syscall(SYS_iopl, 0); });
  report.attempt("ioperm", [] { return ::syscall(SYS_ioperm, 0x80, 1, 0); });
}

void foreign_table(const Scene& scene, Report& report) {
  if (scene.get("variant") == "x32") {
    report.attempt("getpid of x32", [] { return ::syscall(0x40000000 | SYS_getpid); });
    return;
  }
  report.describe("getpid of i386", [] {
    long result = 20;
    asm volatile("int $0x80" : "+a"(result) : : "memory", "r8", "r9", "r10", "r11");
    return std::string(result > 0 ? "ok" : "ENOSYS");
  });
}

// Fills a pipe and empties it, which left its pages marked as mergeable where CVE-2022-0847 is open; then a byte of the
// file is spliced in and "written" over.
std::string overwrite_by_pipe(const std::string& file) {
  const std::string before = contents_of(file);
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  std::array<int, 2> pipe{};
  if (fd < 0 || ::pipe2(pipe.data(), O_CLOEXEC | O_NONBLOCK) != 0) return outcome_of(-1);
  std::array<char, 4096> page{};
  while (::write(pipe[1], page.data(), page.size()) > 0) continue;
  while (::read(pipe[0], page.data(), page.size()) > 0) continue;
  loff_t offset = 0;
  const long spliced = ::syscall(SYS_splice, fd, &offset, pipe[1], nullptr, 1, 0);
  const ssize_t written = ::write(pipe[1], "ESCAPED", 7);
  ::close(fd);
  ::close(pipe[0]);
  ::close(pipe[1]);
  if (spliced != 1 || written != 7) return "not tried";
  return contents_of(file) == before ? "unchanged" : "changed";
}

void write_read_only_pages(const Scene& scene, Report& report) {
  report.describe("splice", [&] {
    return overwrite_by_pipe(scene.is_control() ? scene.get("ro") + "/file" : "/plugin/manifest.toml");
  });
  report.attempt("vmsplice", [] {
    std::array<int, 2> pipe{};
    if (::pipe(pipe.data()) != 0) return -1L;
    static char page[4096];
    const iovec part{page, sizeof page};
    return ::syscall(SYS_vmsplice, pipe[1], &part, 1, 0);
  });
}

// A terminal of its own where there is one to be had, so that nobody's is typed into.
void type_into_terminal(const Scene&, Report& report) {
  constexpr unsigned long kTiocsti = 0x5412, kTioclinux = 0x541c, kTiocgptpeer = 0x5441, kTiocsptlck = 0x40045431;
  const auto terminal = [=] {
    ::setsid();
    const int leader = ::open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
    int unlocked = 0;
    ::syscall(SYS_ioctl, leader, kTiocsptlck, &unlocked);
    return leader < 0 ? 0 : static_cast<int>(::syscall(SYS_ioctl, leader, kTiocgptpeer, O_RDWR));
  };
  report.attempt("TIOCSTI", [&] { return ::syscall(SYS_ioctl, terminal(), kTiocsti, "x"); });
  report.attempt("TIOCSTI, high bits set", [&] { return ::syscall(SYS_ioctl, terminal(), kTiocsti | 1UL << 32, "x"); });
  report.attempt("TIOCLINUX", [&] { return ::syscall(SYS_ioctl, terminal(), kTioclinux, "\x02"); });
  report.attempt("TIOCSCTTY", [&] { return ::syscall(SYS_ioctl, terminal(), 0x540e, 0); });
  report.describe("another terminal", [] { return opens("/dev/ptmx", O_RDWR | O_NOCTTY); });
}

// Becomes an ordinary user first where it is root, so that what a set-user-id program gives can be seen.
std::string run_set_user_id(const std::string& program, bool become_ordinary) {
  std::array<int, 2> pipe{};
  if (::pipe(pipe.data()) != 0) return outcome_of(-1);
  const pid_t child = ::fork();
  if (child < 0) return outcome_of(-1);
  if (child == 0) {
    if (become_ordinary && (::setgid(65534) != 0 || ::setuid(65534) != 0)) ::_exit(3);
    ::dup2(pipe[1], 1);
    char* const arguments[] = {const_cast<char*>(program.c_str()), const_cast<char*>("who"), nullptr};
    char* const environment[] = {nullptr};
    ::syscall(SYS_execve, program.c_str(), arguments, environment);
    const char failed[] = "not executed";
    ::_exit(::write(1, failed, sizeof failed - 1) > 0 ? 2 : 3);
  }
  ::close(pipe[1]);
  std::array<char, 64> said{};
  const ssize_t got = ::read(pipe[0], said.data(), said.size() - 1);
  ::close(pipe[0]);
  ::waitpid(child, nullptr, 0);
  if (got <= 0) return "nothing said";
  std::string who(said.data());
  while (!who.empty() && who.back() == '\n') who.pop_back();
  return "uid " + who;
}

long set_all_capabilities() {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[2] = {{~0U, ~0U, ~0U}, {0x1ff, 0x1ff, 0x1ff}};
  return ::syscall(SYS_capset, &header, data);
}

void gain_privilege(const Scene& scene, Report& report) {
  report.describe("set-user-id program",
                  [&] { return run_set_user_id(scene.get("setuid_program"), scene.is_control() && ::geteuid() == 0); });
  report.attempt("capset", set_all_capabilities);
  report.attempt("ambient", [] { return ::syscall(SYS_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_CHOWN, 0, 0); });
  report.attempt("securebits", [] { return ::syscall(SYS_prctl, PR_SET_SECUREBITS, 0, 0, 0, 0); });
  report.attempt("keep capabilities", [] { return ::syscall(SYS_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0); });
  report.attempt("setuid", [] { return ::syscall(SYS_setuid, 0); });
  report.attempt("setresuid", [] { return ::syscall(SYS_setresuid, 0, 0, 0); });
  report.attempt("setgid", [] { return ::syscall(SYS_setgid, 0); });
  report.attempt("setgroups", [] { return ::syscall(SYS_setgroups, 0, nullptr); });
  report.attempt("setfsuid", [] { return ::syscall(SYS_setfsuid, 0); });
}

// What the kernel itself says of the process; the driver knows what it should be.
void show_status(const Scene&, Report& report) {
  const std::string status = contents_of("/proc/self/status");
  for (const char* field : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid", "Gid",
                            "Groups", "NSpid", "TracerPid"}) {
    const std::string key = std::string("\n") + field + ":";
    const std::size_t at = status.find(key);
    if (at == std::string::npos) {
      report.say(field, "missing");
      continue;
    }
    std::string value = status.substr(at + key.size(), status.find('\n', at + 1) - at - key.size());
    for (char& letter : value) letter = letter == '\t' ? ' ' : letter;
    value.erase(0, value.find_first_not_of(' ') == std::string::npos ? value.size() : value.find_first_not_of(' '));
    report.say(field, value);
  }
}

constexpr Check kChecks[] = {
    {"K19", set_host_state},     {"K20", weaken_process}, {"K21", foreign_table}, {"K24", write_read_only_pages},
    {"K25", type_into_terminal}, {"K29", gain_privilege}, {"K30", show_status},
};

}  // namespace

std::span<const Check> privilege_checks() {
  return kChecks;
}

}  // namespace liongate::escape
