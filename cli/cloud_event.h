// Events as CloudEvents 1.0 in structured JSON, one object a line, for whatever reads those.
//
// Ownership and thread: pure functions. No errors.
#pragma once

#include <string>

#include "liongate/v1/event.pb.h"
#include "liongate/v1/event_service.pb.h"

namespace liongate::cli {

// `id` is the sequence number and `source` names the node: together they are unique. `data` is the payload as proto
// JSON; plugin id, actor and the like are extension attributes.
std::string cloud_event(const v1::Event& event, const std::string& node_id);
std::string cloud_event(const v1::EventGap& gap, const std::string& node_id);

}  // namespace liongate::cli
