#include "netgate/denials.h"

#include <algorithm>
#include <utility>

namespace liongate::netgate {
namespace {

// Of one kind; further ones are let go at once rather than kept.
constexpr std::size_t kWaitingMax = 256;

}  // namespace

v1::Refused Denials::describe(const Attempt& attempt, std::uint64_t count) const {
  v1::Refused refused;
  refused.set_action(attempt.action);
  refused.set_host(attempt.host);
  refused.set_port(attempt.port);
  refused.set_why(attempt.why);
  refused.set_count(count);
  return refused;
}

void Denials::refuse(const Attempt& attempt, std::function<void()> then) {
  const auto now = Clock::now();
  std::string key = attempt.action + ' ' + attempt.host + ' ' + std::to_string(attempt.port);
  if (!windows_.contains(key) && windows_.size() >= kRefusalKindsMax) {
    flush(now, false);
    if (windows_.size() >= kRefusalKindsMax) key = "others";
  }
  auto [found, is_new] = windows_.try_emplace(key);
  Window& window = found->second;
  if (!is_new && now < window.end) {
    ++window.count;
    if (window.refusal_id != 0 && window.waiting.size() < kWaitingMax) {
      window.waiting.push_back(std::move(then));
    } else {
      then();
    }
    return;
  }
  if (window.count > 0) send_(describe(window.attempt, window.count));
  window.attempt = attempt;
  if (key == "others") window.attempt.host = "other hosts";
  window.end = now + kRefusalWindow;
  window.count = 0;
  window.refusal_id = ++last_id_;
  window.waiting.push_back(std::move(then));
  v1::Refused refused = describe(window.attempt, 1);
  refused.set_refusal_id(window.refusal_id);
  send_(std::move(refused));
}

void Denials::recorded(std::uint64_t refusal_id) {
  for (auto& [key, window] : windows_) {
    if (window.refusal_id != refusal_id) continue;
    window.refusal_id = 0;
    for (const auto& then : std::exchange(window.waiting, {})) then();
    return;
  }
}

// What is let go of may hold the last of us: it goes when nothing here is in use.
void Denials::drop() {
  const auto gone = std::exchange(windows_, {});
}

bool Denials::has_counts() const {
  return std::ranges::any_of(windows_, [](const auto& entry) { return entry.second.count > 0; });
}

void Denials::flush(Clock::time_point now, bool all) {
  for (auto at = windows_.begin(); at != windows_.end();) {
    Window& window = at->second;
    if (!all && now < window.end) {
      ++at;
      continue;
    }
    if (window.count > 0) send_(describe(window.attempt, window.count));
    window.count = 0;
    at = window.waiting.empty() ? windows_.erase(at) : std::next(at);
  }
}

}  // namespace liongate::netgate
