#include "kernel/base/ids.h"

#include <sys/random.h>

#include <array>
#include <cctype>

#include "kernel/base/assert.h"

namespace liongate {

namespace {

using UuidBytes = std::array<unsigned char, 16>;

// Every call needs two ids: the system is asked for many at once. Each thread has its own, and none is given twice.
UuidBytes random_bytes() {
  // getrandom(2) gives up to 256 bytes whole, without interruption.
  thread_local std::array<UuidBytes, 256 / sizeof(UuidBytes)> pool;
  thread_local std::size_t left = 0;
  if (left == 0) {
    LG_ASSERT(::getrandom(pool.data(), sizeof pool, 0) == static_cast<ssize_t>(sizeof pool));
    left = pool.size();
  }
  return pool[--left];
}

}  // namespace

std::string new_uuid() {
  UuidBytes bytes = random_bytes();
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0F) | 0x40);
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3F) | 0x80);
  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text;
  text.reserve(36);
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text.push_back('-');
    text.push_back(kHex[bytes[i] >> 4]);
    text.push_back(kHex[bytes[i] & 0x0F]);
  }
  return text;
}

bool is_uuid(std::string_view text) {
  if (text.size() != 36) return false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const bool hyphen = i == 8 || i == 13 || i == 18 || i == 23;
    if (hyphen ? text[i] != '-' : std::isxdigit(static_cast<unsigned char>(text[i])) == 0) return false;
  }
  return true;
}

}  // namespace liongate
