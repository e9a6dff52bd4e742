#include "kernel/base/failpoint.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <charconv>
#include <stdexcept>

namespace liongate::failpoint {
namespace {

std::atomic<std::uint64_t> reaches_left{0};
bool throws = false;  // set before there are threads

Error not_understood(std::string_view text) {
  return make_error(Reason::kInvalidConfig, "LIONGATE_FAILPOINT=" + std::string(text) + " is not understood")
      .with_hint(
          "NAME:ACTION or NAME:ACTION:N, where ACTION is crash or throw; `liongated --list-failpoints` prints the "
          "names");
}

}  // namespace

void detail::hit() {
  if (reaches_left.fetch_sub(1, std::memory_order_relaxed) != 1) return;
  if (throws) throw std::runtime_error("a failpoint threw");
  // Not abort: no handler, no core, no flushing, as a kill from outside or a lost machine.
  (void)::kill(::getpid(), SIGKILL);
  for (;;) ::pause();
}

Result<void> arm(std::string_view text) {
  const std::size_t colon = text.find(':');
  if (colon == std::string_view::npos) return not_understood(text);
  const auto named = [&](const Name& name) { return name.text == text.substr(0, colon); };
  const auto found = std::find_if(kNames.begin(), kNames.end(), named);
  constexpr std::string_view kCrash = "crash";
  constexpr std::string_view kThrow = "throw";
  std::string_view action = text.substr(colon + 1);
  throws = action.starts_with(kThrow);
  if (found == kNames.end() || !(throws || action.starts_with(kCrash))) return not_understood(text);
  action.remove_prefix(kCrash.size());  // the two are as long
  std::uint64_t count = 1;
  if (!action.empty()) {
    const char* const end = action.data() + action.size();
    const auto [stopped, problem] = std::from_chars(action.data() + 1, end, count);
    if (action.front() != ':' || problem != std::errc() || stopped != end || count == 0) return not_understood(text);
  }
  reaches_left.store(count, std::memory_order_relaxed);
  detail::armed = found->point;
  return {};
}

}  // namespace liongate::failpoint
