// What of a log may go and what goes: whole sealed segments, oldest first. Who decides is not the log: it only counts.
//
// Ownership and thread: plain values. No errors.
#pragma once

#include <cstdint>

#include "kernel/base/ids.h"

namespace liongate::event_log {

// What retention wants; 0 means no bound.
struct RetentionRule {
  std::uint64_t bytes_max = 0;
  std::int64_t older_than_ns = 0;  // segments whose last event is older than this moment
  EventSeq needed_seq = 0;         // this event and all behind it stay, whatever the bounds say
};

enum class RemovalReason : std::uint8_t { kSize, kAge };

// Whole sealed segments that a rule takes, oldest first.
struct Removal {
  EventSeq first_seq = 0;
  EventSeq last_seq = 0;
  std::uint32_t segments = 0;
  std::uint64_t size_bytes = 0;
  RemovalReason reason = RemovalReason::kSize;
};

}  // namespace liongate::event_log
