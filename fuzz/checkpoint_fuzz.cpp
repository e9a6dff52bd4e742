// Goal: no text that is handed in as a checkpoint, key or handover, and no bytes of a checkpoint's record, make reading
// them crash or hang; what is read is written again as it was. Method: the input is each of these at once.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "kernel/event_log/checkpoint.h"
#include "kernel/signing/key_ring.h"
#include "kernel/signing/note_time.h"

namespace {

using namespace liongate;
using namespace liongate::event_log;

void check(bool holds) {
  if (!holds) std::abort();
}

void check_checkpoint(std::string_view text) {
  const auto parsed = parse_checkpoint(text);
  if (!parsed) return;
  // Lines that are not known may follow.
  check(parsed->note.text.starts_with(checkpoint_text(parsed->checkpoint)));
  check(!parsed->note.signatures.empty() || text.find("\n\n") != std::string_view::npos);
  for (const auto& signature : parsed->note.signatures) check(signing::is_key_name(signature.name));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static ChainHash hasher;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  check_checkpoint(text);
  // The signature line is hard to guess, and what is signed is what is read: with a signature that is none.
  const signing::NoteSignature signature{.name = "liongate/fuzz"};
  if (text.ends_with('\n')) check_checkpoint(signing::format_note(text, signature));
  if (const auto key = signing::NoteKey::parse(text)) check(key->text() == text);
  if (const auto time_ns = signing::parse_time(text)) check(signing::time_text(*time_ns) == text);
  signing::KeyRing ring;
  ring.add({.name = "liongate/fuzz"});
  (void)ring.add_handover(text);
  const auto body = std::as_bytes(std::span(data, size));
  if (const auto record = decode_checkpoint(body, hasher)) {
    std::vector<std::byte> again(checkpoint_body_bytes(record->tree, record->note_text));
    encode_checkpoint(record->tree, record->note_text, again);
    check(std::equal(again.begin(), again.end(), body.begin(), body.end()));
  }
  return 0;
}
