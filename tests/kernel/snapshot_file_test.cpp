// Goal: a snapshot file is whole or refused: no byte of it can change unseen, and no half of one passes.
#include "kernel/snapshot/snapshot_file.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "kernel/snapshot/snapshot_store.h"
#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using namespace liongate::snapshot;
using liongate::testing::TemporaryFolder;

namespace {

v1::Snapshot sample(EventSeq seq = 42) {
  v1::Snapshot snapshot;
  snapshot.set_node_id("7c9e6679-7425-40de-944b-e07fc1f90ae7");
  snapshot.set_seq(seq);
  snapshot.set_event_sha256(std::string(64, 'a'));
  snapshot.mutable_state()->set_seq(seq);
  return snapshot;
}

}  // namespace

TEST_CASE("a snapshot comes back as it was") {
  const auto decoded = decode(encode(sample()).value());
  REQUIRE(decoded.has_value());
  CHECK(decoded->SerializeAsString() == sample().SerializeAsString());
}

TEST_CASE("every flipped bit and every cut of a snapshot is refused") {
  const std::string bytes = encode(sample()).value();
  for (std::size_t at = 0; at < bytes.size(); ++at) {
    for (int bit = 0; bit < 8; ++bit) {
      std::string flipped = bytes;
      flipped[at] = static_cast<char>(flipped[at] ^ (1 << bit));
      if (decode(flipped).has_value()) FAIL("byte " << at << " bit " << bit << " may change unseen");
    }
    if (decode(bytes.substr(0, at)).has_value()) FAIL("cut at " << at << " it passes");
  }
  CHECK_FALSE(decode(bytes + "x").has_value());
}

TEST_CASE("a newer format is told from damage") {
  std::string bytes = encode(sample()).value();
  bytes[8] = 2;
  CHECK(decode(bytes).error().reason == Reason::kInvalidConfig);
  bytes[8] = 0;
  CHECK(decode(bytes).error().reason == Reason::kLogCorrupt);
}

TEST_CASE("names of snapshots are read as strictly as they are written") {
  CHECK(parse_file_name(file_name(187263)) == 187263);
  CHECK(file_name(187263) == "00000000000000187263.snapshot");
  for (const char* name : {"", "1.snapshot", "0000000000000018726x.snapshot", "00000000000000187263.snapshot2",
                           "00000000000000000000.snapshot", "99999999999999999999.snapshot", "spare.tmp"}) {
    CHECK_FALSE(parse_file_name(name).has_value());
  }
}

TEST_CASE("a store keeps what it is told to and leaves foreign files alone") {
  const TemporaryFolder folder;
  const auto store = open_store(folder.path + "/snapshots").value();
  std::ofstream(folder.path + "/snapshots/notes.txt") << "mine";
  std::ofstream(folder.path + "/snapshots/spare.tmp") << "half of one";
  for (const EventSeq seq : {10, 20, 30}) REQUIRE(store->write(sample(seq)).has_value());
  REQUIRE(store->write(sample(30)).has_value());  // again: replaced
  CHECK(store->list().value() == std::vector<EventSeq>{30, 20, 10});
  CHECK(store->read(20)->seq() == 20);
  REQUIRE(store->keep_only({30, 20}).has_value());
  CHECK(store->list().value() == std::vector<EventSeq>{30, 20});
  CHECK(std::filesystem::exists(folder.path + "/snapshots/notes.txt"));
  std::filesystem::rename(folder.path + "/snapshots/" + file_name(20), folder.path + "/snapshots/" + file_name(25));
  CHECK(store->read(25).error().message.find("name") != std::string::npos);
  CHECK(find_store(folder.path + "/nowhere").value() == nullptr);
}

TEST_CASE("a snapshot over the bound is not written") {
  v1::Snapshot large = sample();
  // One string is enough, and is never sent anywhere.
  large.set_version(std::string(limits::kSnapshotBytesMax, 'v'));
  CHECK(encode(large).error().reason == Reason::kInputTooLarge);
}
