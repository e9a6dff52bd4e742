#include "kernel/supervision/restart_policy.h"

#include <algorithm>

namespace liongate::supervision {
namespace {

constexpr std::chrono::seconds kCrashWindow{60};
constexpr std::chrono::minutes kHealthyAfter{10};
constexpr double kJitter = 0.2;

}  // namespace

std::optional<std::chrono::milliseconds> RestartPolicy::on_crash(MonotonicTime now,
                                                                 std::optional<MonotonicTime> started, double jitter,
                                                                 Progress progress) {
  if (started && now - *started >= kHealthyAfter) reset();
  if (progress == Progress::kMade) {
    crashes_.clear();
    backoff_ms_ = std::min(backoff_ms_, kRestartBackoffOfProgressMsMax);
  } else {
    crashes_.push_back(now);
  }
  while (!crashes_.empty() && now - crashes_.front() > kCrashWindow) crashes_.pop_front();
  if (crashes_.size() > static_cast<std::size_t>(limits::kRestartsPerMinuteMax)) return std::nullopt;
  const double factor = 1.0 - kJitter + 2.0 * kJitter * jitter;
  const auto wait = std::chrono::milliseconds(static_cast<int>(backoff_ms_ * factor));
  backoff_ms_ = std::min(backoff_ms_ * 2, limits::kRestartBackoffMsMax);
  return wait;
}

}  // namespace liongate::supervision
