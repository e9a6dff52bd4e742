// Goal: history that was changed by somebody who knows the format is found: by the signatures inside the log, or, where
// the key was taken or replaced, by a checkpoint and a key kept elsewhere. Method: logs rewritten by log_forger.h.
#include "kernel/event_log/checkpoint.h"
#include "tests/event_log/log_forger.h"
#include "tests/event_log/signed_log.h"

using namespace liongate;
using namespace liongate::event_log;

namespace {

constexpr std::uint64_t kSmallSegmentBytes = 32 * 1024;

// A log of 400 events in several segments, and what was kept elsewhere when it had 240.
struct Scene {
  StateFolder state;
  std::string kept;
  signing::NoteKey key;

  Scene() {
    live(state.options(kSmallSegmentBytes), 120);
    kept = last_checkpoint(state.log).value();
    key = signing::read_key_ring(state.keys)->keys().front();
    live(state.options(kSmallSegmentBytes), 80);
    REQUIRE(segments_in(state.log).size() > 4);
    const Verification before = state.verified(kept);
    INFO(all_messages(before));
    REQUIRE(before.damages.empty());
    REQUIRE(before.verdict == CheckpointVerdict::kExtends);
  }

  void forge_event(EventSeq seq, ForgedCheckpoints checkpoints, const signing::NoteSigner* signer = nullptr) const {
    forge(state.log, {.seq = seq,
                      .change = [](v1::Event& event) { event.set_actor("uid:0, honestly"); },
                      .checkpoints = checkpoints,
                      .signer = signer});
  }
  // As if the attacker had put a key of his own in place of the log's.
  signing::NoteSigner replace_keys() const {
    auto signer = signing::make_note_signer(key.name).signer;
    std::filesystem::remove_all(state.keys);
    std::filesystem::create_directory(state.keys);
    write_bytes(state.keys + "/log-0001.pub", signer.public_key().text() + "\n");
    return signer;
  }
  Result<Verification> held_against(const std::string& checkpoint, const signing::NoteKey& trusted) const {
    Evidence evidence = state.evidence(checkpoint);
    evidence.trusted = trusted;
    return verify(state.log, evidence);
  }
};

}  // namespace

TEST_CASE("a rewritten log is whole for everybody who only looks at checksums and hashes") {
  const Scene scene;
  scene.forge_event(7, ForgedCheckpoints::kDrop);
  const Verification verification = verify(scene.state.log).value();
  INFO(all_messages(verification));
  CHECK(verification.damages.empty());
  CHECK(verification.events == 400);
  v1::Event event;
  auto reader = read_offline(scene.state.log, 6).value();
  REQUIRE(*reader->next(event));
  CHECK(event.actor() == "uid:0, honestly");
}

TEST_CASE("checkpoints that were left as they are, or restated without the key, give a rewritten log away") {
  const Scene scene;
  scene.forge_event(7, GENERATE(ForgedCheckpoints::kLeave, ForgedCheckpoints::kRestate));
  const Verification verification = scene.state.verified();
  INFO(all_messages(verification));
  CHECK(has_damage(verification, DamageKind::kBadCheckpoint));
  // The first checkpoint behind the change is the first that does not hold.
  CHECK(verification.damages.front().segment == segments_in(scene.state.log).front());
}

