// echo: returns its input unchanged, as fast as a plugin can; what the benchmarks call.
//
// Operations: "" (echo), "sleep" (the input is milliseconds; waits, honouring a cancel), "spin" (the input is
// milliseconds of CPU time to burn). Echoes run on the reading thread, many in one read and one write; the other two
// run on threads beside it, so that they measure concurrency and disturb no echo.
#include <liongate/plugin.h>

#include <charconv>
#include <chrono>
#include <condition_variable>
#include <ctime>
#include <mutex>
#include <stop_token>
#include <string_view>

using namespace liongate::plugin;

namespace {

constexpr std::uint32_t kConcurrency = 64;
constexpr int kDurationMsMax = 60 * 60 * 1000;

// The input as a number of milliseconds; throws a Failure when it is none.
std::chrono::milliseconds duration_of(std::string_view input) {
  int duration_ms = 0;
  const auto [end, error] = std::from_chars(input.data(), input.data() + input.size(), duration_ms);
  if (error != std::errc{} || end != input.data() + input.size() || duration_ms < 0 || duration_ms > kDurationMsMax) {
    throw Failure{.code = "BAD_INPUT", .message = "the input is not a number of milliseconds"};
  }
  return std::chrono::milliseconds(duration_ms);
}

Outcome sleep_as_told(Call& call) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, call.stop_token(), duration_of(call.input()), [] { return false; });
  if (call.cancelled()) return Failure{.code = "CANCELLED", .message = "cancelled while asleep"};
  return call.input();
}

std::chrono::nanoseconds thread_cpu_time() {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return std::chrono::seconds(now.tv_sec) + std::chrono::nanoseconds(now.tv_nsec);
}

Outcome spin_as_told(Call& call) {
  const auto end = thread_cpu_time() + duration_of(call.input());
  while (thread_cpu_time() < end && !call.cancelled()) {
  }
  return call.input();
}

Outcome echo(Call& call) {
  if (call.input_is_data()) return Data{call.take_input()};
  return call.take_input();
}

}  // namespace

int main() {
  Plugin plugin({.name = "echo", .version = "0.1.0", .concurrency = kConcurrency});
  plugin.on("", echo, Pace::kQuick).on("sleep", sleep_as_told).on("spin", spin_as_told);
  return plugin.run();
}
