// Goal: what a plugin must not see or do, it does not, as root and as an unprivileged user, with and without `process`.
// Method: the program `hostile` commits one sin a verb and prints how it went.
#include <algorithm>
#include <catch2/catch.hpp>
#include <csignal>
#include <cstdio>
#include <set>
#include <sstream>

#include "launcher_harness.h"

using namespace liongate::sandbox;
using namespace liongate::sandbox::testing;

namespace {

enum class Process { kWithheld, kGranted };

Outcome commit(Launcher& launcher, std::vector<std::string> sin, Process process = Process::kWithheld) {
  LaunchRequest request = run_program("hostile", std::move(sin));
  request.allow_processes = process == Process::kGranted;
  return launcher.run(std::move(request));
}

std::set<std::string> lines_of(const std::string& text) {
  std::set<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.insert(line);
  return lines;
}

template <typename Check>
void for_each_user(Check check) {
  for (const User user : available_users()) {
    INFO(name_of(user));
    Launcher launcher(user);
    check(launcher);
  }
}

bool has_line(const std::string& text, const std::string& line) {
  return lines_of(text).contains(line);
}

}  // namespace

TEST_CASE("status: no capability in any set, no new privileges, a filter, no groups, no hidden user") {
  for_each_user([](Launcher& launcher) {
    const std::string status = commit(launcher, {"show", "/proc/self/status"}).out;
    INFO(status);
    for (const char* set : {"CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"}) {
      CHECK(has_line(status, std::string(set) + ":\t0000000000000000"));
    }
    CHECK(has_line(status, "NoNewPrivs:\t1"));
    CHECK(has_line(status, "Seccomp:\t2"));
    CHECK(has_line(status, "Uid:\t1000\t1000\t1000\t1000"));
    CHECK(has_line(status, "Gid:\t1000\t1000\t1000\t1000"));
    CHECK(has_line(status, "NSpid:\t2"));
    // Rootless the kernel forbids dropping groups; they show as unmapped. The test's own `nobody` has none.
    if (launcher.user() == User::kRoot) CHECK(commit(launcher, {"ids"}).out == "uid=1000 gid=1000 groups=0\n");
  });
}

TEST_CASE("only the five descriptors it was given") {
  for_each_user([](Launcher& launcher) {
    CHECK(commit(launcher, {"descriptors"}).out == "fd 0\nfd 1\nfd 2\nfd 3\nfd 4\n");
    LaunchRequest request = run_program("hostile", {"descriptors"});
    request.descriptor_count = 3;
    CHECK(launcher.run(request).out == "fd 0\nfd 1\nfd 2\n");
  });
}

TEST_CASE("no host file, no host process, no kernel setting") {
  for_each_user([](Launcher& launcher) {
    CHECK(lines_of(commit(launcher, {"list", "/"}).out) ==
          std::set<std::string>{".", "..", "dev", "plugin", "proc", "tmp"});
    CHECK(lines_of(commit(launcher, {"list", "/dev"}).out) == std::set<std::string>{".", "..", "fd", "full", "null",
                                                                                    "random", "shm", "stderr", "stdin",
                                                                                    "stdout", "urandom", "zero"});
    for (const char* path : {"/etc/shadow", "/root", "/home", "/proc/sys", "/proc/kcore", "/proc/1/environ",
                             "/proc/1/root", "/sys", "/proc/sysrq-trigger", "/proc/net/unix"}) {
      const std::string said = commit(launcher, {"open", path}).out;
      INFO(said);
      CHECK((said == std::string(path) + "=ENOENT\n" || said == std::string(path) + "=EACCES\n"));
    }
    for (const std::string& line : lines_of(commit(launcher, {"list", "/proc"}).out)) {
      const bool is_number = line.find_first_not_of("0123456789") == std::string::npos;
      CHECK((!is_number || line == "2"));
    }
  });
}

