// Times as they stand in notes: RFC 3339 in UTC with all nine digits of a nanosecond, one text for each time.
//
// Ownership and thread: pure functions. Errors: nothing, where a text is not what `time_text` would have written.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace liongate::signing {

std::string time_text(std::int64_t ns);
std::optional<std::int64_t> parse_time(std::string_view text);

}  // namespace liongate::signing
