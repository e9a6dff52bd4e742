#include "kernel/signing/note_key.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstring>

#include "kernel/base/limits.h"
#include "kernel/signing/base64.h"
#include "kernel/signing/signed_note.h"

namespace liongate::signing {
namespace {

constexpr std::string_view kPrivatePrefix = "PRIVATE+KEY+";
constexpr std::byte kEd25519{0x01};
constexpr std::size_t kHashDigits = 8;
constexpr std::size_t kTypedKeyBytes = 1 + kSeedBytes;
static_assert(kSeedBytes == sizeof(PublicKeyBytes), "both forms of a key are as long");

struct KeyParts {
  std::string_view name;
  std::string_view hash;
  std::string_view base64;
};

// NAME+HASH+BASE64; of these only the base64 may hold a plus.
std::optional<KeyParts> split(std::string_view text) {
  const std::size_t first = text.find('+');
  if (first == std::string_view::npos) return std::nullopt;
  const std::size_t second = text.find('+', first + 1);
  if (second == std::string_view::npos || second - first - 1 != kHashDigits) return std::nullopt;
  KeyParts parts{text.substr(0, first), text.substr(first + 1, kHashDigits), text.substr(second + 1)};
  if (!is_key_name(parts.name)) return std::nullopt;
  return parts;
}

std::span<const std::byte, kSeedBytes> seed_in(const Secret& typed) {
  return std::span<const std::byte, kSeedBytes>(typed.bytes().data() + 1, kSeedBytes);
}

}  // namespace

bool is_key_name(std::string_view name) {
  const auto fits = [](char letter) { return letter > ' ' && letter < '\x7f' && letter != '+'; };
  return !name.empty() && name.size() <= limits::kNoteKeyNameBytesMax && std::all_of(name.begin(), name.end(), fits);
}

std::uint32_t NoteKey::hash() const {
  std::string input = name + "\n";
  input.push_back(static_cast<char>(kEd25519));
  input.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  std::array<unsigned char, 32> digest{};
  std::size_t size = digest.size();
  LG_ASSERT(EVP_Q_digest(nullptr, "SHA256", nullptr, input.data(), input.size(), digest.data(), &size) == 1);
  return static_cast<std::uint32_t>(digest[0]) << 24 | static_cast<std::uint32_t>(digest[1]) << 16 |
         static_cast<std::uint32_t>(digest[2]) << 8 | digest[3];
}

std::string NoteKey::hash_text() const {
  char digits[kHashDigits + 1];
  std::snprintf(digits, sizeof digits, "%08x", hash());
  return digits;
}

std::string NoteKey::text() const {
  std::array<std::byte, kTypedKeyBytes> typed{kEd25519};
  std::copy(bytes.begin(), bytes.end(), typed.begin() + 1);
  return name + "+" + hash_text() + "+" + to_base64(typed);
}

std::optional<NoteKey> NoteKey::parse(std::string_view text) {
  const auto parts = split(text);
  std::array<std::byte, kTypedKeyBytes> typed{};
  if (!parts || !from_base64(parts->base64, typed) || typed[0] != kEd25519) return std::nullopt;
  NoteKey key{.name = std::string(parts->name)};
  std::copy(typed.begin() + 1, typed.end(), key.bytes.begin());
  if (key.hash_text() != parts->hash) return std::nullopt;
  return key;
}

NoteSigner::NoteSigner(std::string name, PrivateKey key)
    : key_(std::move(key)), public_key_{.name = std::move(name), .bytes = key_.public_key()} {
  LG_ASSERT(is_key_name(public_key_.name));
}

std::string NoteSigner::sign(std::string_view text) const {
  return format_note(text, {.name = public_key_.name, .key_hash = public_key_.hash(), .bytes = key_.sign(text)});
}

NewNoteSigner make_note_signer(std::string name) {
  Secret typed(kTypedKeyBytes);
  {
    const Secret seed = new_seed();
    typed.bytes()[0] = kEd25519;
    std::copy(seed.bytes().begin(), seed.bytes().end(), typed.bytes().begin() + 1);
  }
  NoteSigner signer(std::move(name), PrivateKey::from_seed(seed_in(typed)));
  const Secret base64 = to_secret_base64(typed.bytes());
  const NoteKey& key = signer.public_key();
  const std::string front = std::string(kPrivatePrefix) + key.name + "+" + key.hash_text() + "+";
  Secret text(front.size() + base64.bytes().size());
  std::memcpy(text.bytes().data(), front.data(), front.size());
  std::copy(base64.bytes().begin(), base64.bytes().end(), text.bytes().begin() + front.size());
  return {.signer = std::move(signer), .text = std::move(text)};
}

std::optional<NoteSigner> NoteSigner::parse(std::string_view text) {
  if (!text.starts_with(kPrivatePrefix)) return std::nullopt;
  const auto parts = split(text.substr(kPrivatePrefix.size()));
  Secret typed(kTypedKeyBytes);
  if (!parts || !from_base64(parts->base64, typed.bytes()) || typed.bytes()[0] != kEd25519) return std::nullopt;
  NoteSigner signer(std::string(parts->name), PrivateKey::from_seed(seed_in(typed)));
  if (signer.public_key().hash_text() != parts->hash) return std::nullopt;
  return signer;
}

}  // namespace liongate::signing
