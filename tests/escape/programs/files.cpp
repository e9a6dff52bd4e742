// F01 to F10: seeing files, descriptors and processes that are not the plugin's.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <sstream>
#include <vector>

#include "tests/escape/programs/attempt.h"

namespace liongate::escape {
namespace {

std::string names_in(const std::string& path) {
  DIR* folder = ::opendir(path.c_str());
  if (folder == nullptr) return outcome_of(-1);
  std::vector<std::string> names;
  while (const dirent* entry = ::readdir(folder)) {
    const std::string name = static_cast<const char*>(entry->d_name);
    if (name != "." && name != "..") names.push_back(name);
  }
  ::closedir(folder);
  std::sort(names.begin(), names.end());
  std::string joined;
  for (const std::string& name : names) joined += (joined.empty() ? "" : ",") + name;
  return joined;
}

bool same_place(const struct stat& one, const struct stat& other) {
  return one.st_dev == other.st_dev && one.st_ino == other.st_ino;
}

void read_host_files(const Scene& scene, Report& report) {
  for (const char* key : {"canary", "daemon_state", "daemon_log", "daemon_config", "daemon_program", "home"}) {
    report.describe(key, [&] { return opens(scene.get(key), O_RDONLY); });
  }
  for (const char* path : {"/etc/shadow", "/root", "/home", "/var/lib", "/run", "/sys", "/boot", "/etc/ssh"}) {
    report.describe(path, [&] { return opens(path, O_RDONLY); });
  }
}

void list_what_is_there(const Scene&, Report& report) {
  report.describe("/", [] { return names_in("/"); });
  report.describe("/dev", [] { return names_in("/dev"); });
  report.describe("processes", [] {
    std::istringstream names(names_in("/proc"));
    std::string numbers;
    for (std::string name; std::getline(names, name, ',');) {
      if (name.find_first_not_of("0123456789") == std::string::npos) numbers += (numbers.empty() ? "" : ",") + name;
    }
    return numbers;
  });
  report.describe("mounts", [] {
    std::istringstream table(contents_of("/proc/self/mountinfo"));
    std::string places;
    for (std::string line; std::getline(table, line);) {
      std::istringstream fields(line);
      std::string id, parent, device, root, place, options;
      fields >> id >> parent >> device >> root >> place >> options;
      places += (places.empty() ? "" : ",") + place + ":" + options.substr(0, 2);
    }
    return places;
  });
}

void use_open_descriptors(const Scene&, Report& report) {
  report.describe("descriptors", [] {
    std::string numbers;
    for (int fd = 0; fd < 1024; ++fd) {
      if (::fcntl(fd, F_GETFD) >= 0) numbers += (numbers.empty() ? "" : ",") + std::to_string(fd);
    }
    return numbers;
  });
  report.describe("a way out of one", [] {
    for (int fd = 0; fd < 1024; ++fd) {
      if (::openat(fd, "..", O_RDONLY | O_DIRECTORY) >= 0) return "through " + std::to_string(fd);
      if (::openat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(fd) + "/etc/passwd").c_str(), O_RDONLY) >= 0) {
        return "through /proc/self/fd/" + std::to_string(fd);
      }
    }
    return std::string("none");
  });
}

