// A plugin that does what its filter refuses, in numbers: `denied VERB [ARGUMENT...]`.
//
//   wait                  makes one refused call; a word before it and the errno's name after it
//   repeat COUNT          COUNT refused calls, one after the other; prints the mean time of one
//   kinds COUNT           COUNT refused calls, each with another argument that decides
//   flood THREADS MS      refused calls from THREADS threads for MS milliseconds; prints how many were answered
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <thread>
#include <vector>

namespace {

using Clock = std::chrono::steady_clock;

long refused_call() {
  return ::syscall(SYS_mount, nullptr, nullptr, nullptr, 0, nullptr);
}

void say(const std::string& line) {
  std::puts(line.c_str());
  std::fflush(stdout);
}

void wait_for_one() {
  say("before");
  say(refused_call() == 0 ? "ok" : ::strerrorname_np(errno));
}

void repeat(int count) {
  const auto begun = Clock::now();
  for (int call = 0; call < count; ++call) refused_call();
  const auto spent = std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - begun);
  say("ns_each=" + std::to_string(spent.count() / count));
}

void kinds(int count) {
  for (int kind = 0; kind < count; ++kind) ::syscall(SYS_ioctl, 0, 0x10000 + kind, nullptr);
}

void flood(int threads, int milliseconds) {
  std::atomic<long> answered{0};
  const auto end = Clock::now() + std::chrono::milliseconds(milliseconds);
  std::vector<std::thread> flooders;
  say("flooding");
  for (int index = 0; index < threads; ++index) {
    flooders.emplace_back([&] {
      while (Clock::now() < end) {
        refused_call();
        ++answered;
      }
    });
  }
  for (std::thread& flooder : flooders) flooder.join();
  say("answered=" + std::to_string(answered.load()));
}

}  // namespace

int main(int count, char** arguments) {
  const std::string verb = count > 1 ? arguments[1] : "";
  const auto number = [&](int index) { return index < count ? std::atoi(arguments[index]) : 1; };
  if (verb == "wait") wait_for_one();
  if (verb == "repeat") repeat(number(2));
  if (verb == "kinds") kinds(number(2));
  if (verb == "flood") flood(number(2), number(3));
  return 0;
}
