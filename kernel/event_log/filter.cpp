#include <algorithm>
#include <string_view>

#include "kernel/event_log/event_fields.h"
#include "kernel/event_log/event_log.h"

namespace liongate::event_log {

bool Filter::matches(EventSeq seq, std::int64_t time_ns, const EventFields& fields) const {
  if (seq <= after_seq) return false;
  if (since_ns && time_ns < *since_ns) return false;
  if (until_ns && time_ns > *until_ns) return false;
  if (!plugin.empty() && fields.plugin_id != plugin && fields.plugin_name != plugin) return false;
  if (!correlation_id.empty() && fields.correlation_id != correlation_id) return false;
  if (!actor.empty() && fields.actor != actor) return false;
  if (!types.empty() && std::find(types.begin(), types.end(), fields.type) == types.end()) return false;
  if (text.empty()) return true;
  bool found = false;
  for_each_text(fields, [&](std::string_view bytes) { found = found || bytes.find(text) != std::string_view::npos; });
  return found;
}

}  // namespace liongate::event_log
