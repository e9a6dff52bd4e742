// Bytes that must not outlive their use: private keys and the text they are stored as.
//
// Ownership and thread: owns its memory, can be moved, never copied; cleansed when it is destroyed or shrunk. It never
// grows, because growing would leave a copy behind. No errors.
#pragma once

#include <openssl/crypto.h>

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>

#include "kernel/base/assert.h"

namespace liongate::signing {

class Secret {
 public:
  Secret() = default;
  explicit Secret(std::size_t bytes) : bytes_(new std::byte[bytes]()), capacity_(bytes), size_(bytes) {}
  ~Secret() { wipe(); }
  Secret(Secret&& other) noexcept { swap(other); }
  Secret& operator=(Secret&& other) noexcept {
    Secret taken(std::move(other));  // what was held ends here, not with `other`
    swap(taken);
    return *this;
  }
  Secret(const Secret&) = delete;
  Secret& operator=(const Secret&) = delete;

  std::span<std::byte> bytes() { return {bytes_.get(), size_}; }
  std::span<const std::byte> bytes() const { return {bytes_.get(), size_}; }
  // A view, for parsing; copies of it are the caller's fault.
  std::string_view text() const { return {reinterpret_cast<const char*>(bytes_.get()), size_}; }

  void shrink(std::size_t bytes) {
    LG_ASSERT(bytes <= size_);
    OPENSSL_cleanse(bytes_.get() + bytes, size_ - bytes);
    size_ = bytes;
  }

 private:
  void wipe() {
    if (bytes_) OPENSSL_cleanse(bytes_.get(), capacity_);
  }
  void swap(Secret& other) noexcept {
    std::swap(bytes_, other.bytes_);
    std::swap(capacity_, other.capacity_);
    std::swap(size_, other.size_);
  }

  std::unique_ptr<std::byte[]> bytes_;
  std::size_t capacity_ = 0;
  std::size_t size_ = 0;
};

}  // namespace liongate::signing
