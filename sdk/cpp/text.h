// What the wire's text fields can hold: UTF-8, nothing else.
//
// Ownership and thread: pure functions; any thread.
#pragma once

#include <string>
#include <string_view>

namespace liongate::plugin {

bool is_utf8(std::string_view bytes);

// The same text with each byte that is not UTF-8 replaced by '?'.
std::string as_utf8(std::string_view bytes);

}  // namespace liongate::plugin
