// Goal: what the filter denies is reported with its name and remedy before the program knows, whatever the program does
// to keep us from it. Method: real sandboxes whose programs do what is refused, once, often, from many threads.
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <thread>

#include "launcher_harness.h"
#include "sandbox/denial_listener.h"
#include "sandbox/seccomp_filter.h"

using namespace liongate::sandbox;
using namespace liongate::sandbox::testing;

namespace {

using Clock = std::chrono::steady_clock;

std::vector<Denied> denials_of(const Outcome& outcome, const std::string& call) {
  std::vector<Denied> found;
  for (const Denied& denied : outcome.denials) {
    if (denied.system_call == call) found.push_back(denied);
  }
  return found;
}

std::string state_of(const Outcome& outcome, const std::string& name) {
  for (const Mechanism& mechanism : outcome.started.value().posture) {
    if (mechanism.name == name) return mechanism.state;
  }
  return "not there";
}

long number_after(const std::string& text, const std::string& key) {
  const std::size_t at = text.find(key);
  return at == std::string::npos ? -1 : std::stol(text.substr(at + key.size()));
}

// A thread under a plugin's filter that makes refused calls when told to. Its listener is to be gone before it is.
class FilteredThread {
 public:
  FilteredThread() : thread_([this] { run(); }) {
    while (listener_ == kNone) std::this_thread::yield();
    REQUIRE(listener_ >= 0);
  }
  ~FilteredThread() {
    ended_ = true;
    thread_.join();
  }
  FilteredThread(const FilteredThread&) = delete;
  FilteredThread& operator=(const FilteredThread&) = delete;

  liongate::UniqueFd take_listener() { return liongate::UniqueFd(listener_); }
  pid_t thread_id() const { return thread_id_; }
  void make_calls(int count) { calls_ = count; }
  void await_calls() const {
    while (calls_ != 0) std::this_thread::yield();
  }

 private:
  static constexpr int kNone = -2;

  void run() {
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    thread_id_ = static_cast<pid_t>(::syscall(SYS_gettid));
    liongate::UniqueFd fd;
    listener_ = load_filter_with_listener(filter_for({}), fd) ? fd.release() : -1;
    while (!ended_) {
      if (calls_ <= 0) continue;
      ::syscall(SYS_mount, nullptr, nullptr, nullptr, 0, nullptr);
      if (calls_ > 0) --calls_;
    }
  }

