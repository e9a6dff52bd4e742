// Small pieces of text: durations and times as people type them, times and sizes as people read them, safe lines.
//
// Ownership and thread: pure functions; any thread (the current time is read where a function says so).
#pragma once

#include <google/protobuf/timestamp.pb.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace liongate::cli {

// "500ms", "5s", "1.5m", "2h", "1d", or a plain number of seconds, in milliseconds; nothing where it is none of these,
// or not positive, or longer than a year.
std::optional<std::int64_t> parse_duration_ms(std::string_view text);

// An RFC 3339 time, or a duration that is taken back from now.
std::optional<google::protobuf::Timestamp> parse_time(std::string_view text);

// "2026-11-20 10:18:22.123"; UTC. Empty for an unset time.
std::string time_text(const google::protobuf::Timestamp& time);

// "12.3 MiB"
std::string bytes_text(std::uint64_t bytes);

// "3.21 ms"
std::string milliseconds_text(double milliseconds);

// `text` without control characters, so that what a plugin wrote cannot steer a terminal or forge a second line; at
// most `bytes_max` (0: all), with "..." where it was cut.
std::string one_line(std::string_view text, std::size_t bytes_max = 0);

// How many columns `text` takes: characters, not bytes.
std::size_t width_of(std::string_view text);

}  // namespace liongate::cli
