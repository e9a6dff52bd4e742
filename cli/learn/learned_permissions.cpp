#include "cli/learn/learned_permissions.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <string_view>

#include "kernel/base/paths.h"

namespace liongate::cli {
namespace {

// A host that is never there: with it the sandbox has a network whose gate tells what the program wants.
constexpr const char* kTrialNetwork = "network:liongate-learn.invalid";
constexpr std::string_view kNetwork = "network:";

constexpr auto kSecretPlaces = std::to_array<std::string_view>(
    {"/.ssh/", "/.gnupg/", "/.aws/", "/.kube/", "/.docker/", "/.netrc", "/.git-credentials", "/.pgpass", "/shadow",
     "/gshadow", "/.password-store/", "/.config/gh/", "/credentials", "/private/", "id_rsa", "id_ed25519"});
constexpr auto kSecretWords =
    std::to_array<std::string_view>({"KEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "CREDENTIAL"});

// They name places of the host, where the sandbox has its own.
constexpr auto kVariablesOfPlaces = std::to_array<std::string_view>({"TMPDIR", "TMP", "TEMP"});

// KIND and what is behind its colon.
std::pair<std::string, std::string> split(const std::string& permission) {
  const std::size_t colon = permission.find(':');
  if (colon == std::string::npos) return {permission, ""};
  return {permission.substr(0, colon), permission.substr(colon + 1)};
}

bool is_file_kind(const std::string& kind) {
  return kind == "fs_read" || kind == "fs_write";
}

bool looks_secret(const std::string& permission) {
  const auto [kind, argument] = split(permission);
  const auto has = [&text = argument](std::string_view word) { return text.find(word) != std::string::npos; };
  if (is_file_kind(kind)) {
    const std::string folder = argument + "/";
    return std::ranges::any_of(kSecretPlaces,
                               [&](std::string_view place) { return has(place) || folder.ends_with(place); });
  }
  return kind == "env" && std::ranges::any_of(kSecretWords, has);
}

// Folders where what one program needs lies among what others do.
bool is_shared_folder(const std::filesystem::path& folder) {
  const auto depth = std::distance(folder.begin(), folder.end()) - 1;
  const char* const home = std::getenv("HOME");
  return depth < 2 || (home != nullptr && folder == std::filesystem::path(home)) || folder.parent_path() == "/home";
}

// Whether `wider` allows all that `permission` does.
bool covers(const std::string& wider, const std::string& permission) {
  const auto [wider_kind, place] = split(wider);
  const auto [kind, path] = split(permission);
  if (!is_file_kind(wider_kind) || !is_file_kind(kind) || wider == permission) return false;
  return (wider_kind == "fs_write" || kind == "fs_read") && is_same_or_inside(path, place);
}

using Permissions = std::map<std::string, std::string>;

void fold_files(Permissions& permissions) {
  std::map<std::string, std::vector<std::string>> by_folder;  // with the kind in front
  std::error_code ignored;
  for (const auto& [permission, why] : permissions) {
    const auto [kind, path] = split(permission);
    if (!is_file_kind(kind) || std::filesystem::is_directory(path, ignored)) continue;
    by_folder[kind + ":" + std::filesystem::path(path).parent_path().string()].push_back(permission);
  }
  for (const auto& [folder, files] : by_folder) {
    if (files.size() <= kFilesPerFolderMax || is_shared_folder(split(folder).second)) continue;
    for (const std::string& file : files) permissions.erase(file);
    permissions[folder] = std::to_string(files.size()) + " files in it";
  }
}

void drop_covered(Permissions& permissions, const std::vector<std::string>& asked) {
  std::erase_if(permissions, [&](const auto& entry) {
    const auto covers_it = [&entry](const std::string& wider) { return covers(wider, entry.first); };
    return std::ranges::any_of(asked, covers_it) ||
           std::ranges::any_of(permissions, [&](const auto& other) { return covers_it(other.first); });
  });
}

}  // namespace

bool LearnedPermissions::is_asked(const std::string& permission) const {
  return std::ranges::find(asked_, permission) != asked_.end();
}

void LearnedPermissions::take(const v1::Event& event) {
  if (event.has_permission_denied()) take_denial(event.permission_denied());
  if (event.has_network_flow_opened()) {
    ports_[event.network_flow_opened().host()].insert(event.network_flow_opened().port());
  }
  if (event.has_network_flow_closed() && event.network_flow_closed().port() != 0) {
    ports_[event.network_flow_closed().host()].insert(event.network_flow_closed().port());
  }
}

void LearnedPermissions::take_denial(const v1::PermissionDenied& denial) {
  const std::string& permission = denial.permission();
  const std::string shown_by = denial.system_call().empty() ? denial.action() : denial.system_call();
  if (permission.empty()) {
    if (!denial.system_call().empty()) never_granted_[denial.system_call()] = denial.rule();
    return;
  }
  if (permission == "network") {
    wants_network_ = true;
    return;
  }
  const auto [kind, argument] = split(permission);
  // A name that nobody has set is no less clear when it is not granted.
  if (kind == "env" && std::getenv(argument.c_str()) == nullptr) return;
  if (kind == "env" && std::ranges::find(kVariablesOfPlaces, argument) != kVariablesOfPlaces.end()) return;
  // Granted, and refused all the same: the gate has looked at where the name leads.
  if (kind == "network" && granted_.contains(permission)) {
    withhold(permission, denial.message());
    return;
  }
  if (looks_secret(permission) && !is_asked(permission)) {
    withheld_.try_emplace(permission, "it looks like a secret");
    return;
  }
  learn(permission, shown_by);
}

void LearnedPermissions::learn(const std::string& permission, const std::string& why) {
  if (is_asked(permission) || withheld_.contains(permission)) return;
  learned_.try_emplace(permission, why);
}

void LearnedPermissions::withhold(const std::string& permission, const std::string& why) {
  learned_.erase(permission);
  withheld_.try_emplace(permission, why);
}

std::vector<std::string> LearnedPermissions::for_trial() const {
  Permissions folded = learned_;
  fold_files(folded);
  drop_covered(folded, asked_);
  std::vector<std::string> permissions = asked_;
  bool has_network = std::ranges::any_of(asked_, [](const std::string& one) { return one.starts_with("net"); });
  for (const auto& [permission, why] : folded) {
    permissions.push_back(permission);
    has_network = has_network || permission.starts_with(kNetwork);
  }
  if (wants_network_ && !has_network) permissions.emplace_back(kTrialNetwork);
  return permissions;
}

std::vector<LearnedPermissions::Line> LearnedPermissions::for_manifest() const {
  Permissions folded = learned_;
  fold_files(folded);
  drop_covered(folded, asked_);
  std::vector<Line> lines;
  for (const std::string& permission : asked_) lines.push_back({permission, ""});
  for (const auto& [permission, why] : folded) {
    const auto ports =
        permission.starts_with(kNetwork) ? ports_.find(permission.substr(kNetwork.size())) : ports_.end();
    if (ports == ports_.end()) {
      lines.push_back({permission, why});
      continue;
    }
    for (const std::uint32_t port : ports->second) lines.push_back({permission + ":" + std::to_string(port), why});
  }
  return lines;
}

}  // namespace liongate::cli
