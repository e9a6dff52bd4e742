#include "kernel/event_log/merkle_tree.h"

namespace liongate::event_log {
namespace {

constexpr std::array<std::byte, 1> kLeafPrefix = {std::byte{0}};
constexpr std::array<std::byte, 1> kNodePrefix = {std::byte{1}};

Hash hash_of_leaf(const Hash& leaf, ChainHash& hasher) {
  hasher.start();
  hasher.add(kLeafPrefix);
  hasher.add(leaf);
  return hasher.finish();
}

Hash hash_of_node(const Hash& left, const Hash& right, ChainHash& hasher) {
  hasher.start();
  hasher.add(kNodePrefix);
  hasher.add(left);
  hasher.add(right);
  return hasher.finish();
}

}  // namespace

std::optional<MerkleTree> MerkleTree::restore(std::uint64_t size, std::vector<Hash> frontier) {
  if (static_cast<std::size_t>(std::popcount(size)) != frontier.size()) return std::nullopt;
  MerkleTree tree;
  tree.size_ = size;
  tree.frontier_ = std::move(frontier);
  return tree;
}

void MerkleTree::append(const Hash& leaf, ChainHash& hasher) {
  Hash hash = hash_of_leaf(leaf, hasher);
  // Each bit that the addition carries over joins two trees of the same size.
  for (std::uint64_t carry = size_; (carry & 1U) != 0; carry >>= 1U) {
    hash = hash_of_node(frontier_.back(), hash, hasher);
    frontier_.pop_back();
  }
  frontier_.push_back(hash);
  ++size_;
}

Hash MerkleTree::root(ChainHash& hasher) const {
  if (frontier_.empty()) {  // RFC 6962: the hash of an empty string
    hasher.start();
    return hasher.finish();
  }
  Hash hash = frontier_.back();
  for (std::size_t i = frontier_.size() - 1; i-- > 0;) hash = hash_of_node(frontier_[i], hash, hasher);
  return hash;
}

}  // namespace liongate::event_log
