// The first line of a script, `#!INTERPRETER [ARGUMENT]`, read as the kernel reads it.
//
// The kernel runs a script by handing its interpreter a path; a program that is executed by descriptor has none that
// outlives the exec. So scripts are resolved by us, inside the sandbox's root, before the filter is loaded.
//
// Ownership and thread: pure function over the first bytes of a file.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace liongate::sandbox {

inline constexpr std::size_t kScriptLineBytesMax = 256;  // the kernel's BINPRM_BUF_SIZE
inline constexpr int kScriptDepthMax = 4;                // interpreters that are scripts themselves

struct ScriptLine {
  std::string interpreter;
  std::string argument;  // at most one, blanks within it kept; empty for none
};

bool is_script(std::string_view head);

// Reads the line from the first kScriptLineBytesMax bytes of a script. Nothing when no interpreter is named, or the
// name does not end within those bytes.
std::optional<ScriptLine> parse_script_line(std::string_view head);

}  // namespace liongate::sandbox