TEST_CASE("a rewritten log is found by a checkpoint kept elsewhere") {
  const Scene scene;
  SECTION("without its checkpoints") {
    scene.forge_event(7, ForgedCheckpoints::kDrop);
    const Verification verification = scene.state.verified(scene.kept);
    CHECK(has_damage(verification, DamageKind::kHistoryRewritten));
    CHECK(verification.verdict == CheckpointVerdict::kContradicted);
    CHECK(verification.damages.size() == 1);
  }
  SECTION("signed again with a key that replaced the log's") {
    const auto signer = scene.replace_keys();
    scene.forge_event(7, ForgedCheckpoints::kResign, &signer);
    CHECK(scene.state.verified().damages.empty());  // nothing inside the log can tell
    const auto unknown = verify(scene.state.log, scene.state.evidence(scene.kept));
    REQUIRE_FALSE(unknown.has_value());
    CHECK(unknown.error().reason == Reason::kInvalidArgument);
    CHECK(unknown.error().message.find("does not know") != std::string::npos);
    CHECK(unknown.error().hint.find("were replaced") != std::string::npos);
    const Verification verification = scene.held_against(scene.kept, scene.key).value();
    INFO(all_messages(verification));
    CHECK(has_damage(verification, DamageKind::kHistoryRewritten));
    CHECK(has_damage(verification, DamageKind::kUnvouchedKey));
    CHECK(has_damage(scene.held_against("", scene.key).value(), DamageKind::kUnvouchedKey));
  }
  SECTION("even where the change is the very last event that it covers") {
    scene.forge_event(240, ForgedCheckpoints::kDrop);
    CHECK(has_damage(scene.state.verified(scene.kept), DamageKind::kHistoryRewritten));
  }
}

TEST_CASE("what was written after the checkpoint is not covered by it") {
  const Scene scene;
  scene.forge_event(241, ForgedCheckpoints::kRestate);
  const Verification verification = scene.state.verified(scene.kept);
  CHECK(verification.verdict == CheckpointVerdict::kExtends);
  CHECK(has_damage(verification, DamageKind::kBadCheckpoint));  // later ones tell
}

TEST_CASE("whoever has the log's own key can rewrite what no kept checkpoint covers, and nothing else") {
  const Scene scene;
  const auto own = signing::open_log_key(scene.state.keys, {.name = scene.key.name}).value();
  SECTION("behind the kept checkpoint nobody can tell") {
    scene.forge_event(241, ForgedCheckpoints::kResign, &own);
    CHECK(scene.state.verified(scene.kept).damages.empty());
  }
  SECTION("in front of it everybody can") {
    scene.forge_event(240, ForgedCheckpoints::kResign, &own);
    CHECK(scene.state.verified().damages.empty());
    CHECK(has_damage(scene.state.verified(scene.kept), DamageKind::kHistoryRewritten));
  }
}

TEST_CASE("a log whose end was cut off in order is found by a checkpoint kept elsewhere") {
  const Scene scene;
  const std::string latest = last_checkpoint(scene.state.log).value();
  std::filesystem::remove(scene.state.log + "/" + segments_in(scene.state.log).back());
  CHECK(scene.state.verified().damages.empty());
  CHECK(scene.state.verified(scene.kept).verdict == CheckpointVerdict::kExtends);
  const Verification verification = scene.state.verified(latest);
  INFO(all_messages(verification));
  CHECK(has_damage(verification, DamageKind::kLogTruncated));
  CHECK(verification.verdict == CheckpointVerdict::kContradicted);
  CHECK(verification.damages.back().message.find("covers events up to 400") != std::string::npos);
  std::filesystem::remove_all(scene.state.log);
  std::filesystem::create_directory(scene.state.log);
  CHECK(has_damage(scene.state.verified(latest), DamageKind::kLogTruncated));
}

TEST_CASE("another branch of the same log is found, however long it is") {
  const Scene scene;
  const StateFolder fork;
  copy_log(scene.state.log, fork.log);
  std::filesystem::copy(scene.state.keys, fork.keys);
  live(fork.options(), 5);
  const std::string of_fork = last_checkpoint(fork.log).value();
  CHECK(fork.verified(scene.kept).verdict == CheckpointVerdict::kExtends);  // the common beginning
  SECTION("shorter than the branch") {
    CHECK(has_damage(scene.state.verified(of_fork), DamageKind::kLogTruncated));
  }
  SECTION("longer than the branch") {
    live(scene.state.options(), 9);
    CHECK(has_damage(scene.state.verified(of_fork), DamageKind::kHistoryRewritten));
  }
}