void walk_up(const Scene& scene, Report& report) {
  report.describe("getcwd", [] {
    std::array<char, 4096> path{};
    return ::getcwd(path.data(), path.size()) == nullptr ? outcome_of(-1) : std::string(path.data());
  });
  const std::string canary = scene.get("canary");
  report.describe("walk by chdir", [&] {
    for (int level = 0; level < 64; ++level) ::syscall(SYS_chdir, "..");
    const bool found = ::access(canary.substr(1).c_str(), F_OK) == 0;
    ::syscall(SYS_chdir, "/plugin");
    return std::string(found ? "host" : "inside");
  });
  report.describe("walk by openat", [&] {
    int fd = ::open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    for (int level = 0; level < 64 && fd >= 0; ++level) {
      const int up = ::openat(fd, "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      ::close(fd);
      fd = up;
    }
    struct stat top {
    }, root{};
    ::fstat(fd, &top);
    ::stat("/", &root);
    const bool found = ::faccessat(fd, canary.substr(1).c_str(), F_OK, 0) == 0 || !same_place(top, root);
    ::close(fd);
    return std::string(found ? "host" : "inside");
  });
  report.describe("by /proc/self/cwd and root", [&] {
    for (const char* door : {"/proc/self/cwd/../../../../..", "/proc/self/root", "/proc/thread-self/root",
                             "/proc/self/task/1/root", "/proc/1/root", "/proc/1/cwd"}) {
      if (::access((door + canary).c_str(), F_OK) == 0) return std::string("host");
    }
    return std::string("inside");
  });
}

// A program that runs cannot be written anyway; the control has a copy that does not run.
void write_own_program(const Scene& scene, Report& report) {
  const std::string program = scene.is_control() ? scene.get("ro") + "/setuid" : "/plugin/escape";
  for (const std::string& path : {std::string("/proc/self/exe"), std::string("/proc/1/exe"), program}) {
    report.describe("write " + path, [&] { return opens(path, O_WRONLY); });
    report.describe("append " + path, [&] { return opens(path, O_RDWR | O_APPEND); });
  }
  report.attempt("truncate", [] { return ::syscall(SYS_truncate, "/proc/self/exe", 0); });
}

// The control is asked to look at the driver's own process, the sandboxed at init, the daemon and a sibling.
void look_at_processes(const Scene& scene, Report& report) {
  for (const char* who : {"init", "daemon", "sibling"}) {
    const std::string pid = who == std::string("init") ? "1" : scene.get(std::string(who) + "_pid");
    for (const char* what : {"mem", "environ", "root/", "fd/", "maps", "ns/net", "cwd/", "exe"}) {
      const std::string path = "/proc/" + pid + "/" + what;
      report.describe(std::string(who) + " " + what, [&] { return opens(path, O_RDONLY); });
    }
  }
}

// Opened for writing and closed again: nothing is ever written, here or in a control.
void open_kernel_settings(const Scene&, Report& report) {
  for (const char* path : {"/proc/sys/kernel/core_pattern",
                           "/proc/sys/kernel/modprobe",
                           "/proc/sys/kernel/hotplug",
                           "/proc/sys/fs/binfmt_misc/register",
                           "/proc/sys/vm/panic_on_oom",
                           "/proc/sysrq-trigger",
                           "/proc/kcore",
                           "/proc/kallsyms",
                           "/proc/kmsg",
                           "/proc/keys",
                           "/proc/timer_list",
                           "/proc/self/oom_score_adj",
                           "/proc/self/setgroups",
                           "/proc/self/uid_map",
                           "/proc/self/attr/current",
                           "/sys/kernel/uevent_helper",
                           "/sys/kernel/security",
                           "/dev/mem",
                           "/dev/kmsg",
                           "/dev/kvm",
                           "/dev/fuse",
                           "/dev/net/tun",
                           "/dev/sda"}) {
    report.describe(path, [&] { return opens(path, O_WRONLY); });
  }
}

void open_cgroup_files(const Scene&, Report& report) {
  for (const char* path : {"/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/cgroup.procs",
                           "/sys/fs/cgroup/memory/release_agent", "/sys/fs/cgroup/memory/cgroup.procs",
                           "/sys/fs/cgroup/unified/cgroup.procs", "/sys/fs/cgroup/unified/cgroup.subtree_control"}) {
    report.describe(path, [&] { return opens(path, O_WRONLY); });
  }
}

constexpr Check kChecks[] = {
    {"F01", read_host_files},   {"F02", list_what_is_there}, {"F03", use_open_descriptors}, {"F04", walk_up},
    {"F05", write_own_program}, {"F07", look_at_processes},  {"F08", open_kernel_settings}, {"F10", open_cgroup_files},
};

}  // namespace

std::span<const Check> file_checks() {
  return kChecks;
}

}  // namespace liongate::escape
