#include "kernel/signing/note_time.h"

#include <cstdio>
#include <ctime>

namespace liongate::signing {
namespace {

constexpr std::int64_t kNanosPerSecond = 1'000'000'000;
constexpr std::size_t kTimeTextBytes = 30;  // 2026-11-20T13:16:15.120934871Z
constexpr int kYearMax = 2261;              // the last whole one in 64 bits of nanoseconds

}  // namespace

std::string time_text(std::int64_t ns) {
  std::int64_t nanos = ns % kNanosPerSecond;
  if (nanos < 0) nanos += kNanosPerSecond;
  const std::time_t seconds = (ns - nanos) / kNanosPerSecond;
  struct tm parts {};
  ::gmtime_r(&seconds, &parts);
  char text[64];
  std::snprintf(text, sizeof text, "%04d-%02d-%02dT%02d:%02d:%02d.%09lldZ", parts.tm_year + 1900, parts.tm_mon + 1,
                parts.tm_mday, parts.tm_hour, parts.tm_min, parts.tm_sec, static_cast<long long>(nanos));
  return text;
}

std::optional<std::int64_t> parse_time(std::string_view text) {
  if (text.size() != kTimeTextBytes) return std::nullopt;
  struct tm parts {};
  long nanos = 0;
  const std::string copy(text);
  const int read = std::sscanf(copy.c_str(), "%4d-%2d-%2dT%2d:%2d:%2d.%9ldZ", &parts.tm_year, &parts.tm_mon,
                               &parts.tm_mday, &parts.tm_hour, &parts.tm_min, &parts.tm_sec, &nanos);
  if (read != 7 || parts.tm_year < 1970 || parts.tm_year > kYearMax) return std::nullopt;
  parts.tm_year -= 1900;
  parts.tm_mon -= 1;
  const std::int64_t ns = std::int64_t{::timegm(&parts)} * kNanosPerSecond + nanos;
  // What was read leniently (a sign, a space, a 31st of June) is not written the same way again.
  if (time_text(ns) != text) return std::nullopt;
  return ns;
}

}  // namespace liongate::signing
