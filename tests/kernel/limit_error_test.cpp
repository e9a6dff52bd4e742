// Goal: a limit is named as the cause where the host knows it, with its value and what was used, and nowhere else.
#include "kernel/supervision/limit_error.h"

#include <catch2/catch.hpp>
#include <csignal>

using namespace liongate;
using namespace liongate::supervision;

namespace {

PluginExit killed_by(int signal) {
  PluginExit exit;
  exit.kind = ExitKind::kSignalled;
  exit.signal = signal;
  return exit;
}

PluginExit exited_with(int code) {
  PluginExit exit;
  exit.exit_code = code;
  return exit;
}

v1::LimitHit hit(const std::string& limit, std::uint64_t value, std::uint64_t used, bool killed) {
  v1::LimitHit message;
  message.set_limit(limit);
  message.set_limit_value(value);
  message.set_used(used);
  message.set_killed(killed);
  return message;
}

std::optional<Error> error_of(const PluginExit& exit, const v1::ManifestLimits& limits = {},
                              CpuTimeOf cpu_time_of = CpuTimeOf::kOneCall) {
  return limit_error("command x", exit, limits, cpu_time_of);
}

}  // namespace

TEST_CASE("a kill for want of memory that the control group reports is that limit's") {
  PluginExit exit = killed_by(SIGKILL);
  exit.limit_hits = {hit("processes_max", 4, 9, false), hit("memory_bytes_max", 1000, 990, true)};
  const auto error = error_of(exit);
  REQUIRE(error);
  CHECK(error->reason == Reason::kLimitExceeded);
  CHECK(error->metadata.at("limit") == "memory_bytes_max");
  CHECK(error->metadata.at("limit_value") == "1000");
  CHECK(error->metadata.at("used") == "990");
  CHECK(error->message == "command x was killed: it reached memory_bytes_max (1000)");
}

TEST_CASE("a plain kill is nobody's limit") {
  CHECK_FALSE(error_of(killed_by(SIGKILL)));
  CHECK_FALSE(error_of(killed_by(SIGABRT)));
  CHECK_FALSE(error_of(exited_with(1)));
}

TEST_CASE("CPU time is a call's only where the process is the call's") {
  v1::ManifestLimits limits;
  limits.set_cpu_time_ms_max(1000);
  PluginExit exit = exited_with(1);
  exit.cpu_time_us = 1'000'500;
  const auto error = error_of(exit, limits);
  REQUIRE(error);
  CHECK(error->metadata.at("limit") == "cpu_time_ms_max");
  CHECK(error->metadata.at("used") == "1000");
  CHECK_FALSE(error_of(exit, limits, CpuTimeOf::kManyCalls));
  CHECK(error_of(killed_by(SIGXCPU), limits));
  CHECK(error_of(exited_with(128 + SIGXCPU), limits));  // a shell's word for its child's end
  CHECK_FALSE(error_of(killed_by(SIGXCPU)));            // nobody set one: the program raised it itself
}

TEST_CASE("a file that grew too large is told by its signal") {
  v1::ManifestLimits limits;
  limits.set_file_size_bytes_max(4096);
  const auto error = error_of(killed_by(SIGXFSZ), limits, CpuTimeOf::kManyCalls);
  REQUIRE(error);
  CHECK(error->metadata.at("limit") == "file_size_bytes_max");
  CHECK(error->metadata.at("limit_value") == "4096");
  const auto of_host = error_of(killed_by(SIGXFSZ));
  REQUIRE(of_host);
  CHECK(of_host->message.find("the host's default") != std::string::npos);
}

TEST_CASE("refused forks are the cause of a failure, not of a success") {
  PluginExit exit = exited_with(2);
  exit.limit_hits = {hit("processes_max", 4, 9, false)};
  const auto error = error_of(exit);
  REQUIRE(error);
  CHECK(error->message == "command x exited with status 2 after processes_max (4) had refused it 9 times");
  exit.exit_code = 0;
  CHECK_FALSE(error_of(exit));
}

TEST_CASE("who died near its memory limit gets a hint and the figures, no verdict") {
  v1::ManifestLimits limits;
  limits.set_memory_bytes_max(1000);
  PluginExit exit = killed_by(SIGABRT);
  exit.memory_peak_bytes = 900;
  const Error error = with_memory_hint(make_error(Reason::kPluginCrashed, "died"), exit, limits);
  CHECK(error.reason == Reason::kPluginCrashed);
  CHECK(error.metadata.at("memory_peak_bytes") == "900");
  CHECK(error.hint.find("may have run out of memory") != std::string::npos);
  exit.memory_peak_bytes = 100;
  CHECK(with_memory_hint(make_error(Reason::kPluginCrashed, "died"), exit, limits).hint.empty());
}
