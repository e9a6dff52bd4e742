#include "sandbox/privileged_groups.h"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "kernel/base/sys.h"

namespace liongate::sandbox {
namespace {

constexpr std::size_t kGroupFileBytesMax = 4 * 1024 * 1024;

constexpr std::array<std::string_view, 17> kPrivilegedNames{
    "root",   "wheel",  "sudo",       "admin", "staff",  // root's files, or what root executes
    "disk",   "kmem",   "shadow",                        // raw disks, memory, password hashes
    "docker", "podman", "containerd", "lxd",   "incus", "incus-admin", "libvirt", "microk8s", "snap_microk8s"};

// The part before the next `separator`, which is removed from `text` with it.
std::string_view take_until(std::string_view& text, char separator) {
  const std::string_view part = text.substr(0, text.find(separator));
  text.remove_prefix(std::min(text.size(), part.size() + 1));
  return part;
}

}  // namespace

std::vector<std::string> privileged_among(std::span<const gid_t> groups, std::string_view group_file) {
  std::vector<std::string> found;
  while (!group_file.empty()) {
    std::string_view line = take_until(group_file, '\n');
    const std::string_view name = take_until(line, ':');
    take_until(line, ':');  // the password
    const std::string_view number = take_until(line, ':');
    gid_t group = 0;
    const auto [end, bad] = std::from_chars(number.data(), number.data() + number.size(), group);
    if (bad != std::errc() || end != number.data() + number.size()) continue;
    if (std::ranges::find(groups, group) == groups.end()) continue;
    if (std::ranges::find(kPrivilegedNames, name) != kPrivilegedNames.end()) found.emplace_back(name);
  }
  return found;
}

std::vector<std::string> privileged_groups() {
  const int count = ::getgroups(0, nullptr);
  std::vector<gid_t> groups(static_cast<std::size_t>(std::max(count, 0)));
  const int got = ::getgroups(static_cast<int>(groups.size()), groups.data());
  groups.resize(static_cast<std::size_t>(std::max(got, 0)));
  groups.push_back(::getegid());
  const auto group_file = sys::read_file("/etc/group", kGroupFileBytesMax);
  auto found = privileged_among(groups, group_file ? std::string_view(*group_file) : std::string_view());
  // Who is root himself, as in a container that kept no rights, is told so by "own host user".
  if (::geteuid() == 0) std::erase(found, "root");
  return found;
}

std::string privileged_groups_remedy() {
  return "run liongated as root or as a user without them, or accept it with allow_degraded: [ordinary_groups]";
}

}  // namespace liongate::sandbox
