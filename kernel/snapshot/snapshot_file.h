// The bytes of a snapshot file: a frame that says what it is and that it is whole, around one v1::Snapshot.
//
//   at  bytes
//    0      8  "LIONS" CR LF 0x1A
//    8      4  format version: 1
//   12      4  zero
//   16      8  length of the body
//   24     32  SHA-256 of bytes 0 to 23 and the body
//   56      n  body: a liongate.v1.Snapshot
//
// Numbers are little-endian. Magic and version keep their places in every later format, so that a newer snapshot can be
// told from a damaged one. A file is named by the last event that is in it: "00000000000000187263.snapshot".
//
// Ownership and thread: pure functions, any thread. Errors: decode answers kInvalidConfig for a newer format,
// kLogCorrupt for everything else that is no whole snapshot; it trusts no length.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "kernel/base/ids.h"
#include "kernel/base/result.h"
#include "liongate/v1/snapshot.pb.h"

namespace liongate::snapshot {

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kFrameBytes = 56;

// kInputTooLarge where the body is over limits::kSnapshotBytesMax.
Result<std::string> encode(const v1::Snapshot& snapshot);
Result<v1::Snapshot> decode(std::string_view bytes);

std::string file_name(EventSeq seq);
std::optional<EventSeq> parse_file_name(std::string_view name);

}  // namespace liongate::snapshot
