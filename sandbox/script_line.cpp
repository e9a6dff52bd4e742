#include "sandbox/script_line.h"

namespace liongate::sandbox {
namespace {

constexpr std::string_view kMark = "#!";
constexpr std::string_view kBlanks = " \t";

std::string_view trimmed(std::string_view text) {
  const std::size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

}  // namespace

bool is_script(std::string_view head) {
  return head.starts_with(kMark);
}

std::optional<ScriptLine> parse_script_line(std::string_view head) {
  if (!is_script(head)) return std::nullopt;
  const std::size_t line_end = head.find('\n');
  const std::string_view line = trimmed(head.substr(kMark.size(), line_end - kMark.size()));
  const std::size_t name_end = line.find_first_of(kBlanks);
  // Cut off in the middle of the name, it would name another program.
  const bool cut_off = line_end == std::string_view::npos && head.size() >= kScriptLineBytesMax;
  if (line.empty() || line.find('\0') != std::string_view::npos) return std::nullopt;
  if (cut_off && name_end == std::string_view::npos) return std::nullopt;
  ScriptLine script{std::string(line.substr(0, name_end)), {}};
  if (name_end != std::string_view::npos) script.argument = trimmed(line.substr(name_end));
  return script;
}

}  // namespace liongate::sandbox
