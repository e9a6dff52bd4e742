// Keys as signed notes know them (C2SP signed-note): a name, a hash of four bytes, Ed25519; public ones as one line of
// text that can be passed on, private ones as one line that must not be.
//
// Ownership and thread: values; a NoteSigner is move-only and may sign from any thread.
// Errors: nothing, where a text is no key.
#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "kernel/signing/ed25519.h"

namespace liongate::signing {

// Not empty, at most limits::kNoteKeyNameBytesMax, printable ASCII without space and plus.
bool is_key_name(std::string_view name);

struct NoteKey {
  std::string name;
  PublicKeyBytes bytes{};

  bool operator==(const NoteKey&) const = default;
  std::uint32_t hash() const;
  std::string hash_text() const;  // eight hexadecimal digits
  std::string text() const;       // NAME+HASH+BASE64
  static std::optional<NoteKey> parse(std::string_view text);
};

class NoteSigner {
 public:
  NoteSigner(std::string name, PrivateKey key);

  const NoteKey& public_key() const { return public_key_; }
  // `text`, which ends with a line end, with its signature below.
  std::string sign(std::string_view text) const;

  // From PRIVATE+KEY+NAME+HASH+BASE64.
  static std::optional<NoteSigner> parse(std::string_view text);

 private:
  PrivateKey key_;
  NoteKey public_key_;
};

// A key that was just made, with the only text of it there will ever be.
struct NewNoteSigner {
  NoteSigner signer;
  Secret text;  // what NoteSigner::parse reads
};
NewNoteSigner make_note_signer(std::string name);

}  // namespace liongate::signing
