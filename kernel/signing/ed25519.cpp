#include "kernel/signing/ed25519.h"

#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include "kernel/base/assert.h"
#include "kernel/signing/openssl_bytes.h"

namespace liongate::signing {
namespace {

struct FreeContext {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};
using Context = std::unique_ptr<EVP_MD_CTX, FreeContext>;

Context make_context() {
  Context context(EVP_MD_CTX_new());
  LG_ASSERT(context != nullptr);
  return context;
}

}  // namespace

void PrivateKey::Release::operator()(evp_pkey_st* key) const {
  EVP_PKEY_free(key);
}

Secret new_seed() {
  Secret seed(kSeedBytes);
  LG_ASSERT(RAND_priv_bytes(raw(seed.bytes().data()), static_cast<int>(kSeedBytes)) == 1);
  return seed;
}

PrivateKey PrivateKey::from_seed(std::span<const std::byte, kSeedBytes> seed) {
  Handle key(EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, raw(seed.data()), seed.size()));
  LG_ASSERT(key != nullptr);
  return PrivateKey(std::move(key));
}

PublicKeyBytes PrivateKey::public_key() const {
  PublicKeyBytes key{};
  std::size_t bytes = key.size();
  LG_ASSERT(EVP_PKEY_get_raw_public_key(key_.get(), raw(key.data()), &bytes) == 1 && bytes == key.size());
  return key;
}

SignatureBytes PrivateKey::sign(std::string_view text) const {
  const Context context = make_context();
  SignatureBytes signature{};
  std::size_t bytes = signature.size();
  LG_ASSERT(EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key_.get()) == 1);
  LG_ASSERT(EVP_DigestSign(context.get(), raw(signature.data()), &bytes, raw(text.data()), text.size()) == 1);
  LG_ASSERT(bytes == signature.size());
  return signature;
}

bool signature_holds(const PublicKeyBytes& key, std::string_view text, const SignatureBytes& signature) {
  EVP_PKEY* const handle = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, nullptr, raw(key.data()), key.size());
  LG_ASSERT(handle != nullptr);
  const Context context = make_context();
  LG_ASSERT(EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, handle) == 1);
  const bool holds =
      EVP_DigestVerify(context.get(), raw(signature.data()), signature.size(), raw(text.data()), text.size()) == 1;
  EVP_PKEY_free(handle);
  if (!holds) ERR_clear_error();  // a signature that does not hold is an answer, not an error
  return holds;
}

}  // namespace liongate::signing
