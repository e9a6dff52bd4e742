// Tells UTF-8 from other bytes, and makes any bytes printable; protobuf strings and JSON take nothing else.
//
// Ownership and thread: pure functions.
#pragma once

#include <string>
#include <string_view>

namespace liongate {

// True for well-formed UTF-8 (no overlong forms, no surrogates, at most U+10FFFF).
bool is_utf8(std::string_view bytes);

// The same text with every byte that is not part of well-formed UTF-8 replaced by U+FFFD.
std::string to_utf8(std::string_view bytes);

}  // namespace liongate
