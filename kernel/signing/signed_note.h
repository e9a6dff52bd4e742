// A text and the signatures below it, as people and other programs pass them on (C2SP signed-note).
//
// Ownership and thread: plain values and pure functions. A SignedNote keeps a copy of what it was parsed from.
// Errors: nothing, where a text is no signed note; no length in it is trusted.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "kernel/signing/note_key.h"

namespace liongate::signing {

struct NoteSignature {
  std::string name;  // of the key
  std::uint32_t key_hash = 0;
  SignatureBytes bytes{};
};

struct SignedNote {
  std::string text;  // with its last line end: what the signatures are of
  std::vector<NoteSignature> signatures;

  // True if one of the signatures is by `key` and holds.
  bool is_signed_by(const NoteKey& key) const;
  // The same, whether it holds or not.
  bool claims_signature_by(const NoteKey& key) const;
};

// At most limits::kNoteBytesMax, UTF-8 without control characters but line ends; at least one and at most
// limits::kNoteSignaturesMax signatures. A signature of another kind than Ed25519 is no signature here and left out.
std::optional<SignedNote> parse_note(std::string_view note);

// `text` ends with a line end.
std::string format_note(std::string_view text, const NoteSignature& signature);

// The lines of a text, without their ends.
std::vector<std::string_view> lines_of(std::string_view text);

}  // namespace liongate::signing
