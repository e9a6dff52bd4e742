#include "kernel/event_log/checkpoint.h"

#include <charconv>

#include "kernel/base/assert.h"
#include "kernel/signing/base64.h"
#include "kernel/signing/note_time.h"

namespace liongate::event_log {
namespace {

constexpr std::string_view kOriginPrefix = "liongate/";
constexpr std::string_view kLastSeqWord = "last-seq ";
constexpr std::string_view kTimeWord = "time ";
constexpr std::size_t kLinesMin = 5;
constexpr std::size_t kFrontierAt = 8;

// A number as it is written: digits, no sign, no zero in front.
std::optional<std::uint64_t> parse_number(std::string_view text) {
  std::uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [stopped, problem] = std::from_chars(text.data(), end, number);
  if (problem != std::errc() || stopped != end || std::to_string(number) != text) return std::nullopt;
  return number;
}

std::optional<Checkpoint> parse_text(std::string_view text) {
  const std::vector<std::string_view> lines = signing::lines_of(text);
  if (lines.size() < kLinesMin || !lines[0].starts_with(kOriginPrefix) || !lines[3].starts_with(kLastSeqWord) ||
      !lines[4].starts_with(kTimeWord)) {
    return std::nullopt;
  }
  Checkpoint checkpoint{.origin = std::string(lines[0])};
  const auto size = parse_number(lines[1]);
  const auto last_seq = parse_number(lines[3].substr(kLastSeqWord.size()));
  const auto time_ns = signing::parse_time(lines[4].substr(kTimeWord.size()));
  if (!size || !last_seq || !time_ns || !signing::from_base64(lines[2], checkpoint.root)) return std::nullopt;
  checkpoint.tree_size = *size;
  checkpoint.last_seq = *last_seq;
  checkpoint.time_ns = *time_ns;
  return checkpoint;
}

std::uint32_t number_at(std::span<const std::byte> body, std::size_t at) {
  std::uint32_t number = 0;
  std::memcpy(&number, body.data() + at, sizeof number);
  return number;
}

}  // namespace

std::string checkpoint_origin(const NodeId& node) {
  return std::string(kOriginPrefix) + node_id_text(node);
}

std::optional<NodeId> parse_origin(std::string_view origin) {
  if (!origin.starts_with(kOriginPrefix)) return std::nullopt;
  origin.remove_prefix(kOriginPrefix.size());
  if (!is_uuid(origin)) return std::nullopt;
  return parse_node_id(origin);
}

std::string checkpoint_text(const Checkpoint& checkpoint) {
  return checkpoint.origin + "\n" + std::to_string(checkpoint.tree_size) + "\n" + signing::to_base64(checkpoint.root) +
         "\n" + std::string(kLastSeqWord) + std::to_string(checkpoint.last_seq) + "\n" + std::string(kTimeWord) +
         signing::time_text(checkpoint.time_ns) + "\n";
}

std::optional<SignedCheckpoint> parse_checkpoint(std::string_view note) {
  auto parsed = signing::parse_note(note);
  if (!parsed) return std::nullopt;
  auto checkpoint = parse_text(parsed->text);
  if (!checkpoint) return std::nullopt;
  return SignedCheckpoint{.checkpoint = std::move(*checkpoint), .note = std::move(*parsed)};
}

std::size_t checkpoint_body_bytes(const MerkleTree& tree, std::string_view note) {
  return kFrontierAt + tree.frontier().size() * sizeof(Hash) + note.size();
}

void encode_checkpoint(const MerkleTree& tree, std::string_view note, std::span<std::byte> body) {
  LG_ASSERT(note.size() <= limits::kNoteBytesMax && body.size() == checkpoint_body_bytes(tree, note));
  const auto hashes = static_cast<std::uint32_t>(tree.frontier().size());
  const auto note_bytes = static_cast<std::uint32_t>(note.size());
  std::memcpy(body.data(), &hashes, sizeof hashes);
  std::memcpy(body.data() + 4, &note_bytes, sizeof note_bytes);
  std::byte* const frontier = body.data() + kFrontierAt;
  if (hashes != 0) std::memcpy(frontier, tree.frontier().data(), hashes * sizeof(Hash));
  std::memcpy(frontier + hashes * sizeof(Hash), note.data(), note.size());
}

std::optional<CheckpointRecord> decode_checkpoint(std::span<const std::byte> body, ChainHash& hasher) {
  if (body.size() < kFrontierAt) return std::nullopt;
  const std::size_t hashes = number_at(body, 0);
  const std::size_t note_bytes = number_at(body, 4);
  if (hashes > MerkleTree::kFrontierHashesMax || note_bytes > limits::kNoteBytesMax) return std::nullopt;
  const std::size_t note_at = kFrontierAt + hashes * sizeof(Hash);
  if (body.size() != note_at + note_bytes) return std::nullopt;
  std::vector<Hash> frontier(hashes);
  if (hashes != 0) std::memcpy(frontier.data(), body.data() + kFrontierAt, hashes * sizeof(Hash));
  const std::string_view note(reinterpret_cast<const char*>(body.data()) + note_at, note_bytes);
  auto parsed = parse_checkpoint(note);
  if (!parsed) return std::nullopt;
  auto tree = MerkleTree::restore(parsed->checkpoint.tree_size, std::move(frontier));
  if (!tree || tree->root(hasher) != parsed->checkpoint.root) return std::nullopt;
  return CheckpointRecord{
      .tree = std::move(*tree), .note_text = std::string(note), .signed_checkpoint = std::move(*parsed)};
}

}  // namespace liongate::event_log
