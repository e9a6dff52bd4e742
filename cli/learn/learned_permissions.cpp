#include "cli/learn/learned_permissions.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string_view>

#include "config/manifest_parser.h"
#include "kernel/base/limits.h"
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

// Names of files and folders in which secrets are kept, wherever they lie.
constexpr auto kSecretNames =
    std::to_array<std::string_view>({".ssh", ".gnupg", ".aws", ".kube", ".docker", ".netrc", ".git-credentials",
                                     ".pgpass", ".password-store", "id_rsa", "id_ed25519", "shadow", "gshadow"});

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
  auto [kind, argument] = split(permission);
  if (kind == "env")
    std::ranges::transform(argument, argument.begin(), [](unsigned char c) { return std::toupper(c); });
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

bool is_home(const std::filesystem::path& folder) {
  const char* const home = std::getenv("HOME");
  return folder == "/root" || folder.parent_path() == "/home" ||
         (home != nullptr && folder == std::filesystem::path(home));
}

// The first secret in the folder or one below; empty where there is none.
std::string secret_in(const std::string& folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::recursive_directory_iterator entries(folder, fs::directory_options::skip_permission_denied, error);
  for (; !error && entries != fs::recursive_directory_iterator(); entries.increment(error)) {
    if (entries.depth() >= 1) entries.disable_recursion_pending();
    const std::string name = entries->path().filename().string();
    if (std::ranges::find(kSecretNames, name) != kSecretNames.end()) return entries->path().string();
  }
  return "";
}

// Whether `wider` allows all that `permission` does.
bool covers(const std::string& wider, const std::string& permission) {
  const auto [wider_kind, place] = split(wider);
  const auto [kind, path] = split(permission);
  if (!is_file_kind(wider_kind) || !is_file_kind(kind) || wider == permission) return false;
  return (wider_kind == "fs_write" || kind == "fs_read") && is_same_or_inside(path, place);
}

using Permissions = std::map<std::string, std::string>;

void fold_files(Permissions& permissions, std::size_t files_max,
                const std::function<bool(const std::string& folder)>& may_fold) {
  std::map<std::string, std::vector<std::string>> by_folder;  // with the kind in front
  std::error_code ignored;
  for (const auto& [permission, why] : permissions) {
    const auto [kind, path] = split(permission);
    if (!is_file_kind(kind) || std::filesystem::is_directory(path, ignored)) continue;
    by_folder[kind + ":" + std::filesystem::path(path).parent_path().string()].push_back(permission);
  }
  for (const auto& [folder, files] : by_folder) {
    if (files.size() <= files_max || is_shared_folder(split(folder).second) || !may_fold(folder)) continue;
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
  if (event.has_permission_denied()) {
    take_denial(event.permission_denied(), event.correlation_id() == correlation_id_);
  }
  if (event.has_network_flow_opened()) {
    ports_[event.network_flow_opened().host()].insert(event.network_flow_opened().port());
  }
  if (event.has_network_flow_closed() && event.network_flow_closed().port() != 0) {
    ports_[event.network_flow_closed().host()].insert(event.network_flow_closed().port());
  }
}

void LearnedPermissions::take_denial(const v1::PermissionDenied& denial, bool is_of_this_trial) {
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
    if (!is_of_this_trial) return;
    withhold(permission, denial.message());
    return;
  }
  learn(permission, shown_by);
}

std::string LearnedPermissions::reason_to_withhold(const std::string& permission) const {
  if (!config::parse_permission(permission)) return "it is no permission";
  if (looks_secret(permission)) return "it looks like a secret";
  const auto [kind, path] = split(permission);
  std::error_code ignored;
  if (!is_file_kind(kind) || !std::filesystem::is_directory(path, ignored)) return "";
  if (is_home(path)) return "it is a home";
  const std::string secret = secret_in(path);
  return secret.empty() ? "" : secret + " in it looks like a secret";
}

void LearnedPermissions::learn(const std::string& permission, const std::string& why) {
  if (is_asked(permission) || withheld_.contains(permission) || learned_.contains(permission)) return;
  if (const std::string reason = reason_to_withhold(permission); !reason.empty()) {
    withheld_.try_emplace(permission, reason);
  } else {
    learned_.emplace(permission, why);
  }
}

void LearnedPermissions::withhold(const std::string& permission, const std::string& why) {
  learned_.erase(permission);
  withheld_.try_emplace(permission, why);
}

// The fewer files a folder needs to stand for them, the fewer permissions there are.
std::map<std::string, std::string> LearnedPermissions::folded() const {
  const auto may_fold = [this](const std::string& folder) { return reason_to_withhold(folder).empty(); };
  Permissions folded;
  for (std::size_t files_max = kFilesPerFolderMax;; files_max /= 2) {
    folded = learned_;
    fold_files(folded, files_max, may_fold);
    drop_covered(folded, asked_);
    if (files_max == 0 || folded.size() + asked_.size() < limits::kPermissionsMax) return folded;
  }
}

std::vector<std::string> LearnedPermissions::for_trial() const {
  const Permissions folded = this->folded();
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
  const Permissions folded = this->folded();
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
