// Named places where a test may have the process die as kill -9 would end it: right there, with nothing flushed.
//
// Compiled into every build, so that what is tested is what ships. Unarmed, a failpoint is one comparison of a byte
// that never changes. The daemon arms one at start from LIONGATE_FAILPOINT=NAME:ACTION[:N] (docs/event-log.md) and
// refuses that outside development and testing; `liongated --list-failpoints` prints the names. ACTION is `crash`, or
// `throw` for an exception that nobody expects there.
//
// Ownership and thread: `arm` once, before there are threads; `reach` from any thread. Errors: `arm` says what it does
// not understand.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "kernel/base/result.h"

namespace liongate::failpoint {

enum class Point : std::uint8_t {
  kNone,
  kLogSpareMade,        // zeroes for the next segment are on disk, under no segment's name
  kLogSegmentBegun,     // its header is on disk, still under the spare's name
  kLogSegmentNamed,     // renamed, the folder not synced
  kLogBeforeWrite,      // a batch is ready
  kLogAfterWrite,       // written, not synced
  kLogAfterSync,        // on disk, nobody was told
  kLogAcknowledged,     // on disk, and the kernel thread was told
  kLogBeforeSeal,       // everything is on disk but the seal
  kLogSealWritten,      // the seal is written, the file not yet cut to its length
  kLogSealed,           // sealed and synced
  kRecoveryBegins,      // the log was read, nothing changed
  kRecoveryTailZeroed,  // what was torn is overwritten, not sealed
  kRecoveryEnds,        // sealed; no event of the new life yet
  kStateRecorded,       // an event of the registry is queued and applied
  kCallInvoked,         // PluginInvoked is queued, the plugin has not seen the call
  kCallEnded,           // the outcome is queued, nobody was told
  kCallReplied,         // the outcome is on disk and the reply is on its way
};

struct Name {
  Point point;
  std::string_view text;
};
inline constexpr std::array kNames{
    Name{Point::kLogSpareMade, "log.spare_made"},       Name{Point::kLogSegmentBegun, "log.segment_begun"},
    Name{Point::kLogSegmentNamed, "log.segment_named"}, Name{Point::kLogBeforeWrite, "log.before_write"},
    Name{Point::kLogAfterWrite, "log.after_write"},     Name{Point::kLogAfterSync, "log.after_sync"},
    Name{Point::kLogAcknowledged, "log.acknowledged"},  Name{Point::kLogBeforeSeal, "log.before_seal"},
    Name{Point::kLogSealWritten, "log.seal_written"},   Name{Point::kLogSealed, "log.sealed"},
    Name{Point::kRecoveryBegins, "recovery.begins"},    Name{Point::kRecoveryTailZeroed, "recovery.tail_zeroed"},
    Name{Point::kRecoveryEnds, "recovery.ends"},        Name{Point::kStateRecorded, "state.recorded"},
    Name{Point::kCallInvoked, "call.invoked"},          Name{Point::kCallEnded, "call.ended"},
    Name{Point::kCallReplied, "call.replied"},
};

namespace detail {
inline Point armed = Point::kNone;
void hit();
}  // namespace detail

// Arms what `text` says: NAME:ACTION, or NAME:ACTION:N for the Nth time the place is reached. kInvalidConfig otherwise.
Result<void> arm(std::string_view text);

inline void reach(Point point) {
  if (detail::armed == point) [[unlikely]]
    detail::hit();
}

}  // namespace liongate::failpoint
