// How events of the log are shown to people.
//
// Ownership and thread: pure functions over messages.
#pragma once

#include <string>

#include "liongate/v1/event.pb.h"
#include "liongate/v1/event_service.pb.h"

namespace liongate::cli {

// What stands for a log without a match (seed 000's words).
inline constexpr const char* kNoEvents = "No events to replay.";

// The gist of the payload in a few words: an input, an output with its time, a reason.
std::string event_detail(const v1::Event& event);

// The counts of seed 000's replay summary, plugins first, then tasks; one `name: N` a line.
std::string summary_text(const v1::SummarizeEventsResponse& summary);

}  // namespace liongate::cli
