#include "kernel/base/digest.h"

#include <openssl/evp.h>

#include <array>

#include "kernel/base/assert.h"

namespace liongate {

struct Sha256::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
  void begin() { LG_ASSERT(EVP_DigestInit_ex(context, EVP_sha256(), nullptr) == 1); }
};

Sha256::Sha256() : impl_(std::make_unique<Impl>()) {
  impl_->begin();
}
Sha256::~Sha256() = default;

void Sha256::update(std::span<const std::byte> bytes) {
  LG_ASSERT(EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) == 1);
}

std::string Sha256::finish_hex() {
  std::array<unsigned char, 32> digest{};
  unsigned size = 0;
  LG_ASSERT(EVP_DigestFinal_ex(impl_->context, digest.data(), &size) == 1 && size == digest.size());
  impl_->begin();
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  text.reserve(2 * digest.size());
  for (const unsigned char byte : digest) {
    text.push_back(kHex[byte >> 4]);
    text.push_back(kHex[byte & 0x0F]);
  }
  return text;
}

std::string sha256_hex(std::string_view bytes) {
  Sha256 digest;
  digest.update(bytes);
  return digest.finish_hex();
}

}  // namespace liongate
