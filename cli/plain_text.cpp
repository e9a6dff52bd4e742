#include "cli/plain_text.h"

#include <google/protobuf/util/time_util.h>

#include <array>
#include <charconv>
#include <chrono>
#include <cstdio>
#include <ctime>

namespace liongate::cli {
namespace {

constexpr double kDurationMsMax = 366.0 * 24 * 60 * 60 * 1000;

struct Unit {
  std::string_view name;
  double ms;
};
constexpr std::array kUnits{
    Unit{"", 1000}, Unit{"ms", 1}, Unit{"s", 1000}, Unit{"m", 60'000}, Unit{"h", 3'600'000}, Unit{"d", 86'400'000},
};

bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0U) == 0x80U;
}

}  // namespace

std::optional<std::int64_t> parse_duration_ms(std::string_view text) {
  double number = 0;
  const char* end = text.data() + text.size();
  const auto [rest, fault] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  if (fault != std::errc()) return std::nullopt;
  const std::string_view unit(rest, static_cast<std::size_t>(end - rest));
  for (const Unit& row : kUnits) {
    if (row.name != unit) continue;
    const double ms = number * row.ms;
    if (!(ms >= 1 && ms <= kDurationMsMax)) return std::nullopt;
    return static_cast<std::int64_t>(ms);
  }
  return std::nullopt;
}

std::optional<google::protobuf::Timestamp> parse_time(std::string_view text) {
  if (const std::optional<std::int64_t> ago_ms = parse_duration_ms(text)) {
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const std::int64_t now_ms = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
    return google::protobuf::util::TimeUtil::MillisecondsToTimestamp(now_ms - *ago_ms);
  }
  google::protobuf::Timestamp time;
  if (!google::protobuf::util::TimeUtil::FromString(std::string(text), &time)) return std::nullopt;
  return time;
}

std::string time_text(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0 && time.nanos() == 0) return "";
  const std::time_t seconds = time.seconds();
  std::tm parts{};
  if (::gmtime_r(&seconds, &parts) == nullptr) return "";
  char text[64];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &parts);
  std::snprintf(text + length, sizeof text - length, ".%03d", time.nanos() / 1'000'000);
  return text;
}

std::string bytes_text(std::uint64_t bytes) {
  static constexpr std::array kNames{"B", "KiB", "MiB", "GiB", "TiB"};
  auto amount = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (amount >= 1024 && unit + 1 < kNames.size()) {
    amount /= 1024;
    ++unit;
  }
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 ? "%.0f %s" : "%.1f %s", amount, kNames[unit]);
  return text;
}

std::string milliseconds_text(double milliseconds) {
  char text[48];
  std::snprintf(text, sizeof text, "%.2f ms", milliseconds);
  return text;
}

std::string one_line(std::string_view text, std::size_t bytes_max) {
  std::string out;
  std::size_t length = text.size();
  if (bytes_max != 0 && length > bytes_max) {
    length = bytes_max;
    while (length > 0 && continues_character(text[length])) --length;
  }
  for (std::size_t i = 0; i < length; ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    // U+0080 to U+009F are control characters too, in UTF-8 the byte C2 before them.
    const bool is_c1 = byte == 0xC2 && i + 1 < length && static_cast<unsigned char>(text[i + 1]) < 0xA0;
    if (is_c1) ++i;
    out += byte < 0x20 || byte == 0x7F || is_c1 ? (byte == '\t' || byte == '\n' ? ' ' : '?') : text[i];
  }
  if (length < text.size()) out += "...";
  return out;
}

std::size_t width_of(std::string_view text) {
  std::size_t width = 0;
  for (const char c : text) width += continues_character(c) ? 0 : 1;
  return width;
}

}  // namespace liongate::cli
