#include "daemon/file_inspector.h"

#include <elf.h>
#include <unistd.h>

#include <array>
#include <boost/asio/post.hpp>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "config/host_capacity.h"
#include "config/manifest_parser.h"
#include "daemon/folder_digest.h"
#include "daemon/manifest_message.h"
#include "daemon/module_finder.h"
#include "kernel/base/limits.h"
#include "kernel/base/paths.h"
#include "kernel/base/sys.h"
#include "kernel/registry/role.h"

namespace liongate::daemon {

namespace fs = std::filesystem;
using sandbox::OpenKind;

namespace {

// The path that a descriptor really stands for: no symbolic link is left in it.
Result<std::string> path_of(const UniqueFd& fd) {
  std::array<char, 4096> path;
  const std::string link = "/proc/self/fd/" + std::to_string(fd.get());
  const ssize_t length = ::readlink(link.c_str(), path.data(), path.size());
  if (length <= 0) return make_errno_error(Reason::kInternal, "readlink " + link, errno);
  return std::string(path.data(), static_cast<std::size_t>(length));
}

Error no_entry_point(const std::string& entry, const std::string& why) {
  return make_error(Reason::kEntryPointNotFound, "entry point " + entry + " " + why).with("entry_point", entry);
}

// A dynamic program names its loader in a PT_INTERP header.
v1::LinkKind link_kind_of(int fd, const std::string& head) {
  if (head.starts_with("#!")) return v1::LINK_KIND_SCRIPT;
  Elf64_Ehdr header{};
  if (head.size() < sizeof header) return v1::LINK_KIND_STATIC;
  std::memcpy(&header, head.data(), sizeof header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_phentsize != sizeof(Elf64_Phdr)) {
    return v1::LINK_KIND_STATIC;
  }
  for (unsigned i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr program{};
    const auto bytes = std::as_writable_bytes(std::span(&program, 1));
    const auto got = sys::read_at(fd, bytes, header.e_phoff + i * sizeof program);
    if (!got || *got != sizeof program) break;
    if (program.p_type == PT_INTERP) return v1::LINK_KIND_DYNAMIC;
  }
  return v1::LINK_KIND_STATIC;
}

}  // namespace

FileInspector::FileInspector(boost::asio::io_context& kernel, UniqueFd files_socket, FolderRules rules)
    : kernel_(kernel), opener_(std::move(files_socket)), rules_(std::move(rules)) {
  boost::asio::post(worker_, [] { sys::name_thread("file-inspector"); });
}

FileInspector::~FileInspector() {
  worker_.stop();
  worker_.join();
}

template <typename Value>
bool FileInspector::admit(std::function<void(Result<Value>)>& done) {
  if (jobs_ < limits::kInspectionsMax) {
    ++jobs_;
    return true;
  }
  boost::asio::post(kernel_, [done = std::move(done)] {
    done(make_error(Reason::kQueueFull, "too many plugins are being loaded at once").with_hint("try again later"));
  });
  return false;
}

void FileInspector::inspect(registry::PluginSource source, std::function<void(Result<v1::PluginLoaded>)> done) {
  if (!admit(done)) return;
  boost::asio::post(worker_, [this, source = std::move(source), done = std::move(done)]() mutable {
    Result<v1::PluginLoaded> result = inspect_now(source);
    boost::asio::post(kernel_, [this, result = std::move(result), done = std::move(done)]() mutable {
      --jobs_;
      done(std::move(result));
    });
  });
}

void FileInspector::digest(const v1::PluginLoaded& loaded, std::function<void(Result<std::string>)> done) {
  if (!admit(done)) return;
  const std::string what = loaded.is_lone_file() ? loaded.entry_point_path() : loaded.folder();
  boost::asio::post(worker_, [this, what, is_file = loaded.is_lone_file(), done = std::move(done)]() mutable {
    Result<std::string> result =
        is_file ? digest_file(opener_, digests_, what) : digest_folder(opener_, digests_, what);
    if (!result && result.error().reason == Reason::kInternal) {
      result = no_entry_point(what, "cannot be read: " + result.error().message);
    }
    boost::asio::post(kernel_, [this, result = std::move(result), done = std::move(done)]() mutable {
      --jobs_;
      done(std::move(result));
    });
  });
}

Result<v1::PluginLoaded> FileInspector::inspect_now(const registry::PluginSource& source) {
  v1::PluginLoaded loaded;
  LG_ASSIGN(const registry::PluginSource found,
            source.listing ? find_module(opener_, source) : Result<registry::PluginSource>(source));
  LG_ASSIGN(const Manifest manifest, read_manifest(found, loaded));
  if (source.listing) {
    LG_TRY(apply_listing(*source.listing, loaded));
  }
  const std::string& runtime = loaded.manifest().runtime();
  if (runtime != "native" && runtime != "python" && runtime != "command") {
    return make_error(Reason::kUnimplemented, "runtime \"" + runtime + "\" is not offered by this version")
        .with_hint("native, python and command are");
  }
  if (registry::is_observer(loaded.manifest()) && runtime == "command") {
    return make_error(Reason::kInvalidManifest,
                      "role observer: a command is started for calls, and an observer has none")
        .with_hint("write it for runtime native or python; see docs/observers.md");
  }
  LG_TRY(check_plugin_folder(found, loaded));
  choose_entry_point(manifest, loaded);
  LG_TRY(check_entry_point(loaded));
  const std::string defaults = default_config_json(loaded.manifest().configuration_schema_json());
  loaded.set_config_json(source.listing ? merged_json(defaults, source.listing->config_json()) : defaults);
  LG_ASSIGN(*loaded.mutable_digest_sha256(), loaded.is_lone_file()
                                                 ? digest_file(opener_, digests_, loaded.entry_point_path())
                                                 : digest_folder(opener_, digests_, loaded.folder()));
  return loaded;
}

Result<Manifest> FileInspector::read_manifest(const registry::PluginSource& source, v1::PluginLoaded& loaded) {
  if (source.manifest_path.empty()) {
    LG_ASSIGN(Manifest manifest, from_message(source.manifest, config::host_capacity()));
    *loaded.mutable_manifest() = to_message(manifest);
    return manifest;
  }
  const std::string& path = source.manifest_path;
  if (!fs::path(path).is_absolute()) {
    return make_error(Reason::kInvalidArgument, "manifest_path must be absolute: \"" + path + "\"");
  }
  Result<UniqueFd> fd = opener_.open(path, OpenKind::kFile);
  struct stat info {};
  if (!fd || ::fstat(fd->get(), &info) != 0 || !S_ISREG(info.st_mode)) {
    return make_error(Reason::kInvalidManifest,
                      fd ? path + " is not a regular file" : "manifest " + fd.error().message);
  }
  Result<std::string> text = sys::read_fd(fd->get(), limits::kManifestBytesMax, path);
  if (!text) return make_error(Reason::kInvalidManifest, text.error().message);
  LG_ASSIGN(Manifest manifest, config::parse_manifest(*text, config::format_of(path), path, config::host_capacity()));
  *loaded.mutable_manifest() = to_message(manifest);
  loaded.set_manifest_path(path);
  loaded.set_manifest_source(std::move(*text));
  return manifest;
}

Result<void> FileInspector::check_plugin_folder(const registry::PluginSource& source, v1::PluginLoaded& loaded) {
  const std::string given =
      source.manifest_path.empty() ? source.folder : fs::path(source.manifest_path).parent_path().string();
  if (!fs::path(given).is_absolute()) {
    return make_error(Reason::kInvalidArgument, "the plugin's folder must be an absolute path: \"" + given + "\"");
  }
  // "/." lets a symbolic link stand for its folder; what is used from here on is the folder's real path.
  Result<UniqueFd> fd = opener_.open(given + "/.", OpenKind::kFolder);
  if (!fd) return make_error(Reason::kUnsafeFolder, "the plugin's folder: " + fd.error().message);
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0) return make_errno_error(Reason::kInternal, "stat " + given, errno);
  LG_ASSIGN(const std::string folder, path_of(*fd));
  // Of the folder of a lone file the plugin sees nothing else: it may well be the one of our configuration.
  loaded.set_is_lone_file(source.listing && is_lone_module(*source.listing, folder));
  const FolderRules rules = loaded.is_lone_file() ? FolderRules{rules_.daemon_uid, {}} : rules_;
  LG_TRY(check_folder(folder, info, source.caller_uid, rules));
  loaded.set_folder(folder);
  return {};
}

