// Goal: a crashed plugin is started again after a doubling wait, and not for ever. Time and chance are the test's.
#include "kernel/supervision/restart_policy.h"

#include <catch2/catch.hpp>

using namespace liongate;
using namespace std::chrono_literals;
using supervision::RestartPolicy;

namespace {

constexpr double kNoJitter = 0.5;  // the middle of the range
const MonotonicTime kStart = MonotonicTime{} + 1h;

// Crashes that are far enough apart not to count together.
std::int64_t wait_ms(RestartPolicy& policy, MonotonicTime& now, double jitter = kNoJitter) {
  now += 61s;
  const auto wait = policy.on_crash(now, std::nullopt, jitter);
  REQUIRE(wait.has_value());
  return wait->count();
}

}  // namespace

TEST_CASE("the wait begins at its minimum and doubles to its maximum") {
  RestartPolicy policy;
  MonotonicTime now = kStart;
  std::int64_t expected = limits::kRestartBackoffMsMin;
  for (int i = 0; i < 15; ++i) {
    CHECK(wait_ms(policy, now) == expected);
    expected = std::min<std::int64_t>(2 * expected, limits::kRestartBackoffMsMax);
  }
  CHECK(expected == limits::kRestartBackoffMsMax);
}

TEST_CASE("the jitter is at most a fifth either way") {
  MonotonicTime now = kStart;
  for (const double jitter : {0.0, 0.25, 0.5, 0.75, 0.999999}) {
    RestartPolicy policy;
    const std::int64_t wait = wait_ms(policy, now, jitter);
    CHECK(wait >= limits::kRestartBackoffMsMin * 8 / 10);
    CHECK(wait <= limits::kRestartBackoffMsMin * 12 / 10);
  }
  RestartPolicy low;
  RestartPolicy high;
  CHECK(wait_ms(low, now, 0.0) < wait_ms(high, now, 0.999));
}

TEST_CASE("more crashes within a minute than the bound: it gives up") {
  RestartPolicy policy;
  for (int i = 0; i < limits::kRestartsPerMinuteMax; ++i) {
    CHECK(policy.on_crash(kStart + i * 10s, std::nullopt, kNoJitter).has_value());
  }
  CHECK_FALSE(policy.on_crash(kStart + 50s, std::nullopt, kNoJitter).has_value());
}

TEST_CASE("crashes older than a minute do not count") {
  RestartPolicy policy;
  for (int i = 0; i < limits::kRestartsPerMinuteMax; ++i) {
    CHECK(policy.on_crash(kStart + i * 1s, std::nullopt, kNoJitter).has_value());
  }
  CHECK(policy.on_crash(kStart + 70s, std::nullopt, kNoJitter).has_value());
}

TEST_CASE("ten minutes of health bring the wait back to its beginning") {
  RestartPolicy policy;
  MonotonicTime now = kStart;
  for (int i = 0; i < 4; ++i) wait_ms(policy, now);
  const MonotonicTime started = now;
  CHECK(policy.on_crash(started + 10min, started, kNoJitter)->count() == limits::kRestartBackoffMsMin);
}

TEST_CASE("a shorter health does not") {
  RestartPolicy policy;
  MonotonicTime now = kStart;
  wait_ms(policy, now);
  const MonotonicTime started = now;
  CHECK(policy.on_crash(started + 9min, started, kNoJitter)->count() == 2 * limits::kRestartBackoffMsMin);
}

TEST_CASE("a start by request forgets the past") {
  RestartPolicy policy;
  while (policy.on_crash(kStart, std::nullopt, kNoJitter)) {
  }
  policy.reset();
  CHECK(policy.on_crash(kStart, std::nullopt, kNoJitter)->count() == limits::kRestartBackoffMsMin);
}

TEST_CASE("what got on with its work before it crashed is started again however often, and not too late") {
  RestartPolicy policy;
  for (int i = 0; i < 10 * limits::kRestartsPerMinuteMax; ++i) {
    const auto wait = policy.on_crash(kStart + i * 1s, kStart, kNoJitter, supervision::Progress::kMade);
    REQUIRE(wait.has_value());
    CHECK(wait->count() <= supervision::kRestartBackoffOfProgressMsMax);
  }
  for (int i = 0; i < limits::kRestartsPerMinuteMax; ++i) {
    CHECK(policy.on_crash(kStart + 60s + i * 1s, std::nullopt, kNoJitter).has_value());
  }
  CHECK_FALSE(policy.on_crash(kStart + 66s, std::nullopt, kNoJitter).has_value());
}
