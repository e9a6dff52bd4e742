#include "config/observer_options.h"

#include <algorithm>

#include "config/manifest_rules.h"
#include "kernel/base/event_types.h"
#include "kernel/base/limits.h"

namespace liongate::config {
namespace {

constexpr std::size_t kOnErrorBytesMax = 256;

bool is_event_type(const std::string& text) {
  return std::ranges::find(kEventTypes, text) != std::end(kEventTypes);
}

void read_filter(TableReader& outer, FaultList& faults, ObserverOptions& options) {
  const Node* node = outer.get("filter");
  if (node == nullptr || node->is(NodeKind::kNull)) return;
  if (!node->is(NodeKind::kTable)) {
    outer.fault(*node, "filter", "must be a table, not " + std::string(describe(node->kind)),
                "write filter: {types: [PluginError], plugin: NAME}");
    return;
  }
  TableReader reader(*node, outer.field("filter") + ".", faults);
  if (const auto types = reader.texts("types", limits::kFilterTypesMax)) {
    for (const std::string& type : *types) {
      if (is_event_type(type)) continue;
      reader.fault(*reader.get("types"), "types", "`" + type + "` is not the name of an event",
                   suggestion(type, {std::begin(kEventTypes), std::end(kEventTypes)},
                              "names are like PluginInvoked; docs/event-log.md lists them"));
    }
    options.types = *types;
  }
  if (const auto plugin = reader.text("plugin", limits::kPluginNameBytesMax)) options.plugin = *plugin;
  if (const auto id = reader.text("correlation_id", limits::kCorrelationIdBytesMax)) options.correlation_id = *id;
  for (const Fault& fault : reader.unknown_keys()) faults.add(fault.line, fault.field, fault.what, fault.remedy);
}

// "beginning", "now", or the sequence number of the first event to show.
void read_start(TableReader& reader, ObserverOptions& options) {
  const Node* node = reader.get("start");
  if (node == nullptr || node->is(NodeKind::kNull)) return;
  const bool is_word = node->is(NodeKind::kString) && (node->text == "beginning" || node->text == "now");
  const bool is_number = node->is(NodeKind::kInteger) && node->integer > 0;
  if (!is_word && !is_number) {
    reader.fault(*node, "start", "`" + node->text + "` is no place in the log",
                 "write beginning, now, or the sequence number of the first event, from 1");
    return;
  }
  options.start = node->text;
}

}  // namespace

void read_observer_options(TableReader& reader, FaultList& faults, ObserverOptions& options) {
  read_filter(reader, faults, options);
  read_start(reader, options);
  if (const auto timeout = reader.integer("ack_timeout_ms", 100, limits::kObserverAckTimeoutMsMax)) {
    options.ack_timeout_ms = static_cast<std::uint32_t>(*timeout);
  }
  if (const auto retries = reader.integer("retries", 0, limits::kObserverRetriesMax)) {
    options.retries = static_cast<std::uint32_t>(*retries);
  }
  if (const auto word = reader.text("on_error", kOnErrorBytesMax)) {
    if (*word == "continue" || *word == "stop") {
      options.on_error = *word;
    } else {
      reader.fault(*reader.get("on_error"), "on_error", "`" + *word + "` is neither continue nor stop",
                   suggestion(*word, {"continue", "stop"}, "choose one of them"));
    }
  }
}

}  // namespace liongate::config
