// Bytes that must not outlive their use: private keys and the text they are stored as, secrets on the way to a plugin.
//
// Ownership and thread: owns its memory, can be moved (what text() gave stays where it is), never copied; wiped when it
// is destroyed or shrunk. It never grows, because growing would leave a copy behind. No errors.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "kernel/base/assert.h"

namespace liongate {

class SecretBytes {
 public:
  SecretBytes() = default;
  explicit SecretBytes(std::size_t bytes) : bytes_(new std::byte[bytes]()), capacity_(bytes), size_(bytes) {}
  // A copy of `text`; what becomes of the original is the caller's business.
  explicit SecretBytes(std::string_view text) : SecretBytes(text.size()) {
    if (!text.empty()) std::memcpy(bytes_.get(), text.data(), text.size());
  }
  ~SecretBytes() { wipe(); }
  SecretBytes(SecretBytes&& other) noexcept { swap(other); }
  SecretBytes& operator=(SecretBytes&& other) noexcept {
    SecretBytes taken(std::move(other));  // what was held ends here, not with `other`
    swap(taken);
    return *this;
  }
  SecretBytes(const SecretBytes&) = delete;
  SecretBytes& operator=(const SecretBytes&) = delete;

  std::span<std::byte> bytes() { return {bytes_.get(), size_}; }
  std::span<const std::byte> bytes() const { return {bytes_.get(), size_}; }
  // A view, for parsing; copies of it are the caller's fault.
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes_.get()), size_}; }

  void shrink(std::size_t bytes) {
    LG_ASSERT(bytes <= size_);
    ::explicit_bzero(bytes_.get() + bytes, size_ - bytes);
    size_ = bytes;
  }

 private:
  void wipe() {
    if (bytes_) ::explicit_bzero(bytes_.get(), capacity_);
  }
  void swap(SecretBytes& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(capacity_, other.capacity_);
    std::swap(size_, other.size_);
  }

  std::unique_ptr<std::byte[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
};

// Wipes what a string holds, the room it has left included, and empties it. For strings that libraries made of secrets.
inline void wipe(std::string& text) {
  text.resize(text.capacity());  // within its room: nothing moves
  ::explicit_bzero(text.data(), text.size());
  text.clear();
}

}  // namespace liongate