TEST_CASE("segments exchanged, or put in from another branch, do not fit") {
  const Scene scene;
  const auto names = segments_in(scene.state.log);
  const std::string path = scene.state.log + "/" + names[1];
  std::string bytes = read_bytes(path);
  // A segment of another history with the same numbers: made by forging a copy.
  const StateFolder other;
  copy_log(scene.state.log, other.log);
  forge(other.log, {.seq = 1, .change = [](v1::Event& event) { event.set_actor("other"); }});
  write_bytes(path, read_bytes(other.log + "/" + names[1]));
  const Verification verification = scene.state.verified(scene.kept);
  CHECK(has_damage(verification, DamageKind::kBrokenChain));
  CHECK(has_damage(verification, DamageKind::kHistoryRewritten));
}

TEST_CASE("where retention removed the beginning, what can be proved is proved and the rest is said") {
  const Scene scene;
  const auto names = segments_in(scene.state.log);
  std::filesystem::remove(scene.state.log + "/" + names[0]);
  std::filesystem::remove(scene.state.log + "/" + names[1]);
  SECTION("a checkpoint behind what was removed") {
    const Verification verification = scene.state.verified(scene.kept);
    INFO(all_messages(verification));
    CHECK(verification.damages.empty());
    CHECK(verification.verdict == CheckpointVerdict::kExtends);
    REQUIRE(verification.notes.size() == 1);
    CHECK(verification.notes[0].find("were removed: the checkpoint in front") != std::string::npos);
  }
  SECTION("a checkpoint in front of what is left") {
    for (std::size_t i = 2; i + 1 < names.size(); ++i) std::filesystem::remove(scene.state.log + "/" + names[i]);
    const Verification verification = scene.state.verified(scene.kept);
    INFO(all_messages(verification));
    CHECK(verification.damages.empty());
    CHECK(verification.verdict == CheckpointVerdict::kNotProvable);
    CHECK(all_messages(verification).find("cannot be proved") != std::string::npos);
  }
  SECTION("what is left is still signed from its beginning") {
    // The forger cannot state what was removed, so the first checkpoint there is stays as it is.
    forge(scene.state.log, {.seq = 300,
                            .change = [](v1::Event& event) { event.set_actor("x"); },
                            .checkpoints = ForgedCheckpoints::kLeave});
    CHECK(has_damage(scene.state.verified(), DamageKind::kBadCheckpoint));
    CHECK(has_damage(scene.state.verified(scene.kept), DamageKind::kBadCheckpoint));
  }
  live(scene.state.options(), 1);
  CHECK(last_checkpoint(scene.state.log).has_value());
}

TEST_CASE("a checkpoint that proves nothing is one clear error") {
  const Scene scene;
  const auto refused = [&](const std::string& checkpoint) {
    const auto result = verify(scene.state.log, scene.state.evidence(checkpoint));
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().reason == Reason::kInvalidArgument);
    CHECK_FALSE(result.error().hint.empty());
    return result.error().message;
  };
  SECTION("not a checkpoint") {
    for (const std::string& text :
         {std::string("\n"), std::string("hello\n"), std::string(5000, 'x'),
          scene.kept.substr(0, scene.kept.size() / 2), scene.key.text() + "\n", std::string("\0\0\0\0", 4)}) {
      CHECK(refused(text) == "it is no checkpoint");
    }
  }
  SECTION("of another node") {
    const StateFolder other;
    live(other.options(), 1);
    const std::string message = refused(last_checkpoint(other.log).value());
    CHECK(message.find("and the log is that of " + scene.key.name) != std::string::npos);
  }
  SECTION("with a wrong signature") {
    std::string changed = scene.kept;
    changed.replace(changed.find("last-seq 240"), 12, "last-seq 241");
    CHECK(refused(changed).find("wrong signature") != std::string::npos);
  }
  SECTION("signed by a key that is not this log's") {
    const auto checkpoint = parse_checkpoint(scene.kept).value();
    const auto stranger = signing::make_note_signer(scene.key.name).signer;
    CHECK(refused(stranger.sign(checkpoint.note.text)).find("does not know") != std::string::npos);
  }
  SECTION("signed by a key that the trusted one did not hand over to") {
    const auto stranger = signing::make_note_signer(scene.key.name).signer;
    const auto result = scene.held_against(scene.kept, stranger.public_key());
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().message.find("did not hand over") != std::string::npos);
  }
  SECTION("without any key to check it with") {
    Evidence evidence;
    evidence.checkpoint = scene.kept;
    const auto result = verify(scene.state.log, evidence);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().message.find("no public key") != std::string::npos);
  }
}

