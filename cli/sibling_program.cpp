#include "cli/sibling_program.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <ostream>
#include <sstream>

namespace liongate::cli {

Result<std::string> find_sibling(const std::string& name) {
  std::error_code error;
  const std::filesystem::path folder = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  std::vector<std::filesystem::path> candidates;
  if (!error) candidates = {folder / name, folder.parent_path() / "sbin" / name};
  const char* path = std::getenv("PATH");
  std::istringstream folders(path == nullptr ? "" : path);
  for (std::string entry; std::getline(folders, entry, ':');) {
    if (entry.starts_with('/')) candidates.push_back(std::filesystem::path(entry) / name);
  }
  for (const std::filesystem::path& candidate : candidates) {
    if (::access(candidate.c_str(), X_OK) == 0) return candidate.string();
  }
  return make_error(Reason::kInternal, "the program " + name + " is not beside liongatectl nor in PATH")
      .with_hint("install " + name + ", or build it with `make build`");
}

ExitCode exec_liongated(Context& context, std::vector<std::string> arguments) {
  const Result<std::string> program = find_sibling("liongated");
  if (!program) return fail(context, failure_of(program.error(), ""));
  if (context.json()) {
    arguments.emplace_back("-o");
    arguments.emplace_back("json");
  }
  std::vector<char*> argv{const_cast<char*>(program->c_str())};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  context.out.flush();
  ::execv(program->c_str(), argv.data());
  return fail(context, failure_of(make_errno_error(Reason::kInternal, "cannot be run", errno), *program));
}

}  // namespace liongate::cli