  std::atomic<int> listener_{kNone};
  std::atomic<pid_t> thread_id_{0};
  std::atomic<int> calls_{0};
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

Clock::duration median_start(Launcher& launcher) {
  std::vector<Clock::duration> times;
  for (int round = 0; round < 15; ++round) {
    const auto begun = Clock::now();
    const auto running = launcher.launch(run_program("hostile", {"exit", "0"}));
    for (bool ended = false; !ended;) {
      const Report report = launcher.next_report();
      const auto* exited = std::get_if<Exited>(&report);
      ended = exited != nullptr && exited->launch_id == running.launch_id;
    }
    times.push_back(Clock::now() - begun);
  }
  std::ranges::nth_element(times, times.begin() + 7);
  return times[7];
}

}  // namespace

TEST_CASE("a denial names the call, what decided, the rule, the permission that would allow it and the errno") {
  struct Expected {
    const char* verb;
    const char* call;
    const char* arguments;
    const char* permission;
    int sys_errno;
  };
  const Expected expected[] = {{"execution", "execve", "", "process", EPERM},
                               {"execution", "execveat", "arg4=0x0", "process", EPERM},
                               {"execution", "clone", "arg0=0x4111", "process", EPERM},
                               {"execution", "memfd_create", "", "jit", ENOSYS},
                               {"memory", "mprotect", "arg2=0x5", "jit", EACCES},
                               {"network", "socket", "arg0=0x1, arg1=0x1", "", EAFNOSUPPORT},
                               {"network", "connect", "", "network", EPERM},
                               {"kernel", "mount", "", "", EPERM},
                               {"kernel", "ptrace", "", "", EPERM},
                               {"kernel", "ioctl", "arg1=0x5412", "", ENOTTY}};
  for (const User user : available_users()) {
    Launcher launcher(user);
    for (const Expected& it : expected) {
      const auto denials = denials_of(launcher.run(run_program("hostile", {it.verb})), it.call);
      INFO(name_of(user) << " " << it.call);
      REQUIRE_FALSE(denials.empty());
      CHECK(denials[0].arguments == it.arguments);
      CHECK(denials[0].permission == it.permission);
      CHECK(denials[0].answer_errno == it.sys_errno);
      CHECK(denials[0].rule.size() > 4);
      CHECK(denials[0].count == 1);
      CHECK(denials[0].denial_id != 0);
    }
  }
}

TEST_CASE("what is absent is not reported, nor what every C library asks at its start") {
  Launcher launcher(available_users().front());
  const Outcome outcome = launcher.run(run_program("hostile", {"kernel"}));
  for (const char* call : {"clone3", "io_uring_setup", "userfaultfd", "process_vm_readv"}) {
    CHECK(denials_of(outcome, call).empty());
  }
  CHECK(launcher.run(run_program("hostile", {"exit", "0"})).denials.empty());
}

TEST_CASE("the program sees its errno only after the event was recorded") {
  for (const User user : available_users()) {
    Launcher launcher(user);
    launcher.answers_denials = false;
    auto running = launcher.launch(run_program("denied", {"wait"}));
    CHECK(std::holds_alternative<Started>(launcher.next_report()));
    char text[64]{};
    CHECK(::read(running.output.get(), text, sizeof text) == 7);
    CHECK(std::string(text) == "before\n");
    const Denied denied = launcher.next_denial();
    pollfd output{running.output.get(), POLLIN, 0};
    CHECK(::poll(&output, 1, 200) == 0);
    launcher.record(denied);
    const Outcome outcome = launcher.finish(std::move(running));
    CHECK(outcome.out == "EPERM\n");
    CHECK(outcome.denials.size() == 1);
  }
}

TEST_CASE("a program that waits for its errno can be killed") {
  Launcher launcher(available_users().front());
  launcher.answers_denials = false;
  auto running = launcher.launch(run_program("denied", {"wait"}));
  CHECK(std::holds_alternative<Started>(launcher.next_report()));
  char text[64];
  CHECK(::read(running.output.get(), text, sizeof text) == 7);
  const Denied denied = launcher.next_denial();
  launcher.kill_launch(running.launch_id);
  CHECK(launcher.finish(std::move(running)).exited.signal == SIGKILL);
  // Its denial is recorded after all: an id that nobody waits for any more.
  launcher.record(denied);
  CHECK(launcher.run(run_program("hostile", {"exit", "3"})).exited.exit_code == 3);
}

TEST_CASE("of each call the first denial is reported, the others are counted and told at the end") {
  Launcher launcher(available_users().front());
  const Outcome outcome = launcher.run(run_program("denied", {"repeat", "50"}));
  const auto denials = denials_of(outcome, "mount");
  REQUIRE(denials.size() == 2);
  CHECK(denials[0].count == 1);
  CHECK(denials[1].count == 49);
  CHECK(denials[1].denial_id == 0);
}

TEST_CASE("kinds of denials differ by what decided; there is a bound on them, and then the call alone is the kind") {
  Launcher launcher(available_users().front());
  const auto by_family = denials_of(launcher.run(run_program("hostile", {"network"})), "socket");
  CHECK(by_family.size() == 8);  // seven families, and one of them with another type
  const Outcome outcome = launcher.run(run_program("denied", {"kinds", "500"}));
  const auto denials = denials_of(outcome, "ioctl");
  std::uint64_t told = 0;
  for (const Denied& denied : denials) told += denied.count;
  CHECK(told == 500);
  CHECK(denials.size() == kDenialKindsMax + 2);  // the first of the rest, and the number of them
}

TEST_CASE("a flood of refused calls makes the flooder sleep, not its neighbours wait") {
  for (const User user : available_users()) {
    Launcher launcher(user);
    const auto quiet = median_start(launcher);
    constexpr int kThreads = 16;
    constexpr int kFloodMs = 1'500;
    std::vector<Launcher::Running> flooders;
    for (int index = 0; index < 3; ++index) {
      flooders.push_back(
          launcher.launch(run_program("denied", {"flood", std::to_string(kThreads), std::to_string(kFloodMs)})));
    }
    for (int index = 0; index < 3; ++index) CHECK(std::holds_alternative<Started>(launcher.next_report()));
    const auto flooded = median_start(launcher);
    INFO("start " << quiet.count() / 1000 << " us, while flooded " << flooded.count() / 1000 << " us");
    CHECK(flooded < quiet * 3 + std::chrono::milliseconds(5));
    for (auto& flooder : flooders) {
      char text[64]{};
      std::string said;
      for (ssize_t got = 0; (got = ::read(flooder.output.get(), text, sizeof text)) > 0;) {
        said.append(text, static_cast<std::size_t>(got));
      }
      INFO(said);
      // A slice's share, and one delayed answer a thread, in each slice; some may not have had theirs.
      const long slices = kFloodMs / kDenialSlice.count() + 2;
      CHECK(number_after(said, "answered=") > 0);
      CHECK(number_after(said, "answered=") <= slices * (kDenialsPerSliceMax + kThreads));
    }
  }
}

TEST_CASE("all sandboxes together have a budget of refused calls, too") {
  DenialBudget budget(3);
  const SteadyTime now = Clock::now();
  for (int call = 0; call < 3; ++call) CHECK(budget.take(now));
  CHECK_FALSE(budget.take(now));
  CHECK_FALSE(budget.take(now + kDenialSlice / 2));
  CHECK(budget.take(now + kDenialSlice));
}

// In the launcher it takes hours to get there, so here is a listener with a lower bound.
TEST_CASE("interrupted refused calls are counted, and are abuse beyond a bound") {
  struct sigaction action {};
  action.sa_handler = [](int) {};
  action.sa_flags = SA_RESTART;
  REQUIRE(::sigaction(SIGUSR1, &action, nullptr) == 0);
  FilteredThread victim;
  std::atomic<bool> done{false};
  std::thread interrupter([&] {
    while (!done) ::syscall(SYS_tgkill, ::getpid(), victim.thread_id(), SIGUSR1);
  });
  DenialListener denials(victim.take_listener(), 1, {}, 2);
  DenialBudget of_all(1'000'000);
  victim.make_calls(1'000'000);
  const auto give_up = Clock::now() + std::chrono::seconds(30);
  while (!denials.is_abused() && Clock::now() < give_up) {
    pollfd readable{denials.fd(), POLLIN, 0};
    if (::poll(&readable, 1, 10) == 1) {
      const auto denied = denials.take(Clock::now(), of_all, DenialListener::MayReport::kYes);
      if (denied) denials.on_recorded(denied->denial_id);
    }
    denials.expire(Clock::now(), DenialListener::MayReport::kYes);
  }
  CHECK(denials.is_abused());
  done = true;
  interrupter.join();
  victim.make_calls(0);
}  // without listener the refused call that waits is ENOSYS

TEST_CASE("the window doubles while a program goes on, and begins anew after a pause") {
  using std::chrono::seconds;
  FilteredThread thread;
  DenialListener denials(thread.take_listener(), 1, {});
  DenialBudget of_all(1'000);
  const SteadyTime begin = Clock::now();
  const auto deny_at = [&](seconds when, DenialListener::MayReport may_report = DenialListener::MayReport::kYes) {
    thread.make_calls(1);
    pollfd readable{denials.fd(), POLLIN, 0};
    REQUIRE(::poll(&readable, 1, 5'000) == 1);
    const auto denied = denials.take(begin + when, of_all, may_report);
    if (denied) denials.on_recorded(denied->denial_id);
    thread.await_calls();
    return denied.has_value();
  };
  const auto told_at = [&](seconds when) {
    std::uint64_t count = 0;
    for (const Denied& denied : denials.expire(begin + when, DenialListener::MayReport::kYes)) count += denied.count;
    return count;
  };
  CHECK(deny_at(seconds(0)));
  CHECK_FALSE(denials.deadline().has_value());
  CHECK_FALSE(deny_at(seconds(1)));
  CHECK_FALSE(deny_at(seconds(2)));
  CHECK(denials.deadline() == begin + kDenialWindow);
  CHECK(told_at(seconds(59)) == 0);
  CHECK(told_at(seconds(60)) == 2);
  CHECK_FALSE(deny_at(seconds(61)));
  CHECK(told_at(seconds(179)) == 0);
  CHECK(told_at(seconds(180)) == 1);
  // Two minutes more than the four that the window has: a new beginning. The daemon is far behind, so it is counted.
  CHECK_FALSE(deny_at(seconds(180 + 480 + 1), DenialListener::MayReport::kNo));
  CHECK(told_at(seconds(180 + 480 + 61)) == 1);
  seconds at(10'000);
  for (int round = 0; round < 10; ++round) {
    deny_at(at);
    deny_at(at);
    at = std::chrono::duration_cast<seconds>(denials.deadline().value() - begin);
    CHECK(told_at(at) > 0);
  }
  deny_at(at);
  CHECK(denials.deadline().value() - (begin + at) == kDenialWindowMax);
}

TEST_CASE("a call by another ABI kills, and that is a denial") {
  Launcher launcher(available_users().front());
  for (const char* verb : {"i386", "x32"}) {
    const Outcome outcome = launcher.run(run_program("hostile", {verb}));
    CHECK(outcome.exited.signal == SIGSYS);
    REQUIRE(outcome.denials.size() == 1);
    CHECK(outcome.denials[0].system_call.empty());
    CHECK(outcome.denials[0].rule.find("another ABI") != std::string::npos);
  }
}

TEST_CASE("a plugin with as few open files as it was given has a listener all the same") {
  Launcher launcher(available_users().front());
  LaunchRequest request = run_program("denied", {"wait"});
  request.limits.open_files_max = 5;
  const Outcome outcome = launcher.run(request);
  CHECK(outcome.out == "before\nEPERM\n");
  CHECK(outcome.denials.size() == 1);
}

// A filter takes one listener in a chain of filters. Who runs under a supervisor already (some containers do) gets
// none; this is such a place, for one thread and what it starts.
TEST_CASE("where no listener is to be had, calls are refused silently and the posture says so") {
  std::thread place([] {
    sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
    const sock_fprog program{1, &allow};
    ::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    const liongate::UniqueFd above(
        static_cast<int>(::syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_NEW_LISTENER, &program)));
    REQUIRE(above.valid());
    Launcher launcher(available_users().front());
    const Outcome outcome = launcher.run(run_program("hostile", {"execution"}));
    CHECK(outcome.out.find("execve=EPERM") != std::string::npos);
    CHECK(outcome.out.find("memfd=ENOSYS") != std::string::npos);
    CHECK(outcome.denials.empty());
    CHECK(state_of(outcome, "denial reports") == "absent");
  });
  place.join();
  Launcher launcher(available_users().front());
  CHECK(state_of(launcher.run(run_program("hostile", {"exit", "0"})), "denial reports") == "active");
}
