#include "cli/event_printer.h"

#include <ostream>

#include "cli/cloud_event.h"
#include "cli/event_text.h"
#include "cli/json_output.h"
#include "cli/plain_text.h"

namespace liongate::cli {
namespace {

// What each event says that somebody did.
struct Deed {
  const char* type;
  const char* action;
  const char* outcome;
};
constexpr Deed kDeeds[] = {
    {"DaemonStarted", "start daemon", "allowed"},
    {"DaemonStopping", "stop daemon", "allowed"},
    {"PermissionDenied", "", "denied"},  // says itself what was tried
    {"PermissionOverridden", "change permission", "allowed"},
    {"PermissionsGranted", "grant", "allowed"},
    {"PluginConfigChanged", "configure", "allowed"},
    {"PluginInvoked", "invoke", "allowed"},
    {"PluginLoaded", "load", "allowed"},
    {"PluginLoadFailed", "load", "failed"},
    {"PluginReloaded", "reload", "allowed"},
    {"PluginStarted", "start", "allowed"},
    {"PluginStopping", "stop", "allowed"},
    {"PluginUnloaded", "unload", "allowed"},
    {"SecretDelivered", "give secret", "allowed"},
};

// Widths are the usual ones, so that a following table does not jump.
Table make_table(EventView view) {
  if (view == EventView::kAudit) {
    return Table({"SEQ", "TIME", "ACTOR", "ACTION", "PLUGIN", "OUTCOME", "DETAIL"}, {5, 23, 10, 12, 12, 7});
  }
  return Table({"SEQ", "TIME", "TYPE", "PLUGIN", "CORRELATION", "DETAIL"}, {5, 23, 15, 12, 12});
}

}  // namespace

std::vector<std::string> audit_types() {
  std::vector<std::string> types;
  for (const Deed& deed : kDeeds) types.emplace_back(deed.type);
  return types;
}

std::string cost_text(const v1::QueryCost& cost) {
  return "read " + bytes_text(cost.read_bytes()) + " of " + bytes_text(cost.log_bytes()) + "; skipped " +
         std::to_string(cost.segments_skipped()) + " of " + std::to_string(cost.segments()) + " segments, " +
         std::to_string(cost.blocks_skipped()) + " of " + std::to_string(cost.blocks()) + " blocks; looked at " +
         std::to_string(cost.events_seen()) + " events";
}

EventPrinter::EventPrinter(Context& context, EventView view, std::string node_id)
    : context_(context), view_(view), node_id_(std::move(node_id)), table_(make_table(view)) {}

void EventPrinter::print_gap(const v1::EventGap& gap) {
  context_.err << "liongatectl: " << context_.verb << ": events " << gap.first_missing_seq() << " to "
               << gap.last_missing_seq() << " are no longer kept (" << gap.count() << " events)\n";
  if (context_.format == OutputFormat::kCloudEvents) {
    context_.out << cloud_event(gap, node_id_) << '\n';
  } else if (context_.json()) {
    context_.out << "{\"gap\":" << json_of(gap) << "}\n";
  }
}

void EventPrinter::print_event(const v1::Event& event) {
  if (context_.format == OutputFormat::kCloudEvents) {
    context_.out << cloud_event(event, node_id_) << '\n';
    return;
  }
  if (context_.json()) {
    context_.out << json_of(event) << '\n';
    return;
  }
  const std::string& plugin = event.plugin_name().empty() ? event.plugin_id() : event.plugin_name();
  if (view_ == EventView::kEvents) {
    table_.add({std::to_string(event.seq()), time_text(event.time()), event.type(), plugin, event.correlation_id(),
                event_detail(event)});
    return;
  }
  for (const Deed& deed : kDeeds) {
    if (event.type() != deed.type) continue;
    const std::string action = event.has_permission_denied() ? event.permission_denied().action() : deed.action;
    table_.add({std::to_string(event.seq()), time_text(event.time()), event.actor(), action, plugin, deed.outcome,
                event_detail(event)});
  }
}

void EventPrinter::print(const v1::ReplayEventsResponse& batch) {
  if (batch.has_gap()) print_gap(batch.gap());
  if (batch.events().empty() && !batch.has_gap()) return;
  count_ += static_cast<std::uint64_t>(batch.events_size());
  for (const v1::Event& event : batch.events()) print_event(event);
  if (!context_.json() && batch.events_size() > 0) table_.flush(context_);
  context_.out.flush();
}

}  // namespace liongate::cli
