// Goal: notes and keys are those of the C2SP signed-note format, strictly read. Method: the example of Go's
// golang.org/x/mod/sumdb/note, the vectors of RFC 8032, and texts that are nearly right.
#include <catch2/catch.hpp>

#include "kernel/base/limits.h"
#include "kernel/signing/base64.h"
#include "kernel/signing/key_ring.h"
#include "kernel/signing/note_time.h"

using namespace liongate;
using namespace liongate::signing;

namespace {

// The key and note of the documentation of Go's note package.
const std::string kGoKey = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW";
const std::string kGoText =
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n";
const std::string kGoSignature =
    "\xE2\x80\x94 PeterNeumann "
    "x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n";
const std::string kGoNote = kGoText + "\n" + kGoSignature;

std::array<std::byte, 32> from_hex(std::string_view hex) {
  std::array<std::byte, 32> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(std::stoi(std::string(hex.substr(2 * i, 2)), nullptr, 16));
  }
  return bytes;
}

}  // namespace

TEST_CASE("a note of Go's package is read and its signature holds") {
  const auto key = NoteKey::parse(kGoKey);
  REQUIRE(key.has_value());
  CHECK(key->name == "PeterNeumann");
  CHECK(key->text() == kGoKey);
  const auto note = parse_note(kGoNote);
  REQUIRE(note.has_value());
  CHECK(note->text == kGoText);
  CHECK(note->is_signed_by(*key));
}

