// Goal: our tree is the tree of RFC 6962. Method: roots of trees of batch hashes that tests/event_log/merkle_vectors.py
// computed by the recursive definition in the RFC (ours is iterative), and the RFC's own empty tree.
#include "kernel/event_log/merkle_tree.h"

#include <catch2/catch.hpp>
#include <string>

using namespace liongate::event_log;

namespace {

std::string hex(const Hash& hash) {
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  for (const std::byte byte : hash) {
    text.push_back(kHex[static_cast<unsigned>(byte) >> 4]);
    text.push_back(kHex[static_cast<unsigned>(byte) & 0x0FU]);
  }
  return text;
}

// The leaf of number `i`: SHA-256 of its decimal text.
Hash leaf(int i, ChainHash& hasher) {
  const std::string text = std::to_string(i);
  hasher.start();
  hasher.add(std::as_bytes(std::span(text)));
  return hasher.finish();
}

MerkleTree tree_of(int leaves, ChainHash& hasher) {
  MerkleTree tree;
  for (int i = 0; i < leaves; ++i) tree.append(leaf(i, hasher), hasher);
  return tree;
}

struct Vector {
  int leaves;
  const char* root;
};
// Printed by tests/event_log/merkle_vectors.py.
constexpr Vector kVectors[] = {
    {0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {1, "13a77175e35eb1d9da91ee14df0d7772cea71289800206e2b45c882ecb06efbf"},
    {2, "bbb441530bdded54e6e2bfcdc829819ff39b30768eb9f023071dffc16b410f10"},
    {3, "8be871f13785b4c81a1700459c76ac2b3ae2caebb7876c376e223c6adff98c47"},
    {4, "626635eec4e2fa4a75475a0f1d633dbee55b6783247c108b9a12dcc60f13836e"},
    {5, "4e23fb40d8876f1299cca9b3c28432a01b11d1a20126606914612892ff2e09a7"},
    {6, "49a8d9139a2333a5c1b7cd5a8db90bc3f7f308dd7fbdbf9e4ffaed988f1764fb"},
    {7, "5653c4ab2514ccd6ea4f0159702d2aba901f2562aa75abcff5a19e344bee038f"},
    {8, "da17ac5d45a1b0c50260c7e411bf342ba2a41c9c824bb3b6404e5330a585a057"},
    {9, "17b79b3c5a50a0a7ef06b2dda6828a9f42288d93d7436ab078c29127c4359b3f"},
    {15, "f41009a561cce7bc3d2a0e847bdefd26934cc66c9e5c1bacff0841cc088d01f9"},
    {16, "0fe6d4e51ec9938163abbfa849775d851fcbc50c04dbf25236d8073400049328"},
    {17, "c6540f9ccf28d495ec606773571caaa5dcbca41dae66f027277bb555796499d9"},
    {31, "2cb52876438726ac41b8988ac32a7c52f6f75254ac61155ef5ffd0a58521a66c"},
    {33, "3acfa2d54c081b87e933485a26aaaeb07a86cf72ba5c207a766414000309dde1"},
    {64, "9b023f7291abef947c66cfe8e319c1dd19138cb49d1d55985a0e2f471b92e5d9"},
    {100, "00a88be0272be917d68ef4e3576a8d0e17d3f615a514f6e7d60670200485f728"},
    {127, "85052f5c239aa0927ba64fb2317428c9b648723db784ca539263ea88c0b6d03e"},
    {255, "1142469aa08a9713e3dfe466a675ed1fbd5ce471895367f335ce65713cd87de8"},
    {1000, "3b93b70ed68de7847cfafb398f3df0cf232fe05dfb117f8a8cf9dc31990ddb3b"},
};

}  // namespace

TEST_CASE("roots are those of RFC 6962") {
  ChainHash hasher;
  for (const Vector& vector : kVectors) {
    INFO(vector.leaves << " leaves");
    CHECK(hex(tree_of(vector.leaves, hasher).root(hasher)) == vector.root);
  }
}

TEST_CASE("a frontier holds one hash for each bit of the size") {
  ChainHash hasher;
  MerkleTree tree;
  for (std::uint64_t size = 0; size < 300; ++size) {
    REQUIRE(tree.size() == size);
    REQUIRE(tree.frontier().size() == static_cast<std::size_t>(std::popcount(size)));
    tree.append(leaf(static_cast<int>(size), hasher), hasher);
  }
}

TEST_CASE("a restored tree goes on as if it had never stopped") {
  ChainHash hasher;
  for (int stop = 0; stop < 40; ++stop) {
    const MerkleTree before = tree_of(stop, hasher);
    auto restored = MerkleTree::restore(before.size(), before.frontier());
    REQUIRE(restored.has_value());
    for (int i = stop; i < 71; ++i) restored->append(leaf(i, hasher), hasher);
    CHECK(restored->root(hasher) == tree_of(71, hasher).root(hasher));
  }
}

TEST_CASE("a frontier of another length than the size asks for is refused") {
  ChainHash hasher;
  const MerkleTree tree = tree_of(5, hasher);
  CHECK_FALSE(MerkleTree::restore(4, tree.frontier()).has_value());
  CHECK_FALSE(MerkleTree::restore(7, tree.frontier()).has_value());
  CHECK_FALSE(MerkleTree::restore(5, {}).has_value());
  CHECK(MerkleTree::restore(5, tree.frontier()).has_value());
  CHECK(MerkleTree::restore(~std::uint64_t{0}, std::vector<Hash>(MerkleTree::kFrontierHashesMax)).has_value());
}

TEST_CASE("any other leaf, order or number of leaves is another root") {
  ChainHash hasher;
  const Hash root = tree_of(8, hasher).root(hasher);
  CHECK(tree_of(7, hasher).root(hasher) != root);
  CHECK(tree_of(9, hasher).root(hasher) != root);
  for (int changed = 0; changed < 8; ++changed) {
    MerkleTree tree;
    for (int i = 0; i < 8; ++i) tree.append(leaf(i == changed ? 100 : i, hasher), hasher);
    CHECK(tree.root(hasher) != root);
  }
}
