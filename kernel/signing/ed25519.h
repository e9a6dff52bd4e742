// Ed25519 by OpenSSL: a private key that signs, and the check of a signature.
//
// Ownership and thread: a PrivateKey is move-only and may sign from any thread; OpenSSL cleanses the key's memory when
// it is destroyed. Errors: none that a caller could act on; an OpenSSL without Ed25519 is a broken installation and
// aborts.
#pragma once

#include <array>
#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "kernel/signing/secret.h"

struct evp_pkey_st;

namespace liongate::signing {

inline constexpr std::size_t kSeedBytes = 32;
using PublicKeyBytes = std::array<std::byte, 32>;
using SignatureBytes = std::array<std::byte, 64>;

// Random bytes to make a key of.
Secret new_seed();

class PrivateKey {
 public:
  // The seed cannot be got back: OpenSSL would leave a copy of it behind.
  static PrivateKey from_seed(std::span<const std::byte, kSeedBytes> seed);

  PublicKeyBytes public_key() const;
  SignatureBytes sign(std::string_view text) const;

 private:
  struct Release {
    void operator()(evp_pkey_st* key) const;
  };
  using Handle = std::unique_ptr<evp_pkey_st, Release>;
  explicit PrivateKey(Handle key) : key_(std::move(key)) {}

  Handle key_;
};

bool signature_holds(const PublicKeyBytes& key, std::string_view text, const SignatureBytes& signature);

}  // namespace liongate::signing
