// A checkpoint: how many batches a log had and what the root over them was, as text that is signed and as a record.
//
// The prose is docs/event-log-format.md, "Checkpoint"; it comes first. `parse_checkpoint` reads what people hand in.
//
// Ownership and thread: plain values and pure functions; a ChainHash is lent by the caller.
// Errors: nothing, where bytes are no checkpoint; no length in them is trusted.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "kernel/event_log/merkle_tree.h"
#include "kernel/signing/signed_note.h"

namespace liongate::event_log {

struct Checkpoint {
  std::string origin;  // which log: see checkpoint_origin
  std::uint64_t tree_size = 0;
  Hash root{};
  EventSeq last_seq = 0;  // covered
  std::int64_t time_ns = 0;
};

// "liongate/NODE": the first line of a checkpoint and the name of the keys that sign it.
std::string checkpoint_origin(const NodeId& node);
std::optional<NodeId> parse_origin(std::string_view origin);

// What is signed.
std::string checkpoint_text(const Checkpoint& checkpoint);

struct SignedCheckpoint {
  Checkpoint checkpoint;
  signing::SignedNote note;
};
// Reads a note; says nothing about who signed it.
std::optional<SignedCheckpoint> parse_checkpoint(std::string_view note);

// The body of a record of kind 129. Its frontier and its note describe the same tree.
struct CheckpointRecord {
  MerkleTree tree;
  std::string note_text;  // the whole note, signatures included
  SignedCheckpoint signed_checkpoint;
};
std::size_t checkpoint_body_bytes(const MerkleTree& tree, std::string_view note);
void encode_checkpoint(const MerkleTree& tree, std::string_view note, std::span<std::byte> body);
std::optional<CheckpointRecord> decode_checkpoint(std::span<const std::byte> body, ChainHash& hasher);

// The most that a batch with nothing but a checkpoint takes.
inline constexpr std::size_t kCheckpointBatchBytesMax =
    record_bytes(8 + MerkleTree::kFrontierHashesMax * sizeof(Hash) + limits::kNoteBytesMax) + kLinkRecordBytes;

}  // namespace liongate::event_log
