#include "kernel/signing/key_ring.h"

#include <algorithm>

#include "kernel/signing/note_time.h"

namespace liongate::signing {
namespace {

constexpr std::string_view kHandoverLine = "key handover";
constexpr std::string_view kTimeWord = "time ";
constexpr std::size_t kHandoverLines = 4;

// The key that a handover names; nothing if the text is none.
std::optional<NoteKey> parse_handover(std::string_view text) {
  const std::vector<std::string_view> lines = lines_of(text);
  if (lines.size() != kHandoverLines || lines[1] != kHandoverLine || !lines[3].starts_with(kTimeWord) ||
      !parse_time(lines[3].substr(kTimeWord.size()))) {
    return std::nullopt;
  }
  auto next = NoteKey::parse(lines[2]);
  if (next && next->name != lines[0]) return std::nullopt;
  return next;
}

}  // namespace

std::string handover_text(const NoteKey& next, std::int64_t now_ns) {
  return next.name + "\n" + std::string(kHandoverLine) + "\n" + next.text() + "\n" + std::string(kTimeWord) +
         time_text(now_ns) + "\n";
}

void KeyRing::add(const NoteKey& key) {
  if (!holds(key)) keys_.push_back(key);
}

Result<void> KeyRing::add_handover(std::string_view note) {
  const auto parsed = parse_note(note);
  const auto next = parsed ? parse_handover(parsed->text) : std::nullopt;
  if (!next) return make_error(Reason::kInvalidConfig, "it is no handover of a key");
  const NoteKey* const from = signer_of(*parsed);
  if (from == nullptr || from->name != next->name) {
    return make_error(Reason::kInvalidConfig,
                      "the handover to key " + next->hash_text() + " is signed by no key before it");
  }
  if (!parsed->is_signed_by(*from)) {
    return make_error(Reason::kInvalidConfig, "the handover to key " + next->hash_text() + ": the signature of key " +
                                                  from->hash_text() + " is wrong");
  }
  handovers_.push_back({.from = *from, .to = *next});
  add(*next);
  return {};
}

bool KeyRing::holds(const NoteKey& key) const {
  return std::find(keys_.begin(), keys_.end(), key) != keys_.end();
}

const NoteKey* KeyRing::signer_of(const SignedNote& note) const {
  const auto found =
      std::find_if(keys_.begin(), keys_.end(), [&](const NoteKey& key) { return note.claims_signature_by(key); });
  return found == keys_.end() ? nullptr : &*found;
}

bool KeyRing::vouches(const NoteKey& from, const NoteKey& to) const {
  std::vector<NoteKey> trusted{from};
  for (bool grown = true; grown;) {
    if (std::find(trusted.begin(), trusted.end(), to) != trusted.end()) return true;
    grown = false;
    for (const Handover& handover : handovers_) {
      const bool from_is = std::find(trusted.begin(), trusted.end(), handover.from) != trusted.end();
      const bool to_is = std::find(trusted.begin(), trusted.end(), handover.to) != trusted.end();
      if (!from_is || to_is) continue;
      trusted.push_back(handover.to);
      grown = true;
    }
  }
  return false;
}

}  // namespace liongate::signing
