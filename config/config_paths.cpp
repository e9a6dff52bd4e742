// Where configuration, state and socket are when nobody says otherwise.
#include <pwd.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>

#include "config/daemon_config.h"

namespace liongate::config {
namespace {

constexpr const char* kSystemSocket = "/run/liongate/control.sock";

std::string environment_variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// XDG says that a relative path in these variables is to be ignored.
std::string xdg_folder(const char* name) {
  std::string folder = environment_variable(name);
  return folder.starts_with('/') ? folder : "";
}

std::string home_folder() {
  std::string home = xdg_folder("HOME");
  if (!home.empty()) return home;
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  if (::getpwuid_r(::geteuid(), &entry, buffer, sizeof buffer, &found) == 0 && found != nullptr) return found->pw_dir;
  return "/";
}

bool is_socket(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISSOCK(info.st_mode);
}

}  // namespace

DefaultPaths default_paths() {
  if (::geteuid() == 0) return {"/etc/liongate/liongated.yaml", "/var/lib/liongate", kSystemSocket};
  const std::string home = home_folder();
  std::string config_home = xdg_folder("XDG_CONFIG_HOME");
  if (config_home.empty()) config_home = home + "/.config";
  std::string state_home = xdg_folder("XDG_STATE_HOME");
  if (state_home.empty()) state_home = home + "/.local/state";
  DefaultPaths paths;
  paths.config_file = config_home + "/liongate/liongated.yaml";
  paths.state_dir = state_home + "/liongate";
  // Without a runtime folder (cron, su) the state folder is the only one that is certainly this user's own.
  const std::string runtime = xdg_folder("XDG_RUNTIME_DIR");
  paths.socket = runtime.empty() ? paths.state_dir + "/control.sock" : runtime + "/liongate/control.sock";
  return paths;
}

std::string client_socket_path() {
  std::string named = environment_variable("LIONGATE_SOCKET");
  if (!named.empty()) return named;
  if (const std::string runtime = xdg_folder("XDG_RUNTIME_DIR"); !runtime.empty()) {
    std::string socket = runtime + "/liongate/control.sock";
    if (is_socket(socket)) return socket;
  }
  if (std::string socket = default_paths().socket; is_socket(socket)) return socket;
  return kSystemSocket;
}

}  // namespace liongate::config