TEST_CASE("a checkpoint from the future of the log is a log that lost its end") {
  const Scene scene;
  const auto checkpoint = parse_checkpoint(scene.kept)->checkpoint;
  // Only the key's holder can make one: here the test is.
  auto key = signing::open_log_key(scene.state.keys, {.name = scene.key.name}).value();
  Checkpoint future = checkpoint;
  future.tree_size = 1'000'000;
  future.last_seq = 2'000'000;
  future.time_ns += 3'600'000'000'000;
  CHECK(has_damage(scene.state.verified(key.sign(checkpoint_text(future))), DamageKind::kLogTruncated));
}

TEST_CASE("keys that were handed over to are followed, and keys that replaced a lost one are named") {
  const StateFolder state;
  live(state.options(), 3);
  const std::string first_note = last_checkpoint(state.log).value();
  const signing::NoteKey first = signing::read_key_ring(state.keys)->keys().front();
  REQUIRE(signing::rotate_log_key(state.keys, first.name, 1'700'000'000'000'000'000).has_value());
  live(state.options(), 3);
  const std::string second_note = last_checkpoint(state.log).value();
  CHECK_FALSE(parse_checkpoint(second_note)->note.claims_signature_by(first));
  Evidence evidence = state.evidence(second_note);
  evidence.trusted = first;
  Verification verification = verify(state.log, evidence).value();
  INFO(all_messages(verification));
  CHECK(verification.damages.empty());
  CHECK(verification.notes.empty());
  CHECK(verification.verdict == CheckpointVerdict::kExtends);

  std::filesystem::remove(state.keys + "/log-signing.key");
  const SystemClock clock;
  const auto lost = EventLog::open(state.options(), {}, clock);
  REQUIRE_FALSE(lost.has_value());
  CHECK(lost.error().reason == Reason::kInvalidConfig);
  CHECK(lost.error().hint.find("--replace-log-key") != std::string::npos);
  const auto third = signing::replace_lost_log_key(state.keys, first.name);
  REQUIRE(third.has_value());
  live(state.options(), 3);
  verification = state.verified(first_note);
  INFO(all_messages(verification));
  CHECK(verification.damages.empty());
  CHECK(verification.verdict == CheckpointVerdict::kExtends);
  REQUIRE(verification.notes.size() == 1);
  CHECK(verification.notes[0].find("from event 13 on key " + third->hash_text() + " signs, and nobody vouched") == 0);
  evidence = state.evidence();
  evidence.trusted = first;
  const Verification strict = verify(state.log, evidence).value();
  REQUIRE(strict.damages.size() == 1);
  CHECK(strict.damages[0].kind == DamageKind::kUnvouchedKey);
  // Whoever trusts the new key trusts what it signed for, and that is the whole log.
  evidence.trusted = *third;
  CHECK(verify(state.log, evidence)->damages.empty());
}

TEST_CASE("a log does not open with the keys of another, or without those that signed it") {
  const StateFolder state;
  const StateFolder other;
  const SystemClock clock;
  live(state.options(), 2);
  live(other.options(), 2);
  SECTION("another log's") {
    std::filesystem::remove_all(state.keys);
    std::filesystem::copy(other.keys, state.keys);
    const auto opened = EventLog::open(state.options(), {}, clock);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().message.find("is the key of liongate/") != std::string::npos);
  }
  SECTION("none") {
    std::filesystem::remove_all(state.keys);
    const auto opened = EventLog::open(state.options(), {}, clock);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().message.find("was signed before, and its key is missing") != std::string::npos);
  }
  SECTION("a rewritten log") {
    forge(state.log, {.seq = 2, .change = [](v1::Event& event) { event.set_actor("x"); }});
    const auto opened = EventLog::open(state.options(), {}, clock);
    REQUIRE_FALSE(opened.has_value());
    CHECK(opened.error().message.find("wrong signature") != std::string::npos);
  }
  CHECK(read_all(**read_offline(other.log, 0)) == 4);
}
