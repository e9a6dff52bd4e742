#include "kernel/signing/signed_note.h"

#include <algorithm>
#include <array>

#include "kernel/base/assert.h"
#include "kernel/base/limits.h"
#include "kernel/base/utf8.h"
#include "kernel/signing/base64.h"

namespace liongate::signing {
namespace {

constexpr std::string_view kSignatureMark = "\xE2\x80\x94 ";  // an em dash and a space
constexpr std::size_t kHashBytes = 4;

bool is_note_text(std::string_view text) {
  const auto is_control = [](unsigned char letter) { return (letter < ' ' && letter != '\n') || letter == 0x7f; };
  return std::none_of(text.begin(), text.end(), is_control) && is_utf8(text);
}

// False where the line is no signature line; a signature of another length is left out.
bool take_signature(std::string_view line, std::vector<NoteSignature>& signatures) {
  if (!line.starts_with(kSignatureMark)) return false;
  line.remove_prefix(kSignatureMark.size());
  const std::size_t space = line.find(' ');
  if (space == std::string_view::npos || !is_key_name(line.substr(0, space))) return false;
  const std::string_view base64 = line.substr(space + 1);
  if (base64.empty()) return false;
  std::array<std::byte, kHashBytes + sizeof(SignatureBytes)> bytes{};
  if (!from_base64(base64, bytes)) return true;
  NoteSignature signature{.name = std::string(line.substr(0, space))};
  for (std::size_t i = 0; i < kHashBytes; ++i) {
    signature.key_hash = signature.key_hash << 8 | static_cast<std::uint32_t>(bytes[i]);
  }
  std::copy(bytes.begin() + kHashBytes, bytes.end(), signature.bytes.begin());
  signatures.push_back(std::move(signature));
  return true;
}

}  // namespace

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.push_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

bool SignedNote::claims_signature_by(const NoteKey& key) const {
  return std::any_of(signatures.begin(), signatures.end(), [&](const NoteSignature& signature) {
    return signature.name == key.name && signature.key_hash == key.hash();
  });
}

bool SignedNote::is_signed_by(const NoteKey& key) const {
  return std::any_of(signatures.begin(), signatures.end(), [&](const NoteSignature& signature) {
    return signature.name == key.name && signature.key_hash == key.hash() &&
           signature_holds(key.bytes, text, signature.bytes);
  });
}

std::optional<SignedNote> parse_note(std::string_view note) {
  if (note.size() > limits::kNoteBytesMax || !note.ends_with('\n') || !is_note_text(note)) return std::nullopt;
  const std::size_t blank = note.rfind("\n\n");
  if (blank == std::string_view::npos) return std::nullopt;
  SignedNote parsed{.text = std::string(note.substr(0, blank + 1)), .signatures = {}};
  const std::vector<std::string_view> lines = lines_of(note.substr(blank + 2));
  if (lines.empty() || lines.size() > limits::kNoteSignaturesMax) return std::nullopt;
  for (const std::string_view line : lines) {
    if (!take_signature(line, parsed.signatures)) return std::nullopt;
  }
  return parsed;
}

std::string format_note(std::string_view text, const NoteSignature& signature) {
  LG_ASSERT(text.ends_with('\n'));
  std::array<std::byte, kHashBytes + sizeof(SignatureBytes)> bytes{};
  for (std::size_t i = 0; i < kHashBytes; ++i) {
    bytes[i] = static_cast<std::byte>(signature.key_hash >> (8 * (kHashBytes - 1 - i)));
  }
  std::copy(signature.bytes.begin(), signature.bytes.end(), bytes.begin() + kHashBytes);
  std::string note(text);
  note += "\n";
  note += kSignatureMark;
  note += signature.name + " " + to_base64(bytes) + "\n";
  return note;
}

}  // namespace liongate::signing
