#include "kernel/signing/key_folder.h"

#include <algorithm>

#include "kernel/base/limits.h"
#include "kernel/signing/key_files.h"

namespace liongate::signing {
namespace {

constexpr mode_t kFileMode = 0600;  // the public ones too: nothing in a state folder is open to others
constexpr const char* kPublicSuffix = "pub";
constexpr const char* kHandoverSuffix = "handover";
constexpr const char* kUnusableName = "log-signing.key.unusable";

const std::string kReplaceHint =
    "put the key back from a copy, or begin a new one that nobody vouches for: liongated --replace-log-key STATE_DIR";

std::string_view without_line_end(std::string_view text) {
  if (text.ends_with('\n')) text.remove_suffix(1);
  return text;
}

Result<KeyRing> read_ring(const KeyFiles& files) {
  KeyRing ring;
  LG_ASSIGN(const std::vector<unsigned> keys, files.numbers(kPublicSuffix));
  for (const unsigned number : keys) {
    const std::string name = KeyFiles::numbered(number, kPublicSuffix);
    LG_ASSIGN(const std::string text, files.read_public(name));
    const auto key = NoteKey::parse(without_line_end(text));
    if (!key) {
      return make_error(Reason::kInvalidConfig, files.path_of(name) + " holds no public key")
          .with_hint("put the file back from a copy")
          .with("path", files.path_of(name));
    }
    ring.add(*key);
  }
  LG_ASSIGN(const std::vector<unsigned> handovers, files.numbers(kHandoverSuffix));
  for (const unsigned number : handovers) {
    const std::string name = KeyFiles::numbered(number, kHandoverSuffix);
    LG_ASSIGN(const std::string note, files.read_public(name));
    auto added = ring.add_handover(note);
    if (!added) return std::move(added).error().in(files.path_of(name)).with_hint("put the file back from a copy");
  }
  return ring;
}

struct PrivateState {
  std::optional<NoteSigner> signer;  // nothing: there is no key in force
  bool unusable = false;             // there is a file, and it holds no key
};

Result<PrivateState> read_private(const KeyFiles& files) {
  PrivateState state;
  LG_ASSIGN(const std::optional<Secret> text, files.read_private(kPrivateKeyName));
  if (!text) return state;
  state.signer = NoteSigner::parse(without_line_end(text->text()));
  state.unusable = !state.signer.has_value();
  return state;
}

Result<void> check_name(const KeyFiles& files, const NoteKey& key, const std::string& name) {
  if (key.name == name) return {};
  return make_error(Reason::kInvalidConfig,
                    files.path_of(kPrivateKeyName) + " is the key of " + key.name + ", and the log is that of " + name)
      .with_hint("give the log the keys folder that belongs to it");
}

Result<void> write_private(const KeyFiles& files, const NewNoteSigner& made) {
  return files.write(kPrivateKeyName, made.text.bytes(), kFileMode);
}

Result<void> write_text(const KeyFiles& files, const std::string& name, const std::string& text) {
  return files.write(name, std::as_bytes(std::span(text)), kFileMode);
}

// The number after the last that any file has.
Result<unsigned> next_number(const KeyFiles& files) {
  unsigned last = 0;
  for (const char* const suffix : {kPublicSuffix, kHandoverSuffix}) {
    LG_ASSIGN(const std::vector<unsigned> numbers, files.numbers(suffix));
    if (!numbers.empty()) last = std::max(last, numbers.back());
  }
  if (last >= limits::kLogKeysMax) {
    return make_error(Reason::kInvalidConfig,
                      "the keys folder holds " + std::to_string(last) + " keys, which is the bound")
        .with_hint("begin a new log with a state folder of its own");
  }
  return last + 1;
}

Result<void> write_public(const KeyFiles& files, const NoteKey& key) {
  LG_ASSIGN(const unsigned number, next_number(files));
  return write_text(files, KeyFiles::numbered(number, kPublicSuffix), key.text() + "\n");
}

Error lost_key(const KeyFiles& files, bool unusable) {
  const std::string path = files.path_of(kPrivateKeyName);
  return make_error(Reason::kInvalidConfig,
                    unusable ? path + " holds no key" : "the log was signed before, and its key is missing: " + path)
      .with_hint(kReplaceHint)
      .with("path", path);
}

Result<NoteSigner> make_first(const KeyFiles& files, const std::string& name) {
  NewNoteSigner made = make_note_signer(name);
  LG_TRY(write_private(files, made));
  LG_TRY(write_public(files, made.signer.public_key()));
  return std::move(made.signer);
}

// The last checkpoint must be by a key of this folder: whoever goes on signing vouches for what is in front of it.
Result<void> check_last_note(const KeyRing& ring, const std::string& folder, const std::string& last_note) {
  if (last_note.empty()) return {};
  const auto note = parse_note(last_note);
  const NoteKey* const key = note ? ring.signer_of(*note) : nullptr;
  if (key != nullptr && note->is_signed_by(*key)) return {};
  return make_error(Reason::kInvalidConfig, "the last checkpoint in the log " +
                                                (key == nullptr ? "is signed by none of the keys in " + folder
                                                                : "has a wrong signature of key " + key->hash_text()))
      .with_hint("put the right keys folder back from a copy; liongatectl verify-log tells what is wrong in the log");
}

}  // namespace

Result<KeyRing> read_key_ring(const std::string& folder) {
  LG_ASSIGN(const std::optional<KeyFiles> files, KeyFiles::open_public(folder));
  if (!files) return KeyRing();
  return read_ring(*files);
}

Result<NoteSigner> open_log_key(const std::string& folder, const SigningLog& log) {
  LG_ASSIGN(const KeyFiles files, KeyFiles::open_private(folder, KeyOwner::kSelf));
  LG_ASSIGN(KeyRing ring, read_ring(files));
  LG_ASSIGN(PrivateState state, read_private(files));
  if (!state.signer) {
    if (state.unusable || !ring.empty() || !log.last_note.empty()) return lost_key(files, state.unusable);
    return make_first(files, log.name);
  }
  const NoteKey& key = state.signer->public_key();
  if (log.age == SigningLog::Age::kContinued) LG_TRY(check_name(files, key, log.name));
  if (ring.empty()) {  // the first start was cut short between the two files
    LG_TRY(write_public(files, key));
    ring.add(key);
  }
  if (!ring.holds(key)) {
    return make_error(Reason::kInvalidConfig, files.path_of(kPrivateKeyName) + " is key " + key.hash_text() +
                                                  ", which has no public key beside it")
        .with_hint(kReplaceHint);
  }
  LG_TRY(check_last_note(ring, folder, log.last_note));
  return std::move(*state.signer);
}

Result<NoteKey> rotate_log_key(const std::string& folder, const std::string& name, std::int64_t now_ns) {
  LG_ASSIGN(const KeyFiles files, KeyFiles::open_private(folder, KeyOwner::kSelfOrAnyForRoot));
  LG_ASSIGN(const KeyRing ring, read_ring(files));
  LG_ASSIGN(const PrivateState state, read_private(files));
  if (!state.signer || !ring.holds(state.signer->public_key())) return lost_key(files, state.unusable);
  LG_TRY(check_name(files, state.signer->public_key(), name));
  const NewNoteSigner made = make_note_signer(name);
  const NoteKey& next = made.signer.public_key();
  LG_ASSIGN(const unsigned number, next_number(files));
  const std::string handover = state.signer->sign(handover_text(next, now_ns));
  LG_TRY(write_text(files, KeyFiles::numbered(number, kHandoverSuffix), handover));
  LG_TRY(write_text(files, KeyFiles::numbered(number, kPublicSuffix), next.text() + "\n"));
  LG_TRY(write_private(files, made));
  return next;
}

Result<NoteKey> replace_lost_log_key(const std::string& folder, const std::string& name) {
  LG_ASSIGN(const KeyFiles files, KeyFiles::open_private(folder, KeyOwner::kSelfOrAnyForRoot));
  LG_ASSIGN(const KeyRing ring, read_ring(files));
  LG_ASSIGN(const PrivateState state, read_private(files));
  if (state.signer) {
    const NoteKey& key = state.signer->public_key();
    LG_TRY(check_name(files, key, name));
    if (ring.holds(key)) {
      return make_error(Reason::kInvalidArgument, "the log's key " + key.hash_text() + " is there and in order")
          .with_hint("to change it: liongated --rotate-log-key STATE_DIR");
    }
    LG_TRY(write_public(files, key));  // a replacement that was cut short
    return key;
  }
  if (state.unusable) LG_TRY(files.rename(kPrivateKeyName, kUnusableName));
  const NewNoteSigner made = make_note_signer(name);
  const NoteKey& next = made.signer.public_key();
  LG_TRY(write_private(files, made));
  LG_TRY(write_public(files, next));
  return next;
}

}  // namespace liongate::signing
