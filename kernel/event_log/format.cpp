#include "kernel/event_log/format.h"

#include <algorithm>
#include <charconv>
#include <cstdio>

#include "kernel/base/assert.h"
#include "kernel/event_log/crc32c.h"

namespace liongate::event_log {
namespace {

// Carriage return, line feed and ^Z show a file that went through a text conversion.
using Magic = std::array<unsigned char, 8>;
constexpr Magic kMagic = {'L', 'I', 'O', 'N', 'L', '\r', '\n', 0x1A};
constexpr std::size_t kHeaderChecksumAt = kSegmentHeaderBytes - 4;
constexpr std::size_t kSegmentDigits = 20;
constexpr std::size_t kHashAt = kLinkBodyBytes - sizeof(Hash);

template <typename T>
void put(std::span<std::byte> bytes, std::size_t at, const T& value) {
  std::memcpy(bytes.data() + at, &value, sizeof value);
}

template <typename T>
T get(std::span<const std::byte> bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof value);
  return value;
}

// The length in the lower 24 bits, the kind in the upper 8.
struct LengthAndKind {
  std::size_t body_bytes;
  std::uint8_t kind;
};
LengthAndKind length_and_kind(std::span<const std::byte> at) {
  const auto word = get<std::uint32_t>(at, 4);
  return {word & 0xFFFFFFU, static_cast<std::uint8_t>(word >> 24)};
}

bool known(std::uint8_t kind) {
  return (kind >= static_cast<std::uint8_t>(RecordKind::kEvent) &&
          kind <= static_cast<std::uint8_t>(RecordKind::kSeal)) ||
         kind >= kSkippableKindMin;
}

}  // namespace

std::string segment_name(EventSeq first_seq) {
  char name[32];
  std::snprintf(name, sizeof name, "%020llu.lgl", static_cast<unsigned long long>(first_seq));
  return name;
}

std::optional<EventSeq> parse_segment_name(std::string_view name) {
  if (name.size() != kSegmentDigits + kSegmentSuffix.size() || !name.ends_with(kSegmentSuffix)) return std::nullopt;
  EventSeq seq = 0;
  const char* const end = name.data() + kSegmentDigits;
  const auto [stopped, problem] = std::from_chars(name.data(), end, seq);
  if (problem != std::errc() || stopped != end || seq == 0) return std::nullopt;
  return seq;
}

std::string node_id_text(const NodeId& node) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (std::size_t i = 0; i < node.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
    text.push_back(kHex[static_cast<unsigned>(node[i]) >> 4]);
    text.push_back(kHex[static_cast<unsigned>(node[i]) & 0x0FU]);
  }
  return text;
}

NodeId parse_node_id(std::string_view uuid) {
  LG_ASSERT(is_uuid(uuid));
  NodeId node{};
  std::size_t digits = 0;
  for (const char digit : uuid) {
    if (digit == '-') continue;
    const unsigned lower = static_cast<unsigned char>(digit) | 0x20U;
    const unsigned value = lower >= 'a' ? lower - 'a' + 10 : lower - '0';
    std::byte& byte = node[digits / 2];
    byte = static_cast<std::byte>(static_cast<unsigned>(byte) << 4 | (value & 0x0FU));
    ++digits;
  }
  return node;
}

void encode_header(const SegmentHeader& header, std::span<std::byte, kSegmentHeaderBytes> page) {
  std::fill(page.begin(), page.end(), std::byte{0});
  put(page, 0, kMagic);
  put(page, 8, header.version);
  put(page, 12, static_cast<std::uint32_t>(kSegmentHeaderBytes));
  put(page, 16, header.node);
  put(page, 32, header.epoch);
  put(page, 40, header.first_seq);
  put(page, 48, header.salt);
  put(page, 56, header.created_ns);
  put(page, 64, header.previous_hash);
  put(page, kHeaderChecksumAt, crc32c_extend(0, page.first(kHeaderChecksumAt)));
}

std::optional<SegmentHeader> decode_header(std::span<const std::byte> page) {
  if (page.size() < kSegmentHeaderBytes) return std::nullopt;
  if (get<Magic>(page, 0) != kMagic) return std::nullopt;
  if (segment_key(page) != crc32c_extend(0, page.first(kHeaderChecksumAt))) return std::nullopt;
  SegmentHeader header;
  header.version = get<std::uint32_t>(page, 8);
  header.node = get<NodeId>(page, 16);
  header.epoch = get<std::uint64_t>(page, 32);
  header.first_seq = get<EventSeq>(page, 40);
  header.salt = get<std::uint64_t>(page, 48);
  header.created_ns = get<std::int64_t>(page, 56);
  header.previous_hash = get<Hash>(page, 64);
  return header;
}

