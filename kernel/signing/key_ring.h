// The public keys that ever signed for one log, in the order of their making, and who vouched for whom.
//
// A handover is a signed note by which one key names the next. Who trusts a key trusts what it handed over to.
//
// Ownership and thread: a plain value. Errors: kInvalidConfig for a handover that is none or that nobody here signed.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "kernel/base/result.h"
#include "kernel/signing/signed_note.h"

namespace liongate::signing {

// The text of the note by which a key hands over to `next`.
std::string handover_text(const NoteKey& next, std::int64_t now_ns);

class KeyRing {
 public:
  // Does nothing if it is there already.
  void add(const NoteKey& key);
  // Adds the key it names, too. It must be signed by a key that is here.
  Result<void> add_handover(std::string_view note);

  bool empty() const { return keys_.empty(); }
  bool holds(const NoteKey& key) const;
  const std::vector<NoteKey>& keys() const { return keys_; }
  // The key that `note` says it is signed by; null where it is none of these.
  const NoteKey* signer_of(const SignedNote& note) const;
  // True if `to` is `from`, or `from` handed over to it, over however many keys.
  bool vouches(const NoteKey& from, const NoteKey& to) const;

 private:
  struct Handover {
    NoteKey from;
    NoteKey to;
  };
  std::vector<NoteKey> keys_;
  std::vector<Handover> handovers_;
};

}  // namespace liongate::signing
