#include "kernel/supervision/limit_error.h"

#include <algorithm>
#include <csignal>

namespace liongate::supervision {
namespace {

constexpr int kShellSignalBase = 128;  // what a shell adds to the signal that ended its last child

}  // namespace

Error make_limit_error(std::string message, const std::string& limit, std::uint64_t limit_value, std::uint64_t used) {
  Error error = make_error(Reason::kLimitExceeded, std::move(message));
  error.metadata["limit"] = limit;
  if (limit_value != 0) error.metadata["limit_value"] = std::to_string(limit_value);
  if (used != 0) error.metadata["used"] = std::to_string(used);
  return error;
}

std::optional<Error> limit_error(const std::string& subject, const PluginExit& exit, const v1::ManifestLimits& limits,
                                 CpuTimeOf cpu_time_of) {
  if (exit.is_success()) return std::nullopt;
  for (const v1::LimitHit& hit : exit.limit_hits) {
    if (!hit.killed()) continue;
    return make_limit_error(
        subject + " was killed: it reached " + hit.limit() + " (" + std::to_string(hit.limit_value()) + ")",
        hit.limit(), hit.limit_value(), hit.used());
  }
  // A shell whose child met the limit exits by itself, with a number that tells; of other parents the time used tells.
  // The signal counts ticks and the figure is exact: a little less of it may have met the limit.
  const std::uint64_t cpu_ms_max = limits.cpu_time_ms_max();
  if (cpu_time_of == CpuTimeOf::kOneCall && cpu_ms_max > 0 &&
      (exit.signal == SIGXCPU || exit.exit_code == kShellSignalBase + SIGXCPU ||
       exit.cpu_time_us >= cpu_ms_max * 1000)) {
    return make_limit_error(
        subject + " used more CPU time than cpu_time_ms_max (" + std::to_string(cpu_ms_max) + ") allows",
        "cpu_time_ms_max", cpu_ms_max, std::max(exit.cpu_time_us / 1000, cpu_ms_max));
  }
  if (exit.kind == ExitKind::kSignalled && exit.signal == SIGXFSZ) {
    const std::uint64_t bytes = limits.file_size_bytes_max();
    return make_limit_error(subject + " wrote a file larger than file_size_bytes_max" +
                                (bytes == 0 ? " (the host's default)" : " (" + std::to_string(bytes) + ")") + " allows",
                            "file_size_bytes_max", bytes, bytes);
  }
  for (const v1::LimitHit& hit : exit.limit_hits) {
    return make_limit_error(subject + " " + describe(exit) + " after " + hit.limit() + " (" +
                                std::to_string(hit.limit_value()) + ") had refused it " + std::to_string(hit.used()) +
                                " times",
                            hit.limit(), hit.limit_value(), hit.used());
  }
  return std::nullopt;
}

Error with_memory_hint(Error error, const PluginExit& exit, const v1::ManifestLimits& limits) {
  const std::uint64_t bytes_max = limits.memory_bytes_max();
  if (bytes_max == 0 || exit.memory_peak_bytes < bytes_max / 2) return error;
  error.metadata["memory_peak_bytes"] = std::to_string(exit.memory_peak_bytes);
  error.metadata["memory_bytes_max"] = std::to_string(bytes_max);
  if (error.hint.empty()) {
    error.hint = "it had " + std::to_string(exit.memory_peak_bytes) + " bytes resident of memory_bytes_max " +
                 std::to_string(bytes_max) + ": it may have run out of memory, which only the program is told";
  }
  return error;
}

}  // namespace liongate::supervision
