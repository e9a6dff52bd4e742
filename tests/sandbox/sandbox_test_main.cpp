// Runs the sandbox tests, or says why this host cannot and exits with 77, which ctest reports as a skip. Behind each
// test case there is a census: no process and no mount of it may be left.
#define CATCH_CONFIG_RUNNER
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "sandbox/host_check.h"

namespace {

constexpr int kSkipped = 77;
constexpr int kLeftBehind = 1;
constexpr int kTriesMax = 200;
constexpr unsigned kTryUs = 10'000;

bool g_left_behind = false;  // the listener's word to main: Catch2 takes no failure from a listener

// Our children, however their parents died: this process is a subreaper.
std::string children() {
  while (::waitpid(-1, nullptr, WNOHANG) > 0) {
  }
  std::ifstream file("/proc/self/task/" + std::to_string(::getpid()) + "/children");
  std::string line;
  std::getline(file, line);
  return line;
}

// In our own mount namespace nothing of a sandbox may ever show; other runs mount elsewhere than there.
std::string mounts_at_sandbox_places() {
  std::ifstream file("/proc/self/mountinfo");
  std::string found;
  for (std::string line; std::getline(file, line);) {
    std::istringstream words(line);
    std::string id;
    std::string parent;
    std::string device;
    std::string root;
    std::string place;
    words >> id >> parent >> device >> root >> place;
    if (place == "/" || place == "/proc" || place == "/tmp" || place == "/dev/shm") found += place + " ";
  }
  return found;
}

class Census : public Catch::TestEventListenerBase {
 public:
  using TestEventListenerBase::TestEventListenerBase;

  void testCaseStarting(const Catch::TestCaseInfo&) override { mounts_before_ = mounts_at_sandbox_places(); }

  void testCaseEnded(const Catch::TestCaseStats& test) override {
    std::string left = children();
    for (int tries = 0; !left.empty() && tries < kTriesMax; ++tries) {
      ::usleep(kTryUs);
      left = children();
    }
    if (!left.empty()) left = "processes " + left;
    if (const std::string mounts = mounts_at_sandbox_places(); mounts != mounts_before_) left += "mounts at " + mounts;
    if (left.empty()) return;
    g_left_behind = true;
    std::printf("left behind by \"%s\": %s\n", test.testInfo.name.c_str(), left.c_str());
  }

 private:
  std::string mounts_before_;
};
CATCH_REGISTER_LISTENER(Census)

}  // namespace

int main(int count, char** arguments) {
  using namespace liongate::sandbox;
  for (const HostMechanism& mechanism : check_host(find_host_facts("")).mechanisms) {
    if (!mechanism.mandatory || mechanism.available || mechanism.name == "ordinary groups") continue;
    std::printf("skipped: this host lacks %s (%s)\n", mechanism.name.c_str(), mechanism.reason.c_str());
    return kSkipped;
  }
  if (::prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) return kLeftBehind;
  const int failed = Catch::Session().run(count, arguments);
  return failed == 0 && g_left_behind ? kLeftBehind : failed;
}