TEST_CASE("signatures are those of RFC 8032") {
  // Section 7.1, test 1: an empty message.
  const auto seed = from_hex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
  const PrivateKey key = PrivateKey::from_seed(seed);
  CHECK(key.public_key() == from_hex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"));
  const SignatureBytes signature = key.sign("");
  CHECK(std::equal(signature.begin(), signature.begin() + 32,
                   from_hex("e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155").begin()));
  CHECK(signature_holds(key.public_key(), "", signature));
  CHECK_FALSE(signature_holds(key.public_key(), "x", signature));
}

TEST_CASE("keys come back from their text, and no other text is one") {
  const auto [signer, text] = make_note_signer("liongate/7c9e6679-7425-40de-944b-e07fc1f90ae7");
  const auto back = NoteSigner::parse(text.text());
  REQUIRE(back.has_value());
  CHECK(back->public_key() == signer.public_key());
  CHECK(NoteKey::parse(signer.public_key().text()) == signer.public_key());
  CHECK_FALSE(NoteKey::parse(text.text()).has_value());
  CHECK_FALSE(NoteSigner::parse(signer.public_key().text()).has_value());
  const std::string whole(text.text());
  for (std::size_t cut = 0; cut < whole.size(); ++cut) {
    if (NoteSigner::parse(whole.substr(0, cut))) FAIL("cut at " << cut);
  }
  for (std::size_t at = 0; at < kGoKey.size(); ++at) {
    std::string changed = kGoKey;
    changed[at] = changed[at] == 'a' ? 'b' : 'a';
    if (NoteKey::parse(changed)) FAIL("changed at " << at);
  }
  for (const char* const bad : {"", "+", "++", "a+b+c", "a b+c74f20a3+AQ==", "PeterNeumann+c74f20a3+", "x"}) {
    CHECK_FALSE(NoteKey::parse(bad).has_value());
  }
}

TEST_CASE("what is signed is read back, and any change to it is noticed") {
  const NoteSigner signer = make_note_signer("log").signer;
  const std::string note = signer.sign("first\nsecond\n");
  const auto parsed = parse_note(note);
  REQUIRE(parsed.has_value());
  CHECK(parsed->text == "first\nsecond\n");
  CHECK(parsed->is_signed_by(signer.public_key()));
  CHECK_FALSE(parsed->is_signed_by(make_note_signer("log").signer.public_key()));
  for (std::size_t at = 0; at < note.size(); ++at) {
    std::string changed = note;
    changed[at] = static_cast<char>(changed[at] ^ 1);
    const auto read = parse_note(changed);
    if (read && read->is_signed_by(signer.public_key())) FAIL("changed at " << at);
  }
}

TEST_CASE("what is no signed note is none") {
  const std::string line = kGoSignature;
  for (const std::string& bad :
       {std::string(), std::string("\n"), kGoText, kGoText + "\n", line, kGoNote.substr(0, kGoNote.size() - 1),
        kGoText + line, kGoNote + "x\n", kGoNote + "\n", kGoText + "\n" + "- PeterNeumann AAAA\n",
        std::string("a\x01") + kGoNote, std::string("\xff") + kGoNote, kGoText + "\n\xE2\x80\x94 +bad AAAA\n",
        kGoText + "\n\xE2\x80\x94 name\n", kGoText + "\n\xE2\x80\x94 name \n"}) {
    INFO(bad);
    CHECK_FALSE(parse_note(bad).has_value());
  }
}

TEST_CASE("a note is bounded, in bytes and in signatures") {
  const NoteSigner signer = make_note_signer("log").signer;
  const std::size_t envelope = signer.sign("\n").size() - 1;
  CHECK(parse_note(signer.sign(std::string(limits::kNoteBytesMax - envelope - 1, 'x') + "\n")).has_value());
  CHECK_FALSE(parse_note(signer.sign(std::string(limits::kNoteBytesMax - envelope, 'x') + "\n")).has_value());
  std::string note = "text\n\n";
  for (std::size_t i = 0; i < limits::kNoteSignaturesMax; ++i) note += kGoSignature;
  CHECK(parse_note(note).has_value());
  CHECK_FALSE(parse_note(note + kGoSignature).has_value());
}

TEST_CASE("a key's name is bounded and holds no space and no plus") {
  CHECK(is_key_name(std::string(limits::kNoteKeyNameBytesMax, 'n')));
  CHECK_FALSE(is_key_name(std::string(limits::kNoteKeyNameBytesMax + 1, 'n')));
  for (const char* const bad : {"", " ", "a b", "a+b", "a\n", "\xC3\xA4"}) CHECK_FALSE(is_key_name(bad));
}

TEST_CASE("a signature of a kind that is not known stands beside one that is") {
  const auto note = parse_note(kGoText + "\n\xE2\x80\x94 witness.example AAAAAAAA\n" + kGoSignature);
  REQUIRE(note.has_value());
  CHECK(note->signatures.size() == 1);
  CHECK(note->is_signed_by(*NoteKey::parse(kGoKey)));
}

TEST_CASE("base64 has one text for each value") {
  std::array<std::byte, 2> bytes{std::byte{1}, std::byte{2}};
  CHECK(to_base64(bytes) == "AQI=");
  CHECK(from_base64("AQI=", bytes));
  for (const char* const bad : {"AQI", "AQJ=", "AQ==", "AQID", " AQI=", "AQI= ", "A*I=", "AQI==", ""}) {
    CHECK_FALSE(from_base64(bad, bytes));
  }
}

TEST_CASE("times come back from their text, and no other text is one") {
  for (const std::int64_t ns : {std::int64_t{0}, std::int64_t{1}, std::int64_t{1'795'180'575'120'934'871},
                                std::int64_t{9'000'000'000'000'000'000}}) {
    CHECK(parse_time(time_text(ns)) == ns);
  }
  CHECK(time_text(1'795'180'575'120'934'871) == "2026-11-20T13:16:15.120934871Z");
  for (const char* const bad :
       {"", "2026-11-20T13:16:15Z", "2026-11-31T13:16:15.120934871Z", "2026-11-20 13:16:15.120934871Z",
        "2026-11-20T25:16:15.120934871Z", "2026-11-20T13:16:15.12093487 Z", "2026-11-20T13:16:15.120934871z",
        "1969-12-31T23:59:59.999999999Z", "9999-11-20T13:16:15.120934871Z", "2026-11-20T13:16:15.+20934871Z"}) {
    INFO(bad);
    CHECK_FALSE(parse_time(bad).has_value());
  }
}

TEST_CASE("a ring follows handovers and nothing else") {
  const NoteSigner first = make_note_signer("log").signer;
  const NoteSigner second = make_note_signer("log").signer;
  const NoteSigner third = make_note_signer("log").signer;
  const NoteSigner stranger = make_note_signer("log").signer;
  KeyRing ring;
  ring.add(first.public_key());
  REQUIRE(ring.add_handover(first.sign(handover_text(second.public_key(), 1))).has_value());
  REQUIRE(ring.add_handover(second.sign(handover_text(third.public_key(), 2))).has_value());
  ring.add(stranger.public_key());
  CHECK(ring.keys().size() == 4);
  CHECK(ring.vouches(first.public_key(), first.public_key()));
  CHECK(ring.vouches(first.public_key(), third.public_key()));
  CHECK_FALSE(ring.vouches(third.public_key(), first.public_key()));
  CHECK_FALSE(ring.vouches(first.public_key(), stranger.public_key()));

  KeyRing other;
  other.add(second.public_key());
  CHECK_FALSE(other.add_handover(first.sign(handover_text(third.public_key(), 1))).has_value());
  CHECK_FALSE(other.add_handover("hello\n").has_value());
  CHECK_FALSE(other.add_handover(second.sign("log\n5\nx\ntime\n")).has_value());
  CHECK_FALSE(
      other.add_handover(second.sign(handover_text(make_note_signer("another").signer.public_key(), 1))).has_value());
  std::string changed = second.sign(handover_text(third.public_key(), 1));
  changed.replace(changed.find("1970"), 4, "1971");
  CHECK_FALSE(other.add_handover(changed).has_value());
  CHECK(other.keys().size() == 1);
}
