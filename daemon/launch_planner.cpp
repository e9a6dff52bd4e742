#include "daemon/launch_planner.h"

#include "daemon/module_finder.h"

#include "kernel/base/limits.h"
#include "kernel/base/paths.h"
#include "kernel/registry/role.h"
#include "netgate/grants.h"
#include "netgate/name_book.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>

namespace liongate::daemon {
namespace {

constexpr const char* kPluginFolder = "/plugin";
constexpr const char* kLearnFolder = "/liongate/learn";
constexpr std::uint16_t kDnsPort = 53;
constexpr const char* kPythonSdkFolder = "/liongate/python";

std::string replaced(const std::string& text, std::string_view what, const std::string& with) {
  std::string result;
  std::size_t from = 0;
  for (std::size_t at = text.find(what); at != std::string::npos; at = text.find(what, from)) {
    result.append(text, from, at - from).append(with);
    from = at + what.size();
  }
  return result.append(text, from);
}

std::string relative_entry(const v1::PluginLoaded& loaded) {
  return std::filesystem::path(loaded.entry_point_path()).lexically_relative(loaded.folder()).string();
}

std::string inside_entry(const v1::PluginLoaded& loaded) {
  if (!is_inside(loaded.entry_point_path(), loaded.folder())) return loaded.entry_point_path();
  return std::string(kPluginFolder) + "/" + relative_entry(loaded);
}

// What {input} becomes is bounded before it is made: an argument may name it thousands of times.
Result<void> check_expansion(const v1::Manifest& manifest, const std::string& input) {
  std::size_t bytes = 0;
  for (const std::string& argument : manifest.args()) {
    bytes += argument.size();
    for (std::size_t at = argument.find("{input}"); at != std::string::npos; at = argument.find("{input}", at + 1)) {
      bytes += input.size();
      if (bytes > limits::kLaunchMessageBytesMax) {
        return make_error(Reason::kInputTooLarge, "the input is too large to become an argument ({input})")
            .with_hint("remove {input} from the manifest's args: the input is on stdin as well");
      }
    }
  }
  return {};
}

void add_user_files(sandbox::LaunchRequest& request) {
  request.files.push_back({"/etc/passwd", "plugin:x:1000:1000:plugin:/tmp:/usr/sbin/nologin\n"});
  request.files.push_back({"/etc/group", "plugin:x:1000:\n"});
  request.files.push_back({"/etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"});
  request.files.push_back({"/etc/nsswitch.conf", "passwd: files\ngroup: files\nhosts: files dns\n"});
}

}  // namespace

std::vector<std::string> network_grants_of(const v1::Manifest& manifest) {
  std::vector<std::string> grants;
  for (const std::string& permission : manifest.permissions()) {
    const std::size_t colon = permission.find(':');
    const std::string kind = permission.substr(0, colon);
    if (kind != "network" && kind != "net") continue;
    grants.push_back(colon == std::string::npos ? "" : permission.substr(colon + 1));
  }
  return grants;
}

HostLayout find_host_layout(const config::DaemonConfig& config, const std::string& program_folder,
                            LearnMode learn_mode) {
  HostLayout layout;
  std::error_code error;
  layout.merged_usr = std::filesystem::is_symlink("/bin", error) && std::filesystem::is_symlink("/lib", error);
  const auto python = std::filesystem::canonical(config.python_interpreter, error);
  if (!error) layout.python_program = python.string();
  // Beside the build's programs, or where `make install` puts it.
  for (const char* place : {"/../sdk/python", "/../lib/liongate/sdk/python"}) {
    const auto folder = std::filesystem::canonical(program_folder + place, error);
    if (!error && std::filesystem::exists(folder / "bootstrap.py", error)) {
      layout.python_sdk_folder = folder.string();
      break;
    }
  }
  for (const char* place : {"/../runtimes/learn-folder", "/../lib/liongate/learn-folder"}) {
    const auto folder = std::filesystem::canonical(program_folder + place, error);
    if (!error && learn_mode == LearnMode::kOn) layout.learn_folder = folder.string();
  }
  return layout;
}

void LaunchPlanner::add_libraries(sandbox::LaunchRequest& request) const {
  using sandbox::Access;
  using sandbox::Presence;
  request.binds.push_back({"/usr/lib", "/usr/lib", Access::kReadOnly, Presence::kRequired, true});
  request.binds.push_back({"/usr/lib64", "/usr/lib64", Access::kReadOnly, Presence::kOptional, true});
  request.binds.push_back({"/usr/local/lib", "/usr/local/lib", Access::kReadOnly, Presence::kOptional, true});
  request.binds.push_back({"/etc/ld.so.cache", "/etc/ld.so.cache", Access::kReadOnly, Presence::kOptional, false});
  if (layout_.merged_usr) {
    request.links.push_back({"usr/lib", "/lib"});
    request.links.push_back({"usr/lib64", "/lib64"});
  } else {
    request.binds.push_back({"/lib", "/lib", Access::kReadOnly, Presence::kOptional, true});
    request.binds.push_back({"/lib64", "/lib64", Access::kReadOnly, Presence::kOptional, true});
  }
}

void LaunchPlanner::add_system(sandbox::LaunchRequest& request) const {
  using sandbox::Access;
  using sandbox::Presence;
  request.binds.push_back({"/usr", "/usr", Access::kReadOnly, Presence::kRequired, true});
  request.binds.push_back({"/etc/ld.so.cache", "/etc/ld.so.cache", Access::kReadOnly, Presence::kOptional, false});
  request.binds.push_back({"/etc/alternatives", "/etc/alternatives", Access::kReadOnly, Presence::kOptional, false});
  for (const char* name : {"bin", "sbin", "lib", "lib64"}) {
    if (layout_.merged_usr) {
      request.links.push_back({std::string("usr/") + name, std::string("/") + name});
    } else {
      const std::string path = std::string("/") + name;
      request.binds.push_back({path, path, Access::kReadOnly, Presence::kOptional, true});
    }
  }
  add_user_files(request);
}

Result<void> LaunchPlanner::add_program(const v1::PluginLoaded& loaded, const std::string& input_argument,
                                        sandbox::LaunchRequest& request) const {
  const v1::Manifest& manifest = loaded.manifest();
  const std::string entry = inside_entry(loaded);
  if (manifest.runtime() == "python") {
    if (layout_.python_program.empty() || layout_.python_sdk_folder.empty()) {
      return make_error(Reason::kLoadFailure, layout_.python_program.empty()
                                                  ? "the Python interpreter of the configuration is not installed"
                                                  : "the Python SDK is not installed beside liongated")
          .with_hint("install python3 and python3-protobuf, or set python_interpreter in the configuration");
    }
    add_libraries(request);
    add_user_files(request);
    request.binds.push_back({layout_.python_program, layout_.python_program, sandbox::Access::kReadOnly,
                             sandbox::Presence::kRequired, true});
    request.binds.push_back(
        {layout_.python_sdk_folder, kPythonSdkFolder, sandbox::Access::kReadOnly, sandbox::Presence::kRequired, false});
    request.executable = layout_.python_program;
    request.arguments = {layout_.python_program, "-I", "-B", std::string(kPythonSdkFolder) + "/bootstrap.py"};
    for (std::string& word : module_words(loaded)) request.arguments.push_back(std::move(word));
    request.arguments.push_back(entry);
  } else {
    const bool command = manifest.runtime() == "command";
    if (command || loaded.link_kind() == v1::LINK_KIND_SCRIPT) {
      add_system(request);
    } else if (loaded.link_kind() == v1::LINK_KIND_DYNAMIC) {
      add_libraries(request);
    }
    request.executable = entry;
    request.arguments = {entry};
  }
  LG_TRY(check_expansion(manifest, input_argument));
  for (const std::string& argument : manifest.args()) {
    request.arguments.push_back(manifest.runtime() == "command" ? replaced(argument, "{input}", input_argument)
                                                                : argument);
  }
  return {};
}

void LaunchPlanner::add_grants(const v1::PluginLoaded& loaded, sandbox::LaunchRequest& request) const {
  for (const std::string& permission : loaded.manifest().permissions()) {
    const std::size_t colon = permission.find(':');
    const std::string kind = permission.substr(0, colon);
    const std::string argument = colon == std::string::npos ? "" : permission.substr(colon + 1);
    if (kind == "fs_read" || kind == "fs_write") {
      const std::filesystem::path given(argument);
      const std::filesystem::path source =
          (given.is_absolute() ? given : std::filesystem::path(loaded.folder()) / given).lexically_normal();
      const auto without_slash = [](std::string path) {
        while (path.size() > 1 && path.back() == '/') path.pop_back();
        return path;
      };
      const std::string path = without_slash(source.string());
      const auto access = kind == "fs_write" ? sandbox::Access::kReadWrite : sandbox::Access::kReadOnly;
      if (is_inside(path, loaded.folder()) && !loaded.is_lone_file()) {
        // The folder is executable at /plugin: what is granted below it must not be, wherever it is looked at.
        request.binds.push_back(
            {path, kPluginFolder + path.substr(loaded.folder().size()), access, sandbox::Presence::kRequired, false});
        if (!given.is_absolute()) continue;
      }
      request.binds.push_back({path, path, access, sandbox::Presence::kRequired, false});
    } else if (kind == "env") {
      if (const char* value = std::getenv(argument.c_str())) request.environment.push_back(argument + "=" + value);
    } else if (kind == "process") {
      request.allow_processes = true;
    } else if (kind == "jit") {
      request.allow_jit = true;
    }
  }
}

void LaunchPlanner::add_learning(sandbox::LaunchRequest& request) const {
  if (layout_.learn_folder.empty()) return;
  request.watch_paths = true;
  request.binds.push_back(
      {layout_.learn_folder, kLearnFolder, sandbox::Access::kReadOnly, sandbox::Presence::kRequired, true});
  request.environment.push_back(std::string("LD_PRELOAD=") + kLearnFolder + "/environment_reads.so");
  request.environment.push_back(std::string("PYTHONPATH=") + kLearnFolder);
}

// What a client needs besides sockets: somebody to ask for names, and whom to trust.
Result<void> LaunchPlanner::add_network(const v1::PluginLoaded& loaded, sandbox::LaunchRequest& request) const {
  const std::vector<std::string> texts = network_grants_of(loaded.manifest());
  if (texts.empty()) return {};
  LG_ASSIGN(const netgate::Grants grants, netgate::Grants::parse(texts));
  std::vector<std::uint16_t> ports = grants.ports();
  ports.push_back(kDnsPort);
  std::ranges::sort(ports);
  ports.erase(std::ranges::unique(ports).begin(), ports.end());
  if (ports.size() > limits::kGatePortsMax) {
    return make_error(Reason::kInvalidManifest,
                      "its network permissions name more than " + std::to_string(limits::kGatePortsMax - 1) + " ports")
        .with_hint("grant fewer ports");
  }
  request.allow_network = true;
  request.allow_any_port = grants.any_port();
  for (const std::uint16_t port : ports) request.gate_ports.push_back({port});
  if (request.files.empty()) add_user_files(request);
  request.files.push_back({"/etc/resolv.conf", "nameserver " + netgate::NameBook::dns_address().to_string() + "\n"});
  request.binds.push_back(
      {"/etc/ssl/certs", "/etc/ssl/certs", sandbox::Access::kReadOnly, sandbox::Presence::kOptional, false});
  return {};
}

Result<sandbox::LaunchRequest> LaunchPlanner::plan(const v1::PluginLoaded& loaded, const std::string& input_argument,
                                                   std::size_t descriptor_count) const {
  const v1::Manifest& manifest = loaded.manifest();
  sandbox::LaunchRequest request;
  request.name = manifest.name();
  request.working_directory = kPluginFolder;
  request.environment = {"PATH=/usr/bin:/bin", "HOME=/tmp", "LANG=C.UTF-8", "TZ=UTC"};
  request.descriptor_count = static_cast<std::uint32_t>(descriptor_count);
  request.allow_processes = manifest.runtime() == "command";
  LG_TRY(add_program(loaded, input_argument, request));
  request.binds.push_back({loaded.is_lone_file() ? loaded.entry_point_path() : loaded.folder(),
                           loaded.is_lone_file() ? inside_entry(loaded) : std::string(kPluginFolder),
                           sandbox::Access::kReadOnly, sandbox::Presence::kRequired, true});
  add_grants(loaded, request);
  add_learning(request);
  LG_TRY(add_network(loaded, request));
  // What a sandbox has of its own stays its own, whatever of the host's is granted under that name.
  std::erase_if(request.binds, [&request](const sandbox::BindMount& bind) {
    return std::ranges::any_of(request.files, [&bind](const auto& file) { return file.path == bind.target; });
  });
  const v1::ManifestLimits& limits = manifest.limits();
  request.limits.is_background = registry::is_observer(manifest);
  request.limits.memory_bytes_max = limits.memory_bytes_max();
  request.limits.processes_max = limits.processes_max();
  request.limits.open_files_max = limits.open_files_max();
  request.limits.file_size_bytes_max = limits.file_size_bytes_max();
  request.limits.tmp_bytes_max = limits.tmp_bytes_max();
  request.limits.tmp_files_max = limits.tmp_files_max();
  request.limits.cpu_percent_max = limits.cpu_percent_max();
  request.limits.io_bytes_per_second_max = limits.io_bytes_per_second_max();
  // The rlimit counts whole seconds of a process's whole life: it fits a command, whose life is one call.
  if (manifest.runtime() == "command" && limits.cpu_time_ms_max() > 0) {
    request.limits.cpu_time_s_max = (limits.cpu_time_ms_max() + 999) / 1000;
  }
  return request;
}

}  // namespace liongate::daemon
