// The Merkle tree of RFC 6962 over the batch hashes of a log, kept as its frontier: what is needed to go on and to tell
// the root, and no more.
//
// A leaf is one batch hash, 32 bytes. Its hash is SHA-256(0x00 || leaf), that of a node SHA-256(0x01 || left || right);
// a tree of n leaves splits at the largest power of two below n. The frontier of n leaves are the roots of the perfect
// subtrees that n is the sum of, largest first: one for each bit that is set in n.
//
// Ownership and thread: plain values; a ChainHash is lent by the caller, because making one costs more than using it.
// Errors: none; `restore` answers with nothing where the hashes are not as many as the size says.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "kernel/event_log/chain_hash.h"

namespace liongate::event_log {

class MerkleTree {
 public:
  // As many trees as a 64-bit size can have bits.
  static constexpr std::size_t kFrontierHashesMax = 64;

  MerkleTree() = default;
  // The tree of `size` leaves whose frontier is known; nothing if that many hashes cannot be its frontier.
  static std::optional<MerkleTree> restore(std::uint64_t size, std::vector<Hash> frontier);

  void append(const Hash& leaf, ChainHash& hasher);
  Hash root(ChainHash& hasher) const;

  std::uint64_t size() const { return size_; }
  const std::vector<Hash>& frontier() const { return frontier_; }

 private:
  std::uint64_t size_ = 0;
  std::vector<Hash> frontier_;
};

}  // namespace liongate::event_log
