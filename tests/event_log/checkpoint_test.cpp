// Goal: a log with a key signs what it committed, where the format says so, and goes on signing in every later life,
// whatever became of the one before. Method: real folders, lives that are closed, copied while they run, or had no key.
#include "kernel/event_log/checkpoint.h"

#include <thread>

#include "kernel/event_log/record_cursor.h"
#include "tests/event_log/signed_log.h"

using namespace liongate;
using namespace liongate::event_log;

namespace {

constexpr std::uint64_t kCheckpointSegmentBytes = 32 * 1024;

// The kinds of the records of a segment, in order.
std::vector<RecordKind> kinds_in(const std::string& folder, const std::string& name) {
  const auto storage = open_disk_storage(folder).value();
  const OpenedSegment segment = open_segment(*storage, name, Access::kRead).value();
  RecordCursor cursor(segment.file, segment.key, kSegmentHeaderBytes, segment.size_bytes);
  std::vector<RecordKind> kinds;
  RecordView record;
  while (cursor.next(record).value() == RecordCursor::Step::kRecord) {
    kinds.push_back(static_cast<RecordKind>(record.kind));
  }
  return kinds;
}

SignedCheckpoint parsed(const std::string& note) {
  auto checkpoint = parse_checkpoint(note);
  INFO(note);
  REQUIRE(checkpoint.has_value());
  return *checkpoint;
}

}  // namespace

TEST_CASE("a closed log is signed to its last event") {
  const StateFolder state;
  live(state.options(), 5);
  const Verification verification = state.verified();
  INFO(all_messages(verification));
  CHECK(verification.damages.empty());
  CHECK(verification.notes.empty());
  CHECK(verification.checkpoints == 2);
  CHECK(verification.signed_seq == 10);
  CHECK(verification.events == 10);
}

TEST_CASE("every segment begins with a checkpoint and ends with one in front of its seal") {
  const StateFolder state;
  live(state.options(kCheckpointSegmentBytes), 100);
  const auto names = segments_in(state.log);
  REQUIRE(names.size() > 2);
  for (const std::string& name : names) {
    auto kinds = kinds_in(state.log, name);
    std::erase(kinds, RecordKind::kFooter);  // stands between the last commit and the seal
    REQUIRE(kinds.size() > 5);
    CHECK(kinds[0] == RecordKind::kCheckpoint);
    CHECK(kinds[1] == RecordKind::kCommit);
    CHECK(kinds[kinds.size() - 3] == RecordKind::kCheckpoint);
    CHECK(kinds[kinds.size() - 2] == RecordKind::kCommit);
    CHECK(kinds[kinds.size() - 1] == RecordKind::kSeal);
    CHECK(std::filesystem::file_size(state.log + "/" + name) <= kCheckpointSegmentBytes);
  }
  CHECK(state.verified().damages.empty());
  CHECK(read_all(**read_offline(state.log, 0)) == 200);
}

TEST_CASE("a log without a key holds no checkpoint, and verify-log says so") {
  const StateFolder state;
  live({.folder = state.log}, 3);
  const auto kinds = kinds_in(state.log, segment_name(1));
  CHECK(std::count(kinds.begin(), kinds.end(), RecordKind::kCheckpoint) == 0);
  const Verification verification = state.verified();
  CHECK(verification.damages.empty());
  CHECK(verification.checkpoints == 0);
  REQUIRE(verification.notes.size() == 1);
  CHECK(verification.notes[0].find("nothing in it is signed") != std::string::npos);
}

TEST_CASE("the tree goes on over lives, with and without an orderly end, with and without a key") {
  const StateFolder state;
  const StateFolder copy;
  SECTION("closed") {
    live(state.options(), 3);
    live(state.options(), 3);
    CHECK(state.verified().signed_seq == 12);
    CHECK(state.verified().damages.empty());
  }
  SECTION("crashed between two checkpoints") {
    {
      LivingLog living(state.options());
      living.append_durable(7);
      REQUIRE(living.log->checkpoint().has_value());
      living.append_durable(9);
      copy_log(state.log, copy.log);
      std::filesystem::copy(state.keys, copy.keys);
    }
    CHECK(copy.verified().signed_seq == 7);
    live(copy.options(), 3);
    INFO(all_messages(copy.verified()));
    CHECK(copy.verified().damages.empty());
    CHECK(copy.verified().signed_seq == 22);
  }
  SECTION("a log that was never signed") {
    live({.folder = state.log, .segment_bytes = kCheckpointSegmentBytes}, 100);
    live(state.options(), 3);
    INFO(all_messages(state.verified()));
    CHECK(state.verified().damages.empty());
    CHECK(state.verified().signed_seq == 206);
  }
  SECTION("a life without a key in between is found, and later ones sign over it") {
    live(state.options(), 3);
    live({.folder = state.log}, 3);
    live({.folder = state.log}, 3);
    live(state.options(), 3);
    const Verification verification = state.verified();
    INFO(all_messages(verification));
    CHECK(verification.damages.size() == 2);
    CHECK(has_damage(verification, DamageKind::kBadCheckpoint));
    CHECK(verification.signed_seq == 24);
  }
}

TEST_CASE("a life that opens after a crash does not read more than the last segment") {
  // The tree is in the last segment's own records: the one before it may be unreadable without anybody noticing here.
  const StateFolder state;
  live(state.options(kCheckpointSegmentBytes), 200);
  const auto names = segments_in(state.log);
  REQUIRE(names.size() > 3);
  std::string bytes = read_bytes(state.log + "/" + names[names.size() - 2]);
  bytes[5000] = static_cast<char>(bytes[5000] ^ 1);
  write_bytes(state.log + "/" + names[names.size() - 2], bytes);
  live(state.options(), 1);
  CHECK(state.verified().damages.size() == 1);
}

