#include <algorithm>
#include <string_view>

#include "kernel/event_log/event_log.h"

namespace liongate::event_log {
namespace {

constexpr std::int64_t kNanosPerSecond = 1'000'000'000;

}  // namespace

bool Filter::matches(const v1::Event& event) const {
  if (event.seq() <= after_seq) return false;
  if (!plugin.empty() && event.plugin_id() != plugin && event.plugin_name() != plugin) return false;
  if (!correlation_id.empty() && event.correlation_id() != correlation_id) return false;
  if (!types.empty() && std::find(types.begin(), types.end(), event.type()) == types.end()) return false;
  if (since_ns || until_ns) {
    const std::int64_t time_ns = event.time().seconds() * kNanosPerSecond + event.time().nanos();
    if (since_ns && time_ns < *since_ns) return false;
    if (until_ns && time_ns > *until_ns) return false;
  }
  return true;
}

Result<Summary> summarize(EventReader& reader, const Filter& filter) {
  Summary summary;
  v1::Event event;
  for (;;) {
    LG_ASSIGN(const bool any, reader.next(event));
    if (!any) return summary;
    if (!filter.matches(event)) continue;
    if (summary.total == 0) summary.first_seq = event.seq();
    summary.last_seq = event.seq();
    ++summary.total;
    ++summary.counts_by_type[event.type()];
  }
}

}  // namespace liongate::event_log
