#include "kernel/signing/base64.h"

#include <openssl/evp.h>

#include <algorithm>

#include "kernel/signing/openssl_bytes.h"

namespace liongate::signing {
namespace {

constexpr std::size_t encoded_bytes(std::size_t bytes) {
  return (bytes + 2) / 3 * 4;
}

}  // namespace

Secret to_secret_base64(std::span<const std::byte> bytes) {
  Secret text(encoded_bytes(bytes.size()) + 1);  // OpenSSL ends it with a zero
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.bytes().data()), raw(bytes.data()),
                  static_cast<int>(bytes.size()));
  text.shrink(encoded_bytes(bytes.size()));
  return text;
}

std::string to_base64(std::span<const std::byte> bytes) {
  return std::string(to_secret_base64(bytes).text());
}

bool from_base64(std::string_view text, std::span<std::byte> bytes) {
  if (text.size() != encoded_bytes(bytes.size())) return false;
  Secret decoded(text.size() / 4 * 3);
  const int got = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(decoded.bytes().data()), raw(text.data()),
                                  static_cast<int>(text.size()));
  if (got < 0) return false;
  // OpenSSL counts the padding as bytes and is lenient with spaces and stray bits: only what encodes back is taken.
  const std::span<const std::byte> whole = decoded.bytes().first(bytes.size());
  if (to_secret_base64(whole).text() != text) return false;
  std::copy(whole.begin(), whole.end(), bytes.begin());
  return true;
}

}  // namespace liongate::signing