TEST_CASE("a checkpoint that is asked for covers everything that was acknowledged") {
  const StateFolder state;
  LivingLog living(state.options());
  living.append_durable(5);
  const std::string first = living.log->checkpoint().value();
  CHECK(parsed(first).checkpoint.last_seq == 5);
  CHECK(parsed(first).checkpoint.origin == "liongate/" + living.log->node_id());
  CHECK(living.log->checkpoint().value() == first);  // nothing new, nothing signed
  living.append_durable(1);
  const std::string second = living.log->checkpoint().value();
  CHECK(parsed(second).checkpoint.last_seq == 6);
  // The log on disk extends both, whatever happens now.
  const StateFolder copy;
  copy_log(state.log, copy.log);
  std::filesystem::copy(state.keys, copy.keys);
  CHECK(copy.verified(first).verdict == CheckpointVerdict::kExtends);
  CHECK(copy.verified(second).verdict == CheckpointVerdict::kExtends);
  REQUIRE(living.log->close().has_value());
  CHECK(state.verified(first).verdict == CheckpointVerdict::kExtends);
  const auto late = living.log->checkpoint();
  REQUIRE_FALSE(late.has_value());
  CHECK(late.error().reason == Reason::kShuttingDown);
}

TEST_CASE("a checkpoint is asked for by many at once while the log is written") {
  const StateFolder state;
  LivingLog living(state.options(kCheckpointSegmentBytes));
  std::atomic<int> failures{0};
  std::vector<std::thread> askers;
  for (int i = 0; i < 4; ++i) {
    askers.emplace_back([&] {
      EventSeq before = 0;
      for (int round = 0; round < 25; ++round) {
        const EventSeq durable = living.log->durable_seq();
        const auto note = living.log->checkpoint();
        const auto checkpoint = note ? parse_checkpoint(*note) : std::nullopt;
        if (!checkpoint || checkpoint->checkpoint.last_seq < std::max(before, durable)) ++failures;
        if (checkpoint) before = checkpoint->checkpoint.last_seq;
      }
    });
  }
  living.append_durable(500);
  for (std::thread& asker : askers) asker.join();
  CHECK(failures == 0);
  REQUIRE(living.log->close().has_value());
  INFO(all_messages(state.verified()));
  CHECK(state.verified().damages.empty());
}

TEST_CASE("a log that is open and empty can be asked for a checkpoint, and one between two lives too") {
  const StateFolder state;
  {
    LivingLog living(state.options());
    const SignedCheckpoint empty = parsed(living.log->checkpoint().value());
    CHECK(empty.checkpoint.tree_size == 0);
    CHECK(empty.checkpoint.last_seq == 0);
  }
  live(state.options(), 2);
  LivingLog living(state.options());
  const std::string note = living.log->checkpoint().value();
  CHECK(parsed(note).checkpoint.last_seq == 4);
  CHECK(last_checkpoint(state.log).error().reason == Reason::kInvalidArgument);
  REQUIRE(living.log->close().has_value());
  CHECK(last_checkpoint(state.log).value() == note);
}

TEST_CASE("the timer signs what was committed, and then nothing more") {
  const StateFolder state;
  Options options = state.options();
  options.checkpoint_interval = std::chrono::milliseconds(20);
  LivingLog living(options);
  living.append_durable(3);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(20);
  while (state.verified().signed_seq < 3 && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
  const std::uint64_t checkpoints = state.verified().checkpoints;
  CHECK(checkpoints == 2);
  CHECK(state.verified().signed_seq == 3);
  std::this_thread::sleep_for(10 * options.checkpoint_interval);  // that nothing happens can only be waited for
  CHECK(state.verified().checkpoints == checkpoints);
}

TEST_CASE("a log without a key has no checkpoint to give") {
  const StateFolder state;
  LivingLog living({.folder = state.log});
  living.append_durable(1);
  CHECK(living.log->checkpoint().error().reason == Reason::kInvalidArgument);
}

TEST_CASE("the record of a checkpoint is read back, and no other bytes are one") {
  ChainHash hasher;
  MerkleTree tree;
  for (int i = 0; i < 5; ++i) tree.append(Hash{}, hasher);
  const auto signer = signing::make_note_signer("liongate/test").signer;
  const Checkpoint checkpoint{.origin = "liongate/test",
                              .tree_size = 5,
                              .root = tree.root(hasher),
                              .last_seq = 77,
                              .time_ns = 1'700'000'000'123'456'789};
  const std::string note = signer.sign(checkpoint_text(checkpoint));
  std::vector<std::byte> body(checkpoint_body_bytes(tree, note));
  encode_checkpoint(tree, note, body);
  const auto back = decode_checkpoint(body, hasher);
  REQUIRE(back.has_value());
  CHECK(back->note_text == note);
  CHECK(back->signed_checkpoint.checkpoint.last_seq == 77);
  CHECK(back->signed_checkpoint.checkpoint.time_ns == 1'700'000'000'123'456'789);
  CHECK(back->tree.root(hasher) == checkpoint.root);
  for (std::size_t cut = 0; cut < body.size(); ++cut) {
    if (decode_checkpoint(std::span(body).first(cut), hasher)) FAIL("cut at " << cut);
  }
  for (std::size_t at = 0; at < 8 + 2 * sizeof(Hash) + checkpoint_text(checkpoint).size(); ++at) {
    std::vector<std::byte> changed = body;
    changed[at] ^= std::byte{1};
    const auto read = decode_checkpoint(changed, hasher);
    if (read && read->signed_checkpoint.note.is_signed_by(signer.public_key())) FAIL("changed at " << at);
  }
}
