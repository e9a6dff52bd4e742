// OpenSSL's spelling of bytes: unsigned char.
//
// Ownership and thread: functions; nothing is copied. No errors.
#pragma once

#include <cstddef>

namespace liongate::signing {

inline const unsigned char* raw(const void* bytes) {
  return static_cast<const unsigned char*>(bytes);
}

inline unsigned char* raw(std::byte* bytes) {
  return reinterpret_cast<unsigned char*>(bytes);
}

inline unsigned char* raw(char* bytes) {
  return reinterpret_cast<unsigned char*>(bytes);
}

}  // namespace liongate::signing
