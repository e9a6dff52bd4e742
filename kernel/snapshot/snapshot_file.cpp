#include "kernel/snapshot/snapshot_file.h"

#include <bit>
#include <charconv>
#include <cstring>

#include "kernel/base/digest.h"
#include "kernel/base/limits.h"

namespace liongate::snapshot {
namespace {

static_assert(std::endian::native == std::endian::little, "numbers on disk are little-endian and copied as they are");

constexpr std::string_view kMagic = "LIONS\r\n\x1a";
constexpr std::string_view kSuffix = ".snapshot";
constexpr std::size_t kVersionAt = 8;
constexpr std::size_t kLengthAt = 16;
constexpr std::size_t kHashAt = 24;
constexpr std::size_t kSeqDigits = 20;

template <typename Number>
Number number_at(std::string_view bytes, std::size_t at) {
  Number number = 0;
  std::memcpy(&number, bytes.data() + at, sizeof(number));
  return number;
}

std::string hash_of(std::string_view head, std::string_view body) {
  Sha256 hash;
  hash.update(head);
  hash.update(body);
  const std::string hex = hash.finish_hex();
  std::string bytes;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    unsigned value = 0;
    std::from_chars(hex.data() + i, hex.data() + i + 2, value, 16);
    bytes.push_back(static_cast<char>(value));
  }
  return bytes;
}

Error damaged(const std::string& what) {
  return make_error(Reason::kLogCorrupt, "it is damaged: " + what);
}

}  // namespace

Result<std::string> encode(const v1::Snapshot& snapshot) {
  const std::size_t size = snapshot.ByteSizeLong();
  if (size > limits::kSnapshotBytesMax) {
    return make_error(Reason::kInputTooLarge, "a snapshot of " + std::to_string(size) + " bytes is over the bound of " +
                                                  std::to_string(limits::kSnapshotBytesMax));
  }
  std::string bytes(kHashAt, '\0');
  std::memcpy(bytes.data(), kMagic.data(), kMagic.size());
  std::memcpy(bytes.data() + kVersionAt, &kFormatVersion, sizeof(kFormatVersion));
  const auto length = static_cast<std::uint64_t>(size);
  std::memcpy(bytes.data() + kLengthAt, &length, sizeof(length));
  std::string body;
  snapshot.SerializeToString(&body);
  bytes += hash_of(bytes, body);
  bytes += body;
  return bytes;
}

Result<v1::Snapshot> decode(std::string_view bytes) {
  if (bytes.size() < kFrameBytes) return damaged("it ends after " + std::to_string(bytes.size()) + " bytes");
  if (bytes.substr(0, kMagic.size()) != kMagic) return damaged("it does not begin like a snapshot");
  const auto version = number_at<std::uint32_t>(bytes, kVersionAt);
  if (version > kFormatVersion) {
    return make_error(Reason::kInvalidConfig, "it has the newer format " + std::to_string(version));
  }
  const std::string_view body = bytes.substr(kFrameBytes);
  if (number_at<std::uint64_t>(bytes, kLengthAt) != body.size()) return damaged("its length is not what it says");
  if (bytes.substr(kHashAt, kFrameBytes - kHashAt) != hash_of(bytes.substr(0, kHashAt), body)) {
    return damaged("its hash is not that of its content");
  }
  v1::Snapshot snapshot;
  if (version != kFormatVersion || !snapshot.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return damaged("its content is no snapshot");
  }
  return snapshot;
}

std::string file_name(EventSeq seq) {
  const std::string digits = std::to_string(seq);
  return std::string(kSeqDigits - digits.size(), '0') + digits + std::string(kSuffix);
}

std::optional<EventSeq> parse_file_name(std::string_view name) {
  if (name.size() != kSeqDigits + kSuffix.size() || !name.ends_with(kSuffix)) return std::nullopt;
  EventSeq seq = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + kSeqDigits, seq);
  if (error != std::errc() || end != name.data() + kSeqDigits || seq == 0) return std::nullopt;
  return seq;
}

}  // namespace liongate::snapshot