TEST_CASE("the mount table holds what was built and nothing else, all of it nosuid, all but our own read-only") {
  for_each_user([](Launcher& launcher) {
    std::istringstream table(commit(launcher, {"show", "/proc/self/mountinfo"}).out);
    const std::set<std::string> allowed{"/",         "/tmp",        "/dev/shm",     "/dev/null", "/dev/zero",
                                        "/dev/full", "/dev/random", "/dev/urandom", "/proc",     "/plugin"};
    std::set<std::string> seen;
    for (std::string line; std::getline(table, line);) {
      std::istringstream fields(line);
      std::string id, parent, device, root, place, options;
      fields >> id >> parent >> device >> root >> place >> options;
      INFO(line);
      seen.insert(place);
      CHECK(options.find("nosuid") != std::string::npos);
      CHECK(options.starts_with(place == "/tmp" || place == "/dev/shm" ? "rw" : "ro"));
      CHECK((place == "/plugin" || options.find("noexec") != std::string::npos));
      CHECK((place.starts_with("/dev/") || options.find("nodev") != std::string::npos));
      CHECK(line.find(" shared:") == std::string::npos);
    }
    CHECK(seen == allowed);
  });
}

TEST_CASE("doors into the kernel are shut") {
  for_each_user([](Launcher& launcher) {
    for (const Process process : {Process::kWithheld, Process::kGranted}) {
      const std::string said = commit(launcher, {"kernel"}, process).out;
      INFO(said);
      for (const char* call :
           {"unshare",         "clone_newuser",     "setns",       "mount",         "umount2",        "pivot_root",
            "chroot",          "open_tree",         "ptrace",      "bpf",           "keyctl",         "add_key",
            "perf_event_open", "open_by_handle_at", "seccomp",     "prctl_seccomp", "prctl_dumpable", "mknod",
            "sethostname",     "clock_settime",     "personality", "modify_ldt",    "setuid",         "capset",
            "core_limit"}) {
        CHECK(has_line(said, std::string(call) + "=EPERM"));
      }
      for (const char* call : {"clone3", "io_uring_setup", "userfaultfd", "process_vm_readv", "unknown"}) {
        CHECK(has_line(said, std::string(call) + "=ENOSYS"));
      }
      CHECK(has_line(said, "tiocsti=ENOTTY"));
      CHECK(has_line(said, "tiocsti_high=ENOTTY"));
    }
  });
}

TEST_CASE("no socket of any family; pairs of streams and packets only") {
  for_each_user([](Launcher& launcher) {
    const std::string said = commit(launcher, {"network"}).out;
    INFO(said);
    for (const char* family :
         {"family1", "family2", "family10", "family16", "family17", "family40", "family38", "raw", "pair_datagram"}) {
      CHECK(has_line(said, std::string(family) + "=EAFNOSUPPORT"));
    }
    CHECK(has_line(said, "pair_stream=ok"));
    CHECK(has_line(said, "pair_packet=ok"));
    CHECK(has_line(said, "connect=EPERM"));
  });
}

TEST_CASE("nothing is executed without `process`, whatever descriptor is used") {
  for_each_user([](Launcher& launcher) {
    const std::string said = commit(launcher, {"execution"}).out;
    INFO(said);
    for (const char* call : {"fork", "vfork_as_clone", "execve", "execveat", "execveat_empty", "execveat_dup"}) {
      CHECK(has_line(said, std::string(call) + "=EPERM"));
    }
    CHECK(has_line(said, "memfd=ENOSYS"));
    LaunchRequest shell = run_system_program("/bin/sh", {"sh", "-c", "ls / 2>&1; echo $?"});
    CHECK(launcher.run(shell).out.find("/") == std::string::npos);
  });
}

TEST_CASE("memory is writable or executable, not both, not one after the other") {
  for_each_user([](Launcher& launcher) {
    const std::string said = commit(launcher, {"memory"}).out;
    INFO(said);
    CHECK(has_line(said, "map_both=EACCES"));
    CHECK(has_line(said, "make_executable=EACCES"));
    CHECK(has_line(said, "open_own_memory=EROFS"));
    CHECK(has_line(said, "pkey_alloc=ENOSYS"));
    LaunchRequest jit = run_program("hostile", {"memory"});
    jit.allow_jit = true;
    const std::string with_jit = launcher.run(jit).out;
    CHECK(has_line(with_jit, "map_both=ok"));
    CHECK(has_line(with_jit, "make_executable=ok"));
  });
}

TEST_CASE("foreign call tables kill the process") {
  for_each_user([](Launcher& launcher) {
    for (const char* verb : {"i386", "x32"}) {
      const Exited exited = commit(launcher, {verb}).exited;
      CHECK(exited.kind == EndKind::kSignalled);
      CHECK(exited.signal == SIGSYS);
    }
  });
}

