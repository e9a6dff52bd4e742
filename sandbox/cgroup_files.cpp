#include "sandbox/cgroup_files.h"

#include <algorithm>
#include <charconv>

namespace liongate::sandbox {
namespace {

constexpr std::uint64_t kHighMarginBytesMax = 4ULL * 1024 * 1024;
constexpr std::uint64_t kHighMarginShare = 16;

std::optional<std::uint64_t> number_in(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// Takes the next line off `text`; false when none is left.
bool next_line(std::string_view& text, std::string_view& line) {
  if (text.empty()) return false;
  const std::size_t end = text.find('\n');
  line = text.substr(0, end);
  text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
  return true;
}

void split(std::string_view text, std::string_view separators, std::vector<std::string>& parts) {
  while (!text.empty()) {
    const std::size_t end = text.find_first_of(separators);
    if (end != 0) parts.emplace_back(text.substr(0, end));
    if (end == std::string_view::npos) return;
    text = text.substr(end + 1);
  }
}

}  // namespace

OwnCgroup parse_own_cgroup(std::string_view text) {
  OwnCgroup own;
  std::string_view line;
  while (next_line(text, line)) {
    const std::size_t first = line.find(':');
    const std::size_t second = first == std::string_view::npos ? first : line.find(':', first + 1);
    if (second == std::string_view::npos) continue;
    const std::string_view names = line.substr(first + 1, second - first - 1);
    if (line.substr(0, first) == "0" && names.empty()) {
      own.path = std::string(line.substr(second + 1));
    } else if (!names.starts_with("name=")) {
      split(names, ",", own.legacy_controllers);
    }
  }
  return own;
}

std::uint64_t keyed_value(std::string_view text, std::string_view key) {
  std::string_view line;
  while (next_line(text, line)) {
    if (line.size() > key.size() && line.starts_with(key) && line[key.size()] == ' ') {
      return number_in(line.substr(key.size() + 1)).value_or(0);
    }
  }
  return 0;
}

std::vector<std::string> words_of_list(std::string_view text) {
  std::vector<std::string> words;
  split(text, " \n", words);
  return words;
}

std::optional<std::uint64_t> single_value(std::string_view text) {
  return number_in(text.substr(0, text.find('\n')));
}

std::optional<std::uint64_t> pressure_total_us(std::string_view text) {
  constexpr std::string_view kTotal = " total=";
  std::string_view line;
  while (next_line(text, line)) {
    const std::size_t at = line.find(kTotal);
    if (line.starts_with("some ") && at != std::string_view::npos) return number_in(line.substr(at + kTotal.size()));
  }
  return std::nullopt;
}

std::string cpu_max_text(std::uint32_t percent) {
  const std::uint64_t quota_us = static_cast<std::uint64_t>(percent) * (kCpuPeriodUs / 100);
  return std::to_string(quota_us) + " " + std::to_string(kCpuPeriodUs);
}

std::uint64_t memory_high_of(std::uint64_t bytes) {
  return bytes - std::min(bytes / kHighMarginShare, kHighMarginBytesMax);
}

}  // namespace liongate::sandbox
