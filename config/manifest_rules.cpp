#include "config/manifest_rules.h"

#include <array>
#include <charconv>
#include <utility>

#include "config/manifest_parser.h"
#include "kernel/base/ids.h"

namespace liongate::config {
namespace {

constexpr std::array kRuntimes{
    std::pair{Runtime::kNative, std::string_view("native")},
    std::pair{Runtime::kPython, std::string_view("python")},
    std::pair{Runtime::kNode, std::string_view("node")},
    std::pair{Runtime::kWasm, std::string_view("wasm")},
    std::pair{Runtime::kCommand, std::string_view("command")},
    std::pair{Runtime::kService, std::string_view("service")},
    std::pair{Runtime::kContainer, std::string_view("container")},
};

constexpr std::string_view kDigits = "0123456789";

bool is_lower(char c) {
  return c >= 'a' && c <= 'z';
}
bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_number(std::string_view text) {
  return !text.empty() && text.find_first_not_of(kDigits) == std::string_view::npos &&
         (text.size() == 1 || text[0] != '0');
}

enum class LeadingZeros { kAllowed, kRefused };

// Dot-separated identifiers of a pre-release or a build. Numbers of a pre-release have no leading zeros.
bool are_identifiers(std::string_view text, LeadingZeros zeros) {
  for (;;) {
    const std::size_t dot = text.find('.');
    const std::string_view part = text.substr(0, dot);
    if (part.empty()) return false;
    for (const char c : part) {
      if (!is_lower(c) && !is_digit(c) && c != '-' && !(c >= 'A' && c <= 'Z')) return false;
    }
    const bool is_numeric = part.find_first_not_of(kDigits) == std::string_view::npos;
    if (zeros == LeadingZeros::kRefused && is_numeric && !is_number(part)) return false;
    if (dot == std::string_view::npos) return true;
    text.remove_prefix(dot + 1);
  }
}

// Counts the numbers of "1.2.3"; 0 where the text is anything else.
std::size_t count_numbers(std::string_view text) {
  std::size_t count = 0;
  for (;;) {
    const std::size_t dot = text.find('.');
    if (!is_number(text.substr(0, dot))) return 0;
    ++count;
    if (dot == std::string_view::npos) return count;
    text.remove_prefix(dot + 1);
  }
}

bool is_comparator(std::string_view text) {
  for (const std::string_view prefix : {"<=", ">=", "^", "~", "=", "<", ">"}) {
    if (text.starts_with(prefix)) {
      text.remove_prefix(prefix.size());
      break;
    }
  }
  while (text.starts_with(' ')) text.remove_prefix(1);
  if (is_semver(text)) return true;
  const std::size_t numbers = count_numbers(text);
  return numbers >= 1 && numbers <= 3;
}

}  // namespace

bool is_plugin_name(std::string_view text) {
  if (text.empty() || text.size() > limits::kPluginNameBytesMax || !is_lower(text[0]) || is_uuid(text)) return false;
  for (const char c : text) {
    if (!is_lower(c) && !is_digit(c) && c != '-' && c != '_') return false;
  }
  return true;
}

bool is_number_to(std::string_view text, unsigned maximum) {
  unsigned number = 0;
  const auto [rest, fault] = std::from_chars(text.data(), text.data() + text.size(), number);
  return fault == std::errc() && rest == text.data() + text.size() && number <= maximum;
}

std::string plugin_name_from(std::string_view text) {
  std::string out;
  for (char c : text.substr(0, limits::kPluginNameBytesMax)) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + ('a' - 'A'));
    if (is_lower(c) || (!out.empty() && (is_digit(c) || c == '_'))) {
      out += c;
    } else if (!out.empty() && out.back() != '-') {
      out += '-';
    }
  }
  while (out.ends_with('-')) out.pop_back();
  return is_plugin_name(out) ? out : "";
}

bool is_json_pointer(std::string_view text) {
  if (text.empty() || text.front() != '/') return false;
  for (std::size_t at = text.find('~'); at != std::string_view::npos; at = text.find('~', at + 1)) {
    if (at + 1 == text.size() || (text[at + 1] != '0' && text[at + 1] != '1')) return false;
  }
  return true;
}

bool is_semver(std::string_view text) {
  if (text.size() > kVersionBytesMax) return false;
  if (const std::size_t plus = text.find('+'); plus != std::string_view::npos) {
    if (!are_identifiers(text.substr(plus + 1), LeadingZeros::kAllowed)) return false;
    text = text.substr(0, plus);
  }
  if (const std::size_t dash = text.find('-'); dash != std::string_view::npos) {
    if (!are_identifiers(text.substr(dash + 1), LeadingZeros::kRefused)) return false;
    text = text.substr(0, dash);
  }
  return count_numbers(text) == 3;
}

bool is_version_requirement(std::string_view text) {
  if (text == "*") return true;
  if (text.size() > kVersionBytesMax) return false;
  for (;;) {
    const std::size_t comma = text.find(',');
    std::string_view part = text.substr(0, comma);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    if (!is_comparator(part)) return false;
    if (comma == std::string_view::npos) return true;
    text.remove_prefix(comma + 1);
  }
}

Runtime runtime_guessed_from(std::string_view entry_point) {
  if (entry_point.ends_with(".py")) return Runtime::kPython;
  if (entry_point.ends_with(".js") || entry_point.ends_with(".mjs") || entry_point.ends_with(".cjs")) {
    return Runtime::kNode;
  }
  if (entry_point.ends_with(".wasm")) return Runtime::kWasm;
  if (entry_point.ends_with(".sh")) return Runtime::kCommand;
  return Runtime::kNative;
}

std::optional<Runtime> find_runtime(std::string_view name) {
  for (const auto& [runtime, its_name] : kRuntimes) {
    if (its_name == name) return runtime;
  }
  if (name == "javascript") return Runtime::kNode;
  if (name == "microservice") return Runtime::kService;
  return std::nullopt;
}

std::vector<std::string> runtime_names() {
  std::vector<std::string> names;
  for (const auto& [runtime, name] : kRuntimes) names.emplace_back(name);
  return names;
}

std::string_view name_of(Runtime runtime) {
  for (const auto& [its_runtime, name] : kRuntimes) {
    if (its_runtime == runtime) return name;
  }
  return "native";
}

std::string_view name_of(Role role) {
  return role == Role::kObserver ? "observer" : "callable";
}

}  // namespace liongate::config
