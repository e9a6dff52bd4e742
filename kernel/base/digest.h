// SHA-256 over bytes as hexadecimal text: of large payloads in events and of a plugin's files.
//
// Ownership and thread: one Sha256 is used by one thread. A target of its own (liongate_digest), so that what links
// only kernel/base does not link OpenSSL.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

namespace liongate {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(std::span<const std::byte> bytes);
  void update(std::string_view text) { update(std::as_bytes(std::span(text.data(), text.size()))); }

  // The digest of all that was given, 64 lower-case hexadecimal digits; the object begins anew.
  std::string finish_hex();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

std::string sha256_hex(std::string_view bytes);

}  // namespace liongate