std::uint32_t segment_key(std::span<const std::byte> page) {
  return get<std::uint32_t>(page, kHeaderChecksumAt);
}

void begin_record(std::span<std::byte> record, RecordKind kind, EventSeq seq, std::int64_t time_ns,
                  std::size_t body_bytes) {
  const auto word = static_cast<std::uint32_t>(body_bytes) | static_cast<std::uint32_t>(kind) << 24;
  put(record, 4, word);
  put(record, 8, seq);
  put(record, 16, time_ns);
  const std::size_t padding_at = kRecordHeaderBytes + body_bytes;
  std::memset(record.data() + padding_at, 0, record.size() - padding_at);
}

void finish_record(std::span<std::byte> record, std::uint32_t key) {
  put(record, 0, crc32c_extend(key, record.subspan(4)));
}

std::size_t stated_record_bytes(std::span<const std::byte> at) {
  return record_bytes(length_and_kind(at).body_bytes);
}

void encode_commit(const Commit& commit, std::span<std::byte, kLinkBodyBytes> body) {
  put(body, 0, commit.count);
  put(body, 4, std::uint32_t{0});
  put(body, 8, commit.first_seq);
  put(body, 16, commit.last_seq);
  put(body, 24, commit.batch_offset);
  put(body, 32, commit.durable_offset);
  put(body, 40, commit.previous_hash);
  put(body, kHashAt, commit.hash);
}

std::optional<Commit> decode_commit(std::span<const std::byte> body) {
  if (body.size() != kLinkBodyBytes) return std::nullopt;
  return Commit{.count = get<std::uint32_t>(body, 0),
                .first_seq = get<EventSeq>(body, 8),
                .last_seq = get<EventSeq>(body, 16),
                .batch_offset = get<std::uint64_t>(body, 24),
                .durable_offset = get<std::uint64_t>(body, 32),
                .previous_hash = get<Hash>(body, 40),
                .hash = get<Hash>(body, kHashAt)};
}

void encode_seal(const Seal& seal, std::span<std::byte, kLinkBodyBytes> body) {
  put(body, 0, static_cast<std::uint32_t>(seal.reason));
  put(body, 4, std::uint32_t{0});
  put(body, 8, seal.first_seq);
  put(body, 16, seal.last_seq);
  put(body, 24, seal.footer_offset);
  put(body, 32, seal.bytes_dropped);
  put(body, 40, seal.previous_hash);
  put(body, kHashAt, seal.hash);
}

std::optional<Seal> decode_seal(std::span<const std::byte> body) {
  if (body.size() != kLinkBodyBytes) return std::nullopt;
  return Seal{.reason = static_cast<SealReason>(get<std::uint32_t>(body, 0)),
              .first_seq = get<EventSeq>(body, 8),
              .last_seq = get<EventSeq>(body, 16),
              .footer_offset = get<std::uint64_t>(body, 24),
              .bytes_dropped = get<std::uint64_t>(body, 32),
              .previous_hash = get<Hash>(body, 40),
              .hash = get<Hash>(body, kHashAt)};
}

ParseStatus parse_record(std::span<const std::byte> at, std::uint64_t offset, std::uint32_t key, RecordView& record) {
  if (at.size() < 8) return ParseStatus::kIncomplete;
  const auto [body_bytes, kind] = length_and_kind(at);
  if (get<std::uint64_t>(at, 0) == 0) return ParseStatus::kZero;
  if (!known(kind) || body_bytes > kRecordBodyBytesMax) return ParseStatus::kBad;
  const std::size_t total = record_bytes(body_bytes);
  if (at.size() < total) return ParseStatus::kIncomplete;
  if (get<std::uint32_t>(at, 0) != crc32c_extend(key, at.subspan(4, total - 4))) return ParseStatus::kBad;
  record.kind = kind;
  record.seq = get<EventSeq>(at, 8);
  record.time_ns = get<std::int64_t>(at, 16);
  record.offset = offset;
  record.bytes = at.first(total);
  record.body = at.subspan(kRecordHeaderBytes, body_bytes);
  return ParseStatus::kRecord;
}

}  // namespace liongate::event_log
