// The bytes of a segment: header, records, commits, seals. The prose is docs/event-log-format.md; it comes first.
//
// Ownership and thread: plain values and pure functions over caller-owned bytes, callable from any thread.
// Errors: decoding answers with nothing where the bytes are not what they should be; it never trusts a length.
#pragma once

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "kernel/base/ids.h"
#include "kernel/base/limits.h"

namespace liongate::event_log {

static_assert(std::endian::native == std::endian::little, "numbers on disk are little-endian and copied as they are");

inline constexpr std::uint32_t kFormatVersion = 1;
inline constexpr std::size_t kSegmentHeaderBytes = 4096;
inline constexpr std::size_t kRecordHeaderBytes = 24;
inline constexpr std::size_t kRecordAlignmentBytes = 8;
inline constexpr std::size_t kLinkBodyBytes = 104;  // a commit's and a seal's
inline constexpr std::size_t kLinkRecordBytes = kRecordHeaderBytes + kLinkBodyBytes;
inline constexpr std::size_t kRecordBodyBytesMax = 4U * 1024 * 1024;  // of any kind; events have their own lower bound
inline constexpr std::string_view kSegmentSuffix = ".lgl";
static_assert(limits::kLogRecordBytesMax <= kRecordBodyBytesMax);
static_assert(kLinkRecordBytes % kRecordAlignmentBytes == 0);

using Hash = std::array<std::byte, 32>;
using NodeId = std::array<std::byte, 16>;

enum class RecordKind : std::uint8_t {
  kNone = 0,  // zeroes: nothing was written here
  kEvent = 1,
  kCommit = 2,
  kSeal = 3,
  kFooter = 128,
  kCheckpoint = 129,
};
// Kinds from here on may be skipped by a reader that does not know them: footers and checkpoints live there.
inline constexpr std::uint8_t kSkippableKindMin = 128;

struct SegmentHeader {
  std::uint32_t version = kFormatVersion;
  NodeId node{};
  std::uint64_t epoch = 0;  // which life of the log wrote this segment, from 1
  EventSeq first_seq = 0;
  std::uint64_t salt = 0;  // random, so that nobody can write an event whose bytes pass for a record of this segment
  std::int64_t created_ns = 0;
  Hash previous_hash{};  // of the seal of the segment before; zeroes in the first
};

// One commit: everything since the commit before it is whole.
struct Commit {
  std::uint32_t count = 0;  // events in the batch
  EventSeq first_seq = 0;
  EventSeq last_seq = 0;
  std::uint64_t batch_offset = 0;    // where the batch begins
  std::uint64_t durable_offset = 0;  // everything before it was on disk when this was written
  Hash previous_hash{};
  Hash hash{};
};

enum class SealReason : std::uint32_t { kRotated = 1, kClosed = 2, kRecovered = 3, kRepaired = 4 };

// The end of a segment: nothing follows. What is in front of it was on disk before it was written.
struct Seal {
  SealReason reason = SealReason::kClosed;
  EventSeq first_seq = 0;
  EventSeq last_seq = 0;
  std::uint64_t footer_offset = 0;  // 0: this segment has no footer
  std::uint64_t bytes_dropped = 0;  // torn tail that recovery cut off before sealing
  Hash previous_hash{};
  Hash hash{};
};

// A record where it lies in a buffer; `body` is valid as long as the buffer.
struct RecordView {
  std::uint8_t kind = 0;
  EventSeq seq = 0;
  std::int64_t time_ns = 0;
  std::uint64_t offset = 0;          // in the segment
  std::span<const std::byte> bytes;  // all of it, padding included
  std::span<const std::byte> body;

  bool is(RecordKind wanted) const { return kind == static_cast<std::uint8_t>(wanted); }
};

constexpr std::size_t record_bytes(std::size_t body_bytes) {
  return (kRecordHeaderBytes + body_bytes + kRecordAlignmentBytes - 1) / kRecordAlignmentBytes * kRecordAlignmentBytes;
}

// "00000000000000000001.lgl"
std::string segment_name(EventSeq first_seq);
// The first sequence number in a segment's file name, nothing if this is no such name.
std::optional<EventSeq> parse_segment_name(std::string_view name);

std::string node_id_text(const NodeId& node);
NodeId parse_node_id(std::string_view uuid);

void encode_header(const SegmentHeader& header, std::span<std::byte, kSegmentHeaderBytes> page);
// Checks magic and checksum, and takes any version: the caller refuses the newer ones.
std::optional<SegmentHeader> decode_header(std::span<const std::byte> page);
// What the checksum of every record of the segment begins with: the header's own, so that no byte of another segment,
// another life or another node ever validates.
std::uint32_t segment_key(std::span<const std::byte> page);

// Writes all of a record's header but its checksum, and zeroes the padding behind the body.
void begin_record(std::span<std::byte> record, RecordKind kind, EventSeq seq, std::int64_t time_ns,
                  std::size_t body_bytes);
// Computes the checksum of a begun record whose body is in place.
void finish_record(std::span<std::byte> record, std::uint32_t key);
// How long the record at `at` says it is, without trust; at least 8 bytes must be there.
std::size_t stated_record_bytes(std::span<const std::byte> at);

void encode_commit(const Commit& commit, std::span<std::byte, kLinkBodyBytes> body);
std::optional<Commit> decode_commit(std::span<const std::byte> body);
void encode_seal(const Seal& seal, std::span<std::byte, kLinkBodyBytes> body);
std::optional<Seal> decode_seal(std::span<const std::byte> body);

enum class ParseStatus : std::uint8_t { kRecord, kZero, kIncomplete, kBad };
// Looks at the bytes at `offset` of a segment. kZero: nothing was written here; kIncomplete: more bytes are needed
// (`stated_record_bytes` says how many); kBad: not a record of this segment.
ParseStatus parse_record(std::span<const std::byte> at, std::uint64_t offset, std::uint32_t key, RecordView& record);

}  // namespace liongate::event_log
