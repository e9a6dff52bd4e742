#include "cli/learn/learn_workshop.h"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>

#include "kernel/base/limits.h"
#include "kernel/base/paths.h"

namespace liongate::cli {
namespace {

namespace fs = std::filesystem;

// What every command sees at its own place.
bool is_of_the_system(const std::string& path) {
  return is_inside(path, "/usr") || is_inside(path, "/bin");
}

// Where `word` is a program: as a path, or along PATH. Without symbolic links; empty where it is none.
std::string find_program(const std::string& word) {
  std::vector<std::string> candidates;
  if (word.find('/') != std::string::npos) {
    candidates.push_back(word);
  } else {
    const char* const named = std::getenv("PATH");
    std::string_view rest = named != nullptr ? named : "/usr/bin:/bin";
    while (!rest.empty()) {
      const std::size_t colon = rest.find(':');
      candidates.push_back(std::string(rest.substr(0, colon)) + "/" + word);
      rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
    }
  }
  std::error_code error;
  for (const std::string& candidate : candidates) {
    if (!fs::is_regular_file(candidate, error) || ::access(candidate.c_str(), X_OK) != 0) continue;
    // Programs of the system are known by their names (busybox, alternatives): only others are looked through.
    const std::string path = fs::absolute(candidate, error).lexically_normal().string();
    return is_of_the_system(path) ? path : fs::canonical(path, error).string();
  }
  return "";
}

std::string name_from(const std::string& program) {
  std::string name;
  for (const char c : fs::path(program).filename().string()) {
    const bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (is_letter || (!name.empty() && ((c >= '0' && c <= '9') || c == '-' || c == '_'))) {
      name.push_back(c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c);
    } else if (!name.empty() && name.back() != '-') {
      name.push_back('-');
    }
  }
  while (name.ends_with('-')) name.pop_back();
  name.resize(std::min(name.size(), limits::kPluginNameBytesMax));
  return name.empty() ? "program" : name;
}

std::string written_out(const std::string& word) {
  if (word.starts_with('-') || word.find_first_of("/.") == std::string::npos) return word;
  std::error_code error;
  const fs::path path = fs::canonical(word, error);
  return error ? word : path.string();
}

}  // namespace

Result<LearnWorkshop> LearnWorkshop::make(const std::vector<std::string>& words, const std::string& folder) {
  const std::string program = find_program(words.front());
  if (program.empty()) {
    return make_error(Reason::kInvalidArgument, words.front() + " is no program that can be run here")
        .with_hint("name one of PATH, or its file");
  }
  if (words.size() > limits::kArgsMax + 1) {
    return make_error(Reason::kInvalidArgument,
                      "a plugin has at most " + std::to_string(limits::kArgsMax) + " arguments");
  }
  LearnWorkshop workshop;
  std::error_code error;
  if (folder.empty()) {
    std::string pattern = (fs::temp_directory_path(error) / "liongate-learn-XXXXXX").string();
    if (error || ::mkdtemp(pattern.data()) == nullptr) {
      return make_errno_error(Reason::kInternal, "making a temporary folder " + pattern, errno);
    }
    workshop.folder_ = pattern;
    workshop.is_temporary_ = true;
  } else {
    fs::create_directories(folder, error);
    if (error) return make_errno_error(Reason::kInvalidArgument, "making the folder " + folder, error.value());
    workshop.folder_ = fs::canonical(folder, error).string();
    if (!fs::is_empty(workshop.folder_, error) || error) {
      return make_error(Reason::kInvalidArgument, folder + " is not an empty folder")
          .with_hint("name a new one with --save");
    }
  }
  // Others than its owner may look (a root daemon's plugin has a user of its own), none may write.
  if (::chmod(workshop.folder_.c_str(), 0755) != 0) {
    return make_errno_error(Reason::kInternal, "chmod " + workshop.folder_, errno);
  }
  v1::Manifest& manifest = workshop.manifest_;
  manifest.set_name(name_from(program));
  manifest.set_version("0.1.0");
  manifest.set_runtime("command");
  manifest.set_role("callable");
  manifest.set_entry_point(program);
  if (!is_of_the_system(program)) {
    if (fs::file_size(program, error) > kProgramCopyBytesMax || error) {
      return make_error(Reason::kInvalidArgument, program + " is too large to be copied into a plugin's folder");
    }
    const std::string copy = workshop.folder_ + "/" + manifest.name();
    if (!fs::copy_file(program, copy, error)) {
      return make_errno_error(Reason::kInternal, "copying " + program, error.value());
    }
    if (::chmod(copy.c_str(), 0755) != 0) return make_errno_error(Reason::kInternal, "chmod " + copy, errno);
    manifest.set_entry_point("./" + manifest.name());
  }
  for (std::size_t index = 1; index < words.size(); ++index) {
    manifest.add_args(written_out(words[index]));
    const std::string& argument = manifest.args(manifest.args_size() - 1);
    if (argument != words[index]) workshop.notes_.push_back(words[index] + " is written as " + argument);
  }
  return workshop;
}

LearnWorkshop::LearnWorkshop(LearnWorkshop&& other) noexcept
    : manifest_(std::move(other.manifest_)),
      folder_(std::exchange(other.folder_, std::string())),
      is_temporary_(other.is_temporary_),
      notes_(std::move(other.notes_)) {}

LearnWorkshop::~LearnWorkshop() {
  std::error_code ignored;
  if (is_temporary_ && !folder_.empty()) fs::remove_all(folder_, ignored);
}

}  // namespace liongate::cli
