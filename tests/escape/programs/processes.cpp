// P01 to P10 and F25: signals, other processes' memory and queues, bombs, and outliving the end.
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <ctime>
#include <vector>

#include "tests/escape/programs/attempt.h"

extern char** environ;

namespace liongate::escape {
namespace {

void signal_others(const Scene& scene, Report& report) {
  report.attempt("parent", [] { return ::syscall(SYS_kill, ::getppid(), SIGKILL); });
  report.attempt("init", [] { return ::syscall(SYS_kill, 1, SIGKILL); });
  report.attempt("sibling", [&] { return ::syscall(SYS_kill, scene.number("sibling_pid", 0x7ffffff), 0); });
  report.attempt("daemon", [&] { return ::syscall(SYS_kill, scene.number("daemon_pid", 0x7ffffff), 0); });
  report.attempt("by queue", [&] {
    siginfo_t info{};
    info.si_code = SI_QUEUE;
    return ::syscall(SYS_rt_sigqueueinfo, scene.number("sibling_pid", 0x7ffffff), SIGTERM, &info);
  });
  report.attempt("by thread", [&] { return ::syscall(SYS_tkill, scene.number("sibling_pid", 0x7ffffff), 0); });
  report.attempt("by pidfd", [&] { return ::syscall(SYS_pidfd_open, scene.number("sibling_pid", 0x7ffffff), 0); });
  // A file whose owner may be named: the kernel then sends SIGIO to it.
  report.attempt("by F_SETOWN", [&] {
    std::array<int, 2> pipe{};
    if (::pipe(pipe.data()) != 0) return -1;
    return ::fcntl(pipe[0], F_SETOWN, static_cast<int>(scene.number("sibling_pid", 0x7ffffff)));
  });
  // Last: what it may reach is itself and its own children.
  report.describe("everybody", [] {
    const pid_t child = ::fork();
    if (child == 0) {
      for (;;) ::pause();
    }
    const std::string outcome = outcome_of(::syscall(SYS_kill, -1, SIGKILL));
    if (child < 0) return outcome;
    ::waitpid(child, nullptr, 0);
    return "own child killed, " + outcome;
  });
}

void share_memory_with_sibling(const Scene&, Report& report) {
  report.attempt("shmget", [] { return ::syscall(SYS_shmget, 0x11063a7e, 4096, 01600); });
  report.attempt("semget", [] { return ::syscall(SYS_semget, 0x11063a7e, 1, 01600); });
  report.attempt("msgget", [] { return ::syscall(SYS_msgget, 0x11063a7e, 01600); });
  report.attempt("mq_open", [] { return ::syscall(SYS_mq_open, "liongate-escape", O_CREAT | O_RDWR, 0600, nullptr); });
  report.describe("shared folder", [] { return opens("/dev/shm/liongate-escape", O_RDWR); });
}

void bomb_with_processes(const Scene& scene, Report& report) {
  report.describe("forks", [&] {
    std::vector<pid_t> children;
    const long wanted = scene.number("forks_max", 5000);
    pid_t child = 0;
    while (static_cast<long>(children.size()) < wanted && (child = ::fork()) >= 0) {
      if (child == 0) {
        for (;;) ::pause();
      }
      children.push_back(child);
    }
    const std::string why = child < 0 ? outcome_of(-1) : "not refused";
    for (const pid_t made : children) ::kill(made, SIGKILL);
    for (const pid_t made : children) ::waitpid(made, nullptr, 0);
    return std::to_string(children.size()) + ": " + why;
  });
}

void* wait_to_end(void* lock) {
  ::pthread_mutex_lock(static_cast<pthread_mutex_t*>(lock));
  ::pthread_mutex_unlock(static_cast<pthread_mutex_t*>(lock));
  return nullptr;
}

void bomb_with_threads(const Scene& scene, Report& report) {
  report.describe("threads", [&] {
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    ::pthread_mutex_lock(&lock);
    pthread_attr_t small;
    ::pthread_attr_init(&small);
    ::pthread_attr_setstacksize(&small, 16384);
    std::vector<pthread_t> threads;
    const long wanted = scene.number("forks_max", 5000);
    int failed = 0;
    for (pthread_t thread{}; static_cast<long>(threads.size()) < wanted;) {
      failed = ::pthread_create(&thread, &small, wait_to_end, &lock);
      if (failed != 0) break;
      threads.push_back(thread);
    }
    ::pthread_mutex_unlock(&lock);
    for (const pthread_t thread : threads) ::pthread_join(thread, nullptr);
    errno = failed;
    return std::to_string(threads.size()) + ": " + (failed != 0 ? outcome_of(-1) : "not refused");
  });
}

// The grandchild is in a session of its own and deaf to what can be ignored. It is left running.
void outlive(const Scene&, Report& report) {
  report.describe("orphan", [] {
    std::array<int, 2> pipe{};
    if (::pipe(pipe.data()) != 0) return outcome_of(-1);
    const pid_t child = ::fork();
    if (child < 0) return outcome_of(-1);
    if (child == 0) {
      ::setsid();
      if (::fork() == 0) {
        for (int number = 1; number < 32; ++number) ::signal(number, SIG_IGN);
        for (int fd = 0; fd < 64; ++fd) {
          if (fd != pipe[1]) ::close(fd);
        }
        const char alive = 'a';
        if (::write(pipe[1], &alive, 1) != 1) ::_exit(1);
        ::close(pipe[1]);
        for (;;) ::pause();
      }
      ::_exit(0);
    }
    ::waitpid(child, nullptr, 0);
    ::close(pipe[1]);
    char alive = 0;
    const bool said = ::read(pipe[0], &alive, 1) == 1;
    ::close(pipe[0]);
    return std::string(said ? "left running" : "nothing left");
  });
}

// Never answers: the driver unloads the plugin and looks how long that took. A control asks whether it stops.
void stop_itself(const Scene& scene, Report& report) {
  for (int number = 1; number < 32; ++number) ::signal(number, SIG_IGN);
  if (!scene.is_control()) {
    ::raise(SIGSTOP);
    for (;;) ::pause();
  }
  report.describe("stop", [] {
    const pid_t child = ::fork();
    if (child == 0) {
      ::raise(SIGSTOP);
      ::_exit(0);
    }
    int status = 0;
    ::waitpid(child, &status, WUNTRACED);
    const bool stopped = WIFSTOPPED(status);
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    return std::string(stopped ? "stopped" : "ran on");
  });
}

void exhaust_descriptors(const Scene& scene, Report& report) {
  report.attempt("raise the limit", [] {
    const rlimit more{1 << 20, 1 << 20};
    return ::syscall(SYS_prlimit64, 0, RLIMIT_NOFILE, &more, nullptr);
  });
  report.describe("descriptors", [&] {
    std::vector<int> open;
    const long wanted = scene.number("descriptors_max", 100'000);
    int fd = 0;
    while (static_cast<long>(open.size()) < wanted && (fd = ::open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
      open.push_back(fd);
    }
    const std::string why = fd < 0 ? outcome_of(-1) : "not refused";
    for (const int one : open) ::close(one);
    return std::to_string(open.size()) + ": " + why;
  });
}

// Touches what it takes, a mebibyte at a time.
void bomb_with_memory(const Scene& scene, Report& report) {
  report.describe("memory", [&] {
    constexpr std::size_t kStep = 1 << 20;
    const long wanted = scene.number("mebibytes_max", 512);
    const int flags = (scene.get("variant") == "shared" ? MAP_SHARED : MAP_PRIVATE) | MAP_ANONYMOUS;
    std::vector<void*> taken;
    while (static_cast<long>(taken.size()) < wanted) {
      void* step = ::mmap(nullptr, kStep, PROT_READ | PROT_WRITE, flags, -1, 0);
      if (step == MAP_FAILED) break;
      std::memset(step, 1, kStep);
      taken.push_back(step);
    }
    const std::string why = static_cast<long>(taken.size()) < wanted ? outcome_of(-1) : "not refused";
    for (void* step : taken) ::munmap(step, kStep);
    return std::to_string(taken.size()) + " MiB: " + why;
  });
}

void take_processor(const Scene&, Report& report) {
  const sched_param first{1};
  for (const auto& [name, policy] : {std::pair{"FIFO", SCHED_FIFO}, {"RR", SCHED_RR}}) {
    const int wanted = policy;
    report.attempt(name, [&] { return ::syscall(SYS_sched_setscheduler, 0, wanted, &first); });
    report.attempt(std::string(name) + ", reset on fork",
                   [&] { return ::syscall(SYS_sched_setscheduler, 0, wanted | SCHED_RESET_ON_FORK, &first); });
  }
  report.attempt("DEADLINE", [] {
    struct Attributes {
      std::uint32_t size = 48, policy = 6;
      std::uint64_t flags = 0;
      std::int32_t nice = 0;
      std::uint32_t priority = 0;
      std::uint64_t runtime = 10'000'000, deadline = 30'000'000, period = 30'000'000;
    } attributes;
    return ::syscall(SYS_sched_setattr, 0, &attributes, 0);
  });
  report.attempt("nice -20", [] { return ::syscall(SYS_setpriority, PRIO_PROCESS, 0, -20); });
  report.attempt("nice -20 for its user", [] { return ::syscall(SYS_setpriority, PRIO_USER, 0, -20); });
  report.attempt("ioprio", [] { return ::syscall(SYS_ioprio_set, 1, 0, 1 << 13); });
  report.attempt("mempolicy", [] { return ::syscall(SYS_set_mempolicy, 0, nullptr, 0); });
  report.describe("spin", [] {
    timespec begin{}, now{};
    ::clock_gettime(CLOCK_MONOTONIC, &begin);
    do {
      ::clock_gettime(CLOCK_MONOTONIC, &now);
    } while ((now.tv_sec - begin.tv_sec) * 1000 + (now.tv_nsec - begin.tv_nsec) / 1'000'000 < 300);
    return std::string("spun");
  });
}

void start_programs(const Scene& scene, Report& report) {
  report.describe("fork", [] {
    const pid_t child = static_cast<pid_t>(::syscall(SYS_fork));
    if (child == 0) ::_exit(0);
    if (child < 0) return outcome_of(-1);
    ::waitpid(child, nullptr, 0);
    return std::string("ok");
  });
  report.attempt("clone", [] {
    const long child = ::syscall(SYS_clone, SIGCHLD, nullptr, nullptr, nullptr, nullptr);
    if (child == 0) ::_exit(0);
    return child;
  });
  // A thread by its flags, but without sharing the thread group.
  report.attempt("clone, almost a thread", [] {
    const long child = ::syscall(SYS_clone, SIGCHLD | CLONE_FS | CLONE_FILES, nullptr, nullptr, nullptr, nullptr);
    if (child == 0) ::_exit(0);
    return child;
  });
  const std::string program = scene.is_control() ? "/proc/self/exe" : "/plugin/escape";
  static char* const kArguments[] = {const_cast<char*>("escape"), const_cast<char*>("who"), nullptr};
  // In a control this replaces the attempt's own child, which then says its user on stdout and nothing here.
  const auto executed = [&](const std::function<void()>& execute) {
    if (scene.is_control()) ::close(1);
    execute();
    return outcome_of(-1);
  };
  report.describe("execve",
                  [&] { return executed([&] { ::syscall(SYS_execve, program.c_str(), kArguments, environ); }); });
  report.describe("execveat by descriptor", [&] {
    return executed([&] {
      const int fd = ::open(program.c_str(), O_RDONLY | O_CLOEXEC);
      // On every number that the launcher's own descriptor may have had.
      for (int place = 5; place < 32; ++place) ::dup2(fd, place);
      for (int place = 5; place < 32; ++place) {
        ::syscall(SYS_execveat, place, "", kArguments, environ, AT_EMPTY_PATH);
      }
    });
  });
  report.describe("threads", [] {
    pthread_t thread{};
    errno = ::pthread_create(
        &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr);
    if (errno != 0) return outcome_of(-1);
    ::pthread_join(thread, nullptr);
    return std::string("ok");
  });
}

constexpr Check kChecks[] = {
    {"F25", start_programs},      {"P01", signal_others},       {"P02", share_memory_with_sibling},
    {"P03", bomb_with_processes}, {"P04", bomb_with_threads},   {"P05", outlive},
    {"P06", stop_itself},         {"P07", exhaust_descriptors}, {"P08", bomb_with_memory},
    {"P10", take_processor},
};

}  // namespace

std::span<const Check> process_checks() {
  return kChecks;
}

}  // namespace liongate::escape
