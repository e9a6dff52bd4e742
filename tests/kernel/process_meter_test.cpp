// Goal: the figures are the kernel's own. Method: the test measures itself.
#include "kernel/supervision/process_meter.h"

#include <unistd.h>

#include <catch2/catch.hpp>
#include <memory>
#include <vector>

using namespace liongate;
using supervision::CpuShares;
using supervision::ProcessMeter;

TEST_CASE("CPU time grows with work") {
  const ProcessMeter meter(::getpid());
  const std::uint64_t before_us = meter.cpu_time_us();
  CHECK(before_us > 0);
  volatile std::uint64_t work = 0;
  while (meter.cpu_time_us() < before_us + 5'000) {
    for (int i = 0; i < 10'000; ++i) work = work + 1;
  }
  CHECK(meter.cpu_time_us() >= before_us + 5'000);
}

TEST_CASE("resident size grows with memory that is touched") {
  ProcessMeter meter(::getpid());
  const MonotonicTime now = std::chrono::steady_clock::now();
  const std::uint64_t before = meter.resident_bytes(now);
  CHECK(before > 100 * 1024);
  constexpr std::size_t kBytes = 32 * 1024 * 1024;
  const std::vector<char> touched(kBytes, 'x');
  CHECK(meter.resident_bytes(now + std::chrono::seconds(1)) >= before + kBytes / 2);
  CHECK(touched.back() == 'x');
}

TEST_CASE("a sample of resident size is used for a short while") {
  ProcessMeter meter(::getpid());
  const MonotonicTime now = std::chrono::steady_clock::now();
  const std::uint64_t first = meter.resident_bytes(now);
  const std::vector<char> touched(8 * 1024 * 1024, 'x');
  CHECK(meter.resident_bytes(now + std::chrono::milliseconds(1)) == first);
  CHECK(touched.front() == 'x');
}

TEST_CASE("a process that is not there costs nothing and says 0") {
  ProcessMeter none;
  CHECK(none.cpu_time_us() == 0);
  CHECK(none.resident_bytes(std::chrono::steady_clock::now()) == 0);
  ProcessMeter gone(99'999'999);
  CHECK(gone.cpu_time_us() == 0);
  CHECK(gone.resident_bytes(std::chrono::steady_clock::now()) == 0);
}

TEST_CASE("the peak stays when memory is given back") {
  ProcessMeter meter(::getpid());
  const MonotonicTime now = std::chrono::steady_clock::now();
  {
    const std::vector<char> touched(32 * 1024 * 1024, 'x');
    CHECK(touched.back() == 'x');
  }
  const std::uint64_t resident = meter.resident_bytes(now);
  CHECK(meter.peak_bytes() >= resident);
  CHECK(meter.peak_bytes() >= 32U * 1024 * 1024);
}

TEST_CASE("a call alone is charged what the process used") {
  CpuShares shares;
  shares.begin_call(100);
  const std::uint64_t begin = shares.charged_us(100);
  CHECK(shares.charged_us(350) - begin == 250);
}

TEST_CASE("calls that overlap have equal parts, and the parts add up") {
  CpuShares shares;
  const std::uint64_t first_begin = shares.charged_us(0);
  shares.begin_call(0);
  const std::uint64_t second_begin = shares.charged_us(100);  // the first alone: 100
  shares.begin_call(100);
  const std::uint64_t second_used = shares.charged_us(300) - second_begin;  // both: 100 each
  shares.end_call();
  const std::uint64_t first_used = shares.charged_us(350) - first_begin;  // the first alone: 50
  shares.end_call();
  CHECK(second_used == 100);
  CHECK(first_used == 250);
  CHECK(first_used + second_used == 350);
}

TEST_CASE("what a process uses between calls is charged to none") {
  CpuShares shares;
  shares.begin_call(0);
  CHECK(shares.charged_us(10) == 10);
  shares.end_call();
  const std::uint64_t begin = shares.charged_us(500);
  shares.begin_call(500);
  CHECK(shares.charged_us(600) - begin == 100);
}

TEST_CASE("a clock that says less than before charges nothing") {
  CpuShares shares;
  shares.begin_call(1000);
  const std::uint64_t begin = shares.charged_us(1000);
  CHECK(shares.charged_us(0) == begin);  // the process has gone
}