// A bare word may mean one of several files (K5); the first that exists is meant, and none makes the error name the
// word.
void FileInspector::choose_entry_point(const Manifest& manifest, v1::PluginLoaded& loaded) {
  for (const std::string& candidate : config::entry_point_candidates(manifest)) {
    const fs::path path =
        fs::path(candidate).is_absolute() ? fs::path(candidate) : fs::path(loaded.folder()) / candidate;
    if (!opener_.open(path.lexically_normal().string(), OpenKind::kFile)) continue;
    loaded.mutable_manifest()->set_entry_point(candidate);
    return;
  }
}

Result<void> FileInspector::check_entry_point(v1::PluginLoaded& loaded) {
  const std::string& given = loaded.manifest().entry_point();
  const bool absolute = fs::path(given).is_absolute();
  const std::string runtime = loaded.manifest().runtime();
  if (absolute && runtime != "command") {
    return no_entry_point(given, "must lie in the plugin's folder (only a command may name a program of the system)");
  }
  const std::string entry = absolute ? given : (fs::path(loaded.folder()) / given).lexically_normal().string();
  if (!absolute && !is_inside(entry, loaded.folder())) return no_entry_point(given, "lies outside the plugin's folder");
  std::error_code ignored;
  const std::string target = absolute ? fs::canonical(entry, ignored).string() : entry;
  if (absolute && !target.empty() && !target.starts_with("/usr/")) {
    // Anything else would be a file of the host that no permission names.
    return no_entry_point(given, "is neither in the plugin's folder nor a program of the system below /usr")
        .with_hint("copy it into the plugin's folder");
  }
  Result<UniqueFd> fd = opener_.open(target.empty() ? entry : target, OpenKind::kFile);
  if (!fd) {
    const int why = fd.error().sys_errno;
    return no_entry_point(entry, why == ENOENT   ? "does not exist"
                                 : why == ELOOP  ? "is a symbolic link: name the file itself"
                                 : why == EISDIR ? "is a folder"
                                                 : std::string("cannot be opened: ") + std::strerror(why));
  }
  struct stat info {};
  if (::fstat(fd->get(), &info) != 0) return make_errno_error(Reason::kInternal, "stat " + entry, errno);
  if (S_ISDIR(info.st_mode)) return no_entry_point(entry, "is a folder");
  if (!S_ISREG(info.st_mode)) return no_entry_point(entry, "is not a regular file");
  if (runtime != "python" && (info.st_mode & 0111) == 0) {
    return no_entry_point(entry, "is not executable").with_hint("chmod +x " + entry);
  }
  if (!absolute) {
    LG_ASSIGN(const std::string real, path_of(*fd));
    if (!is_inside(real, loaded.folder())) return no_entry_point(given, "leads outside the plugin's folder");
  }
  std::string head(512, '\0');
  LG_ASSIGN(const std::size_t got, sys::read_at(fd->get(), std::as_writable_bytes(std::span(head)), 0));
  head.resize(got);
  loaded.set_entry_point_path(target.empty() ? entry : target);
  if (runtime == "native") loaded.set_link_kind(link_kind_of(fd->get(), head));
  return runtime == "python" ? Result<void>() : check_script(head, entry);
}

Result<void> FileInspector::check_script(const std::string& first_bytes, const std::string& entry) {
  if (!first_bytes.starts_with("#!")) return {};
  std::string line = first_bytes.substr(2, first_bytes.find('\n') - 2);
  const std::size_t begin = line.find_first_not_of(" \t");
  if (begin == std::string::npos) return no_entry_point(entry, "has an empty #! line");
  const std::string interpreter = line.substr(begin, line.find_first_of(" \t\r", begin) - begin);
  std::error_code error;
  if (!fs::exists(interpreter, error)) {
    return no_entry_point(entry, "names the interpreter " + interpreter + ", which does not exist")
        .with_hint("install it, or correct the #! line");
  }
  return {};
}

}  // namespace liongate::daemon