TEST_CASE("limits: defaults and what the request asks for") {
  for_each_user([](Launcher& launcher) {
    CHECK(has_line(commit(launcher, {"limits"}).out, "core=1"));
    LaunchRequest request = run_program("hostile", {"limits"});
    request.limits = {256U << 20, 7, 1U << 20, 12, 33, 0};
    const std::string said = launcher.run(request).out;
    INFO(said);
    // The hard limit: SIGXCPU comes at 7 s, SIGKILL a second later.
    for (const char* line : {"nofile=33", "nproc=13", "fsize=1048576", "memlock=65536", "as=268435456", "cpu=8"}) {
      CHECK(has_line(said, line));
    }
  });
}

TEST_CASE("bombs are bounded: temporary folders, processes, memory") {
  for_each_user([](Launcher& launcher) {
    LaunchRequest fill = run_program("hostile", {"fill", "/tmp"});
    fill.limits.tmp_bytes_max = 8U << 20;
    const std::string filled = launcher.run(fill).out;
    INFO(filled);
    CHECK(filled.find("mebibytes=8 ENOSPC") != std::string::npos);
    CHECK(filled.find("ENOSPC", filled.find("inodes=")) != std::string::npos);
    LaunchRequest bomb = run_program("hostile", {"fork_bomb"});
    bomb.allow_processes = true;
    bomb.limits.processes_max = 20;
    const Outcome bombed = launcher.run(bomb);
    INFO(bombed.out);
    CHECK(bombed.out.find("EAGAIN") != std::string::npos);
    LaunchRequest memory = run_program("hostile", {"eat_memory"});
    memory.limits.memory_bytes_max = 64U << 20;
    const std::string eaten = launcher.run(memory).out;
    CHECK(eaten.find("ENOMEM") != std::string::npos);
    CHECK(std::stoi(eaten.substr(eaten.find('=') + 1)) < 64);
  });
}

TEST_CASE(
    "a session of its own without a terminal, files for nobody else, first to go when memory runs out, bits locked") {
  for_each_user([](Launcher& launcher) {
    LaunchRequest request = run_system_program(
        "/bin/sh", {"sh", "-c", "umask; cut -d' ' -f6,7 /proc/self/stat; cat /proc/self/oom_score_adj"});
    request.allow_processes = true;
    CHECK(launcher.run(std::move(request)).out == "0077\n1 0\n500\n");
    // SECBIT_NOROOT, _NO_SETUID_FIXUP, _NO_CAP_AMBIENT_RAISE and the locks of all four.
    CHECK(commit(launcher, {"securebits"}).out == "securebits=ef\n");
  });
}

TEST_CASE("process numbers end where the sandbox's bound on processes does") {
  for_each_user([](Launcher& launcher) {
    LaunchRequest request = run_system_program(
        "/bin/sh", {"sh", "-c", "i=0; while [ $i -lt 400 ]; do i=$((i+1)); sh -c 'echo $$'; done | sort -n | tail -1"});
    request.allow_processes = true;
    request.limits.processes_max = 20;
    const Outcome outcome = launcher.run(std::move(request));
    REQUIRE(outcome.started);
    const auto row = std::ranges::find(outcome.started->posture, "process number limit", &Mechanism::name);
    REQUIRE(row != outcome.started->posture.end());
    if (row->state == "absent") {
      std::printf("skipped: process number limit: %s\n", row->detail.c_str());
      return;
    }
    const int highest = std::stoi(outcome.out);
    CHECK(highest > 300);
    CHECK(highest < 301 + 20);
  });
}

TEST_CASE("what the kernel says of speculation is what the posture says") {
  for_each_user([](Launcher& launcher) {
    const Outcome outcome = commit(launcher, {"show", "/proc/self/status"});
    REQUIRE(outcome.started);
    const auto row = std::ranges::find(outcome.started->posture, "speculation control", &Mechanism::name);
    REQUIRE(row != outcome.started->posture.end());
    const std::string key = "Speculation_Store_Bypass:\t";
    const auto begin = outcome.out.find(key);
    if (begin == std::string::npos) return;  // before Linux 4.17
    const std::string said = outcome.out.substr(begin + key.size(), outcome.out.find('\n', begin) - begin - key.size());
    INFO(said);
    CHECK((row->state == "not_applicable") == (said == "not vulnerable"));
    CHECK((row->state == "absent") == (said == "vulnerable" || said == "unknown"));
  });
}
