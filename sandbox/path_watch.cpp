#include "sandbox/path_watch.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <climits>
#include <cstdlib>
#include <filesystem>

#include "kernel/base/paths.h"
#include "kernel/base/unique_fd.h"
#include "kernel/base/utf8.h"
#include "sandbox/syscall_policy.h"

namespace liongate::sandbox {
namespace {

enum class Use : std::uint8_t {
  kLooksAt,   // a folder that is only looked at is on the way to something
  kOpens,     // its flags say what for
  kEnters,    // or runs
  kChanges,   // what is there
  kMakes,     // a file, where there is none yet
  kReplaces,  // a name in its folder, whatever is there
  kRemoves,   // a name from its folder
};

constexpr int kNone = -1;

struct PathArgument {
  std::uint32_t number;
  int folder;  // the argument that is a descriptor of a folder
  int path;
  Use use;
  int flags = kNone;
};

// By number; calls with two names stand here twice.
// clang-format off
constexpr auto kPathArguments = std::to_array<PathArgument>({
    {SYS_open, kNone, 0, Use::kOpens, 1},
    {SYS_stat, kNone, 0, Use::kLooksAt},
    {SYS_lstat, kNone, 0, Use::kLooksAt},
    {SYS_access, kNone, 0, Use::kLooksAt},
    {SYS_execve, kNone, 0, Use::kEnters},
    {SYS_truncate, kNone, 0, Use::kChanges},
    {SYS_chdir, kNone, 0, Use::kEnters},
    {SYS_rename, kNone, 0, Use::kRemoves},
    {SYS_rename, kNone, 1, Use::kReplaces},
    {SYS_mkdir, kNone, 0, Use::kMakes},
    {SYS_rmdir, kNone, 0, Use::kRemoves},
    {SYS_creat, kNone, 0, Use::kMakes},
    {SYS_link, kNone, 0, Use::kLooksAt},
    {SYS_link, kNone, 1, Use::kReplaces},
    {SYS_unlink, kNone, 0, Use::kRemoves},
    {SYS_symlink, kNone, 1, Use::kReplaces},
    {SYS_readlink, kNone, 0, Use::kLooksAt},
    {SYS_chmod, kNone, 0, Use::kChanges},
    {SYS_chown, kNone, 0, Use::kChanges},
    {SYS_lchown, kNone, 0, Use::kChanges},
    {SYS_utime, kNone, 0, Use::kChanges},
    {SYS_statfs, kNone, 0, Use::kLooksAt},
    {SYS_utimes, kNone, 0, Use::kChanges},
    {SYS_openat, 0, 1, Use::kOpens, 2},
    {SYS_mkdirat, 0, 1, Use::kMakes},
    {SYS_fchownat, 0, 1, Use::kChanges},
    {SYS_newfstatat, 0, 1, Use::kLooksAt},
    {SYS_unlinkat, 0, 1, Use::kRemoves},
    {SYS_renameat, 0, 1, Use::kRemoves},
    {SYS_renameat, 2, 3, Use::kReplaces},
    {SYS_linkat, 0, 1, Use::kLooksAt},
    {SYS_linkat, 2, 3, Use::kReplaces},
    {SYS_symlinkat, 1, 2, Use::kReplaces},
    {SYS_readlinkat, 0, 1, Use::kLooksAt},
    {SYS_fchmodat, 0, 1, Use::kChanges},
    {SYS_faccessat, 0, 1, Use::kLooksAt},
    {SYS_utimensat, 0, 1, Use::kChanges},
    {SYS_renameat2, 0, 1, Use::kRemoves},
    {SYS_renameat2, 2, 3, Use::kReplaces},
    {SYS_statx, 0, 1, Use::kLooksAt},
    {SYS_faccessat2, 0, 1, Use::kLooksAt},
});
// clang-format on
static_assert(std::ranges::is_sorted(kPathArguments, {}, &PathArgument::number));

// What no permission can name, or what is something else inside.
constexpr auto kNeverGranted =
    std::to_array<std::string_view>({"/proc", "/sys", "/dev", "/run", "/plugin", "/liongate", "/etc/passwd",
                                     "/etc/group", "/etc/hosts", "/etc/nsswitch.conf", "/etc/resolv.conf"});
// What the system is made of: a program that wants to write there is not helped by a grant.
constexpr auto kNeverWritten =
    std::to_array<std::string_view>({"/usr", "/etc", "/bin", "/sbin", "/lib", "/lib64", "/boot", "/var/spool"});
constexpr auto kPrivatePlaces = std::to_array<std::string_view>({"/tmp", "/dev/shm"});
constexpr std::size_t kVariableBytesMax = 255;

template <typename Places>
bool lies_in(const std::string& path, const Places& places) {
  return std::ranges::any_of(places, [&path](const auto& place) { return is_same_or_inside(path, place); });
}

// The text at `address` up to its null byte; empty where it cannot be read or is no path. Read page by page: the next
// one may not be there.
std::string text_at(pid_t pid, std::uint64_t address) {
  static const auto kPageBytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  std::string text;
  std::array<char, PATH_MAX> piece{};
  while (text.size() < PATH_MAX) {
    const std::size_t bytes =
        std::min<std::uint64_t>({kPageBytes - address % kPageBytes, piece.size(), PATH_MAX - text.size()});
    const iovec here{piece.data(), bytes};
    const iovec there{reinterpret_cast<void*>(address), bytes};
    if (::process_vm_readv(pid, &here, 1, &there, 1, 0) != static_cast<ssize_t>(bytes)) return {};
    const std::string_view got(piece.data(), bytes);
    const std::size_t end = got.find('\0');
    text.append(got.substr(0, end));
    if (end != std::string_view::npos) return text;
    address += bytes;
  }
  return {};
}

std::string link_target(const std::string& link) {
  std::array<char, PATH_MAX> target{};
  const ssize_t length = ::readlink(link.c_str(), target.data(), target.size());
  if (length <= 0 || static_cast<std::size_t>(length) == target.size()) return {};
  return {target.data(), static_cast<std::size_t>(length)};
}

// As the program would write it from its root; without `.` and `..`, which is the same wherever no link is in it. Empty
// where it cannot be told.
std::string absolute_path(const seccomp_notif& call, const PathArgument& argument) {
  std::string path = text_at(static_cast<pid_t>(call.pid), call.data.args[argument.path]);
  if (path.empty()) return {};
  if (path.front() != '/') {
    const std::string process = "/proc/" + std::to_string(call.pid);
    const auto folder =
        argument.folder == kNone ? AT_FDCWD : static_cast<std::int32_t>(call.data.args[argument.folder]);
    const std::string base = link_target(process + (folder == AT_FDCWD ? "/cwd" : "/fd/" + std::to_string(folder)));
    if (base.empty() || base.front() != '/') return {};
    path = base + "/" + path;
  }
  std::string normal = std::filesystem::path(path).lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

bool exists_inside(std::uint32_t pid, const std::string& path) {
  const UniqueFd root(::open(("/proc/" + std::to_string(pid) + "/root").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  if (!root.valid()) return true;  // it ended: nothing to tell
  open_how how{};
  how.flags = O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
  return UniqueFd(static_cast<int>(::syscall(SYS_openat2, root.get(), path.c_str(), &how, sizeof how))).valid();
}

// What the host has at `path`, where no symbolic link leads there: a grant follows none either.
std::optional<mode_t> kind_on_host(const std::string& path) {
  std::array<char, PATH_MAX> resolved{};
  struct stat info {};
  if (::realpath(path.c_str(), resolved.data()) == nullptr || path != resolved.data()) return std::nullopt;
  if (::lstat(path.c_str(), &info) != 0) return std::nullopt;
  return info.st_mode & S_IFMT;
}

bool is_folder(const std::string& path) {
  return kind_on_host(path) == mode_t{S_IFDIR};
}

Use use_of(const seccomp_notif& call, const PathArgument& argument) {
  if (argument.use != Use::kOpens) return argument.use;
  const auto flags = static_cast<std::uint32_t>(call.data.args[argument.flags]);
  if ((flags & O_CREAT) != 0) return Use::kMakes;
  return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC) != 0 ? Use::kChanges : Use::kOpens;
}

// What would have to be written: the file, or the folder whose names change. Empty for what no grant would help.
std::string written_place(const std::string& path, Use use) {
  const auto kind = kind_on_host(path);
  const std::string folder = std::filesystem::path(path).parent_path().string();
  switch (use) {
    case Use::kChanges:
      return kind ? path : std::string();
    case Use::kMakes:
      if (kind) return kind == mode_t{S_IFREG} ? path : std::string();
      break;
    case Use::kRemoves:
      if (!kind) return {};
      break;
    default:
      break;
  }
  return folder != "/" && is_folder(folder) ? folder : std::string();
}

// Text that a manifest and a terminal can show as it is: UTF-8 without control characters and without those that turn
// the direction of what follows.
bool is_spelled_plainly(const std::string& text) {
  if (!is_utf8(text)) return false;
  for (std::size_t at = 0; at < text.size(); ++at) {
    const auto byte = [&text](std::size_t index) { return static_cast<unsigned char>(text[index]); };
    if (byte(at) < 0x20 || byte(at) == 0x7F) return false;
    if (byte(at) == 0xC2 && byte(at + 1) < 0xA0) return false;  // U+0080 to U+009F
    if (byte(at) != 0xE2) continue;
    const unsigned next = byte(at + 1) << 8U | byte(at + 2);
    const bool is_mark = next == 0x808E || next == 0x808F;     // U+200E, U+200F
    const bool is_turn = next >= 0x80A8 && next <= 0x80AE;     // U+2028 to U+202E
    const bool is_isolate = next >= 0x81A6 && next <= 0x81A9;  // U+2066 to U+2069
    if (is_mark || is_turn || is_isolate) return false;
  }
  return true;
}

bool is_variable(std::string_view name) {
  constexpr std::string_view kLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_0123456789";
  return !name.empty() && name.size() <= kVariableBytesMax &&
         name.find_first_not_of(kLetters) == std::string_view::npos;
}

std::vector<std::string> granted_places(const LaunchRequest& request, Access access) {
  std::vector<std::string> places;
  for (const BindMount& bind : request.binds) {
    if (access == Access::kReadOnly || bind.access == Access::kReadWrite) places.push_back(bind.target);
  }
  return places;
}

}  // namespace

bool names_path(std::uint32_t number) {
  return std::ranges::binary_search(kPathArguments, number, {}, &PathArgument::number);
}

PathWatch::PathWatch(const LaunchRequest& request)
    : readable_(granted_places(request, Access::kReadOnly)), writable_(granted_places(request, Access::kReadWrite)) {}

std::string PathWatch::permission_for_reading(std::uint32_t pid, const std::string& path, bool uses_folder) const {
  const auto kind = kind_on_host(path);
  if (!kind || (kind != mode_t{S_IFREG} && kind != mode_t{S_IFDIR})) return {};
  // A folder that is there only because something below it is granted has nothing else in it.
  if (kind == mode_t{S_IFDIR} && (!uses_folder || lies_in(path, readable_))) return {};
  if (kind == mode_t{S_IFREG} && exists_inside(pid, path)) return {};
  return "fs_read:" + path;
}

// Asked before the call goes on: what it makes itself is not there yet.
// /tmp and /dev/shm are the sandbox's own, and anything may be made there. But not what is there because of a grant:
// that is the host's, and so are the folders that were made to have it in them.
bool PathWatch::is_private(const std::string& place) const {
  const bool is_root_of_them = std::ranges::find(kPrivatePlaces, place) != kPrivatePlaces.end();
  const auto leads_to = [&place](const std::string& grant) { return is_inside(grant, place); };
  return is_root_of_them ||
         (lies_in(place, kPrivatePlaces) && !lies_in(place, readable_) && std::ranges::none_of(readable_, leads_to));
}

std::string PathWatch::permission_for_writing(std::uint32_t pid, const std::string& place) const {
  if (place.empty() || lies_in(place, writable_) || lies_in(place, kNeverWritten)) return {};
  if (is_private(place) && exists_inside(pid, place)) return {};
  return "fs_write:" + place;
}

std::optional<PathWatch::Missing> PathWatch::look(const seccomp_notif& call) {
  const auto arguments =
      std::ranges::equal_range(kPathArguments, static_cast<std::uint32_t>(call.data.nr), {}, &PathArgument::number);
  for (const PathArgument& argument : arguments) {
    const std::string path = absolute_path(call, argument);
    if (path.size() < 2 || !is_spelled_plainly(path)) continue;
    std::string permission;
    if (is_inside(path, kEnvironmentFolder)) {
      const std::string name = path.substr(kEnvironmentFolder.size() + 1);
      if (is_variable(name)) permission = "env:" + name;
    } else if (!lies_in(path, kNeverGranted) || lies_in(path, kPrivatePlaces)) {
      const Use use = use_of(call, argument);
      const bool reads = use == Use::kLooksAt || use == Use::kOpens || use == Use::kEnters;
      permission = reads ? permission_for_reading(call.pid, path, use != Use::kLooksAt)
                         : permission_for_writing(call.pid, written_place(path, use));
    }
    if (permission.empty() || told_.size() >= kMissingPathsMax || !told_.insert(permission).second) continue;
    return Missing{permission, path};
  }
  return std::nullopt;
}

}  // namespace liongate::sandbox
