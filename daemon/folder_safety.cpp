#include "daemon/folder_safety.h"

#include <pwd.h>

#include <algorithm>
#include <array>
#include <filesystem>

#include "kernel/base/paths.h"

namespace liongate::daemon {
namespace {

constexpr std::array kSystemFolders = {"/",
                                       "/bin",
                                       "/boot",
                                       "/dev",
                                       "/etc",
                                       "/home",
                                       "/lib",
                                       "/lib32",
                                       "/lib64",
                                       "/libx32",
                                       "/media",
                                       "/mnt",
                                       "/opt",
                                       "/proc",
                                       "/root",
                                       "/run",
                                       "/sbin",
                                       "/srv",
                                       "/sys",
                                       "/tmp",
                                       "/usr",
                                       "/usr/bin",
                                       "/usr/lib",
                                       "/usr/lib64",
                                       "/usr/local",
                                       "/usr/sbin",
                                       "/usr/share",
                                       "/usr/local/bin",
                                       "/usr/local/lib",
                                       "/usr/include",
                                       "/var",
                                       "/var/cache",
                                       "/var/lib",
                                       "/var/log",
                                       "/var/run",
                                       "/var/spool",
                                       "/var/tmp",
                                       "/usr/libexec",
                                       "/usr/lib/liongate",
                                       "/usr/lib/liongate/plugins"};
constexpr std::array kKernelFolders = {"/proc", "/sys", "/dev"};

Error unsafe(const std::string& folder, const std::string& why) {
  return make_error(Reason::kUnsafeFolder, "the plugin's folder " + folder + " " + why).with("folder", folder);
}

bool is_home(const std::string& folder, uid_t caller_uid) {
  if (std::filesystem::path(folder).parent_path() == "/home") return true;
  std::array<char, 16 * 1024> buffer;
  struct passwd entry {};
  struct passwd* found = nullptr;
  for (const uid_t uid : {caller_uid, uid_t{0}}) {
    if (::getpwuid_r(uid, &entry, buffer.data(), buffer.size(), &found) == 0 && found != nullptr &&
        folder == found->pw_dir) {
      return true;
    }
  }
  return false;
}

}  // namespace

Result<void> check_folder(const std::string& folder, const struct stat& info, uid_t caller_uid,
                          const FolderRules& rules) {
  const char* own_folder = "put the manifest and its files into a folder of their own";
  if (std::find(kSystemFolders.begin(), kSystemFolders.end(), folder) != kSystemFolders.end()) {
    return unsafe(folder, "is a system folder").with_hint(own_folder);
  }
  for (const char* kernel_folder : kKernelFolders) {
    if (is_same_or_inside(folder, kernel_folder))
      return unsafe(folder, "belongs to the operating system").with_hint(own_folder);
  }
  if (is_home(folder, caller_uid)) return unsafe(folder, "is a home folder").with_hint(own_folder);
  for (const std::string& own : rules.own_folders) {
    if (is_same_or_inside(folder, own) || is_same_or_inside(own, folder)) {
      return unsafe(folder, "overlaps the daemon's own " + own).with_hint(own_folder);
    }
  }
  if ((info.st_mode & 022) != 0) {
    return unsafe(folder, "is writable by others than its owner").with_hint("chmod go-w " + folder);
  }
  if (info.st_uid != 0 && info.st_uid != rules.daemon_uid && info.st_uid != caller_uid) {
    return unsafe(folder, "belongs to uid " + std::to_string(info.st_uid) +
                              ", who is neither root nor the daemon nor the caller")
        .with_hint("chown it, or copy it");
  }
  return {};
}

}  // namespace liongate::daemon
