// Prints a stream of events as it comes: as a table, as an audit table, as JSON lines or as CloudEvents.
//
// Ownership and thread: used by one verb on its thread. No errors: the stream's own state tells of a full disk.
#pragma once

#include <string>

#include "cli/context.h"
#include "cli/table.h"
#include "liongate/v1/event_service.pb.h"

namespace liongate::cli {

enum class EventView { kEvents, kAudit };

class EventPrinter {
 public:
  // `node_id` is wanted for CloudEvents alone.
  EventPrinter(Context& context, EventView view, std::string node_id);

  void print(const v1::ReplayEventsResponse& batch);
  std::uint64_t count() const { return count_; }

 private:
  void print_gap(const v1::EventGap& gap);
  void print_event(const v1::Event& event);

  Context& context_;
  const EventView view_;
  const std::string node_id_;
  Table table_;
  std::uint64_t count_ = 0;
};

// The types of events that tell who did something, or was not let.
std::vector<std::string> audit_types();

// What a query cost, in one line.
std::string cost_text(const v1::QueryCost& cost);

}  // namespace liongate::cli
