// Measures a start: from sending the launch to the Started report, and to the end of a static program that exits.
// Not part of the tests: sandbox_start_test "[latency]"
#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "launcher_harness.h"

using namespace liongate::sandbox;
using namespace liongate::sandbox::testing;

namespace {

using Clock = std::chrono::steady_clock;

double microseconds_since(Clock::time_point begin) {
  return std::chrono::duration<double, std::micro>(Clock::now() - begin).count();
}

double at(std::vector<double>& values, double share) {
  std::ranges::sort(values);
  return values.at(static_cast<std::size_t>(share * static_cast<double>(values.size() - 1)));
}

void measure(User user, int count) {
  Launcher launcher(user);
  std::vector<double> starts, ends;
  std::map<std::string, std::vector<double>> steps;
  for (int index = 0; index < count; ++index) {
    const auto begin = Clock::now();
    const auto running = launcher.launch(run_program("hostile", {"exit", "0"}));
    const Report report = launcher.next_report();
    starts.push_back(microseconds_since(begin));
    launcher.next_report();
    ends.push_back(microseconds_since(begin));
    for (const StepTime& step : std::get<Started>(report).steps) steps[step.step].push_back(step.duration_us);
  }
  std::printf("%s: started p50 %.0f us, p99 %.0f us; ended p50 %.0f us, p99 %.0f us (%d starts)\n", name_of(user),
              at(starts, 0.5), at(starts, 0.99), at(ends, 0.5), at(ends, 0.99), count);
  for (auto& [step, values] : steps) std::printf("  %6.0f us  %s\n", at(values, 0.5), step.c_str());
}

}  // namespace

TEST_CASE("start latency", "[.latency]") {
  constexpr int kStarts = 200;
  for (const User user : available_users()) measure(user, kStarts);
}
