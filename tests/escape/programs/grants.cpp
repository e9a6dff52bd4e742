// F11 to F30: what can be done with the folders that a plugin was given, and how much of them.
#include <fcntl.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <sys/xattr.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <vector>

#include "tests/escape/programs/attempt.h"

extern char** environ;

namespace liongate::escape {
namespace {

// Where an empty manifest gave no folder, the private one stands for it.
std::string writable_folder(const Scene& scene) {
  return scene.get("rw").empty() ? "/tmp" : scene.get("rw");
}

std::string readable_folder(const Scene& scene) {
  return scene.get("ro").empty() ? "/plugin" : scene.get("ro");
}

std::string readable_file(const Scene& scene) {
  return readable_folder(scene) + (scene.get("ro").empty() ? "/manifest.toml" : "/file");
}

void make_devices(const Scene& scene, Report& report) {
  constexpr unsigned kNull = 0x103, kLoop = 0x700;
  const std::string folder = writable_folder(scene);
  const std::pair<const char*, unsigned> kinds[] = {
      {"char", S_IFCHR | 0600}, {"block", S_IFBLK | 0600}, {"fifo", S_IFIFO | 0600}, {"socket", S_IFSOCK | 0600}};
  for (const auto& [name, mode] : kinds) {
    const std::string path = folder + "/" + name;
    const unsigned wanted = mode;
    const unsigned device = S_ISBLK(mode) ? kLoop : kNull;
    report.attempt(std::string("mknod ") + name, [&] { return ::syscall(SYS_mknod, path.c_str(), wanted, device); });
    report.attempt(std::string("mknodat ") + name,
                   [&] { return ::syscall(SYS_mknodat, AT_FDCWD, (path + "2").c_str(), wanted, device); });
  }
}

// The link is left there: the driver then asks the daemon to open what lies behind it (F12).
void leave_symlink(const Scene& scene, Report& report) {
  const std::string folder = writable_folder(scene);
  report.attempt("symlink", [&] { return ::symlink(scene.get("canary").c_str(), (folder + "/link").c_str()); });
  report.attempt("symlink to a folder",
                 [&] { return ::symlink(scene.get("canary_folder").c_str(), (folder + "/folder").c_str()); });
  report.describe("followed here", [&] { return opens(folder + "/link", O_RDONLY); });
}

void link_across(const Scene& scene, Report& report) {
  const std::string from = readable_file(scene);
  const std::string folder = writable_folder(scene);
  report.attempt("link", [&] { return ::link(from.c_str(), (folder + "/hard").c_str()); });
  report.attempt("linkat by descriptor", [&] {
    const int fd = ::open(from.c_str(), O_RDONLY | O_CLOEXEC);
    return ::linkat(AT_FDCWD, ("/proc/self/fd/" + std::to_string(fd)).c_str(), AT_FDCWD, (folder + "/hard2").c_str(),
                    AT_SYMLINK_FOLLOW);
  });
  report.attempt("rename", [&] { return ::rename(from.c_str(), (folder + "/moved").c_str()); });
}

void change_read_only(const Scene& scene, Report& report) {
  const std::string folder = readable_folder(scene);
  const std::string file = readable_file(scene);
  report.describe("write", [&] { return opens(file, O_WRONLY); });
  report.describe("append", [&] { return opens(file, O_WRONLY | O_APPEND); });
  report.describe("O_TRUNC", [&] { return opens(file, O_RDONLY | O_TRUNC); });
  report.describe("through /proc/self/fd", [&] {
    const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
    return opens("/proc/self/fd/" + std::to_string(fd), O_RDWR);
  });
  report.attempt("create", [&] { return ::open((folder + "/new").c_str(), O_CREAT | O_WRONLY, 0600); });
  report.attempt("O_TMPFILE", [&] { return ::open(folder.c_str(), O_TMPFILE | O_WRONLY, 0600); });
  report.attempt("truncate", [&] { return ::truncate(file.c_str(), 0); });
  report.attempt("chmod", [&] { return ::chmod(file.c_str(), 0777); });
  report.attempt("fchmod", [&] { return ::fchmod(::open(file.c_str(), O_RDONLY), 0777); });
  report.attempt("chown", [&] { return ::chown(file.c_str(), ::getuid(), ::getgid()); });
  report.attempt("utime", [&] { return ::utimensat(AT_FDCWD, file.c_str(), nullptr, 0); });
  report.attempt("xattr", [&] { return ::setxattr(file.c_str(), "user.escaped", "x", 1, 0); });
  report.attempt("fsetxattr", [&] { return ::fsetxattr(::open(file.c_str(), O_RDONLY), "user.escaped", "x", 1, 0); });
  report.attempt("shared mapping", [&] {
    const int fd = ::open(file.c_str(), O_RDONLY);
    void* page = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
    return page == MAP_FAILED ? -1 : ::mprotect(page, 4096, PROT_READ | PROT_WRITE);
  });
  report.attempt("mkdir", [&] { return ::mkdir((folder + "/folder").c_str(), 0700); });
  report.attempt("rename", [&] { return ::rename(file.c_str(), (folder + "/renamed").c_str()); });
  report.attempt("unlink", [&] { return ::unlink(file.c_str()); });
}

long connect_to(const std::string& name, bool is_abstract) {
  const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return -1;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path + (is_abstract ? 1 : 0), name.data(), name.size());
  const long result = ::connect(fd, reinterpret_cast<const sockaddr*>(&address),
                                static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size() + 1));
  const int error = errno;
  ::close(fd);
  errno = error;
  return result;
}

void connect_to_socket_file(const Scene& scene, Report& report) {
  report.attempt("connect", [&] { return connect_to(readable_folder(scene) + "/docker.sock", false); });
  report.attempt("connect, writable", [&] { return connect_to(writable_folder(scene) + "/docker.sock", false); });
  // A pair of datagram sockets could name any socket when it sends.
  report.attempt("datagram pair", [] {
    std::array<int, 2> pair{};
    return ::socketpair(AF_UNIX, SOCK_DGRAM, 0, pair.data());
  });
}

void connect_to_abstract(const Scene& scene, Report& report) {
  report.attempt("connect", [&] { return connect_to(scene.get("abstract_socket"), true); });
  report.describe("list", [] { return opens("/proc/net/unix", O_RDONLY); });
}

char* const kNobodysArguments[] = {const_cast<char*>("true"), const_cast<char*>("who"), nullptr};

// Executes in a child where one can be made; "ok" where the program ran.
std::string run_program(const std::function<void()>& execute) {
  const pid_t child = ::fork();
  if (child < 0) {
    execute();  // without a child the attempt is made all the same: it would replace this program
    return outcome_of(-1);
  }
  if (child == 0) {
    ::close(1);
    execute();
    ::_exit(100 + (errno == EACCES ? 1 : errno == EPERM ? 2 : errno == ENOSYS ? 3 : 4));
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  if (!WIFEXITED(status)) return "died";
  switch (WEXITSTATUS(status)) {
    case 101:
      return "EACCES";
    case 102:
      return "EPERM";
    case 103:
      return "ENOSYS";
    case 104:
      return "other";
    default:
      return "ok";
  }
}

void copy_program(int from, int to) {
  std::array<char, 65536> chunk{};
  for (ssize_t got = 0; (got = ::read(from, chunk.data(), chunk.size())) > 0;) {
    if (::write(to, chunk.data(), static_cast<std::size_t>(got)) != got) return;
  }
}

void execute_from_memory(const Scene&, Report& report) {
  report.attempt("memfd_create", [] { return ::syscall(SYS_memfd_create, "code", 0); });
  report.describe("fexecve", [] {
    return run_program([] {
      const int memory = static_cast<int>(::syscall(SYS_memfd_create, "code", 0));
      if (memory >= 0) copy_program(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC), memory);
      ::syscall(SYS_execveat, memory, "", kNobodysArguments, environ, AT_EMPTY_PATH);
    });
  });
}

void execute_written_file(const Scene& scene, Report& report) {
  for (const std::string& folder :
       {std::string(scene.is_control() ? scene.get("rw") : "/tmp"),
        scene.is_control() ? scene.get("rw") : std::string("/dev/shm"), writable_folder(scene)}) {
    const std::string program = folder + "/program";
    const int file = ::open(program.c_str(), O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0700);
    copy_program(::open("/proc/self/exe", O_RDONLY | O_CLOEXEC), file);
    ::close(file);
    const std::string place = scene.get("rw") == folder ? "the grant" : folder;
    report.describe("execute from " + place, [&] {
      return run_program([&] { ::syscall(SYS_execve, program.c_str(), kNobodysArguments, environ); });
    });
    report.describe("map executable from " + place, [&] {
      const int fd = ::open(program.c_str(), O_RDONLY | O_CLOEXEC);
      const bool mapped = ::mmap(nullptr, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE, fd, 0) != MAP_FAILED;
      return outcome_of(mapped ? 0 : -1);
    });
    ::unlink(program.c_str());
  }
}

void show_environment(const Scene& scene, Report& report) {
  report.describe("canary", [&] {
    const std::string all = contents_of("/proc/self/environ");
    for (char** variable = environ; *variable != nullptr; ++variable) {
      if (std::strstr(*variable, scene.get("canary_value").c_str()) != nullptr) return std::string("seen");
    }
    return std::string(all.find(scene.get("canary_value")) == std::string::npos ? "unseen" : "seen");
  });
  report.describe("names", [] {
    std::string names;
    for (char** variable = environ; *variable != nullptr; ++variable) {
      names += (names.empty() ? "" : ",") + std::string(*variable).substr(0, std::strcspn(*variable, "="));
    }
    return names;
  });
}

// The control has the file that the daemon reads, the host's /run, and the root of the plugin that has the secret.
void look_for_secrets(const Scene& scene, Report& report) {
  const std::string folder = scene.is_control() ? "/run" : "/run/secrets";
  const std::string file = scene.is_control() ? scene.get("secret_source") : "/run/secrets/given";
  report.describe("file", [&] { return opens(file, O_RDONLY); });
  report.describe("folder", [&] { return opens(folder, O_RDONLY | O_DIRECTORY); });
  report.describe("of who has it",
                  [&] { return opens("/proc/" + scene.get("keeper_pid") + "/root/run/secrets/given", O_RDONLY); });
  report.describe("source", [&] { return opens(scene.get("secret_source"), O_RDONLY); });
}

// "refused at N MiB: ERRNO", or "not refused" when `mebibytes_max` were written.
std::string fill_file(const std::string& path, long mebibytes_max) {
  static const std::vector<char> block(1 << 20, 'x');
  const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
  long written = 0;
  while (written < mebibytes_max && ::write(fd, block.data(), block.size()) == static_cast<ssize_t>(block.size())) {
    ++written;
  }
  const std::string why = outcome_of(-1);
  ::close(fd);
  ::unlink(path.c_str());
  return written == mebibytes_max ? "not refused" : "refused at " + std::to_string(written) + " MiB: " + why;
}

std::string make_files(const std::string& folder, long files_max) {
  long made = 0;
  std::string why;
  for (; made < files_max; ++made) {
    const int fd = ::open((folder + "/i" + std::to_string(made)).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
      why = outcome_of(-1);
      break;
    }
    ::close(fd);
  }
  for (long number = 0; number < made; ++number) ::unlink((folder + "/i" + std::to_string(number)).c_str());
  return made == files_max ? "not refused" : "refused at " + std::to_string(made) + ": " + why;
}

void fill_private_folders(const Scene& scene, Report& report) {
  for (const char* folder : {"/tmp", "/dev/shm"}) {
    const std::string place = scene.is_control() ? scene.get("rw") : folder;
    report.describe(std::string(folder) + " bytes",
                    [&] { return fill_file(place + "/filler", scene.number("mebibytes_max", 1024)); });
    report.describe(std::string(folder) + " files",
                    [&] { return make_files(place, scene.number("files_max", 100'000)); });
  }
}

void fill_grant(const Scene& scene, Report& report) {
  const std::string path = writable_folder(scene) + "/grown";
  ::signal(SIGXFSZ, SIG_IGN);  // which tells of the limit by ending the program otherwise
  // Sizes far above any disk, so that what works costs the host nothing.
  const auto grow = [&](const std::function<long(int fd)>& by) {
    const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    const std::string outcome = outcome_of(by(fd));
    ::close(fd);
    ::unlink(path.c_str());
    return outcome;
  };
  constexpr off_t kTooMuch = 1L << 42;
  report.describe("sparse", [&] { return grow([](int fd) { return ::ftruncate(fd, kTooMuch); }); });
  report.describe("write far off", [&] { return grow([](int fd) { return ::pwrite(fd, "x", 1, kTooMuch); }); });
  report.describe("fallocate", [&] { return grow([](int fd) { return ::fallocate(fd, 0, 0, kTooMuch); }); });
  report.describe("fallocate beside the size",
                  [&] { return grow([](int fd) { return ::fallocate(fd, FALLOC_FL_KEEP_SIZE, 0, kTooMuch); }); });
  // Many small files full of attributes: memory of the kernel where the folder is private.
  report.describe("extended attributes", [&] {
    static const std::vector<char> value(32768, 'x');
    const std::string folder = scene.is_control() ? scene.get("rw") : "/tmp";
    constexpr int kFilesMax = 128, kAttributesMax = 16;
    int set = 0;
    std::string why = "not refused";
    for (int file = 0; file < kFilesMax && why == "not refused"; ++file) {
      const std::string name = folder + "/a" + std::to_string(file);
      ::close(::open(name.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
      for (int number = 0; number < kAttributesMax && why == "not refused"; ++number, ++set) {
        const std::string attribute = "user.x" + std::to_string(number);
        if (::setxattr(name.c_str(), attribute.c_str(), value.data(), value.size(), 0) != 0) why = outcome_of(-1);
      }
    }
    for (int file = 0; file < kFilesMax; ++file) ::unlink((folder + "/a" + std::to_string(file)).c_str());
    return std::to_string(set / 32) + " MiB: " + why;
  });
}

void exhaust_inotify(const Scene& scene, Report& report) {
  report.describe("instances", [&] {
    std::vector<int> instances;
    const long wanted = scene.number("instances_max", 4096);
    int fd = 0;
    while (static_cast<long>(instances.size()) < wanted && (fd = ::inotify_init1(IN_CLOEXEC)) >= 0) {
      instances.push_back(fd);
    }
    const std::string why = fd < 0 ? outcome_of(-1) : "not refused";
    for (const int instance : instances) ::close(instance);
    return std::to_string(instances.size()) + ": " + why;
  });
  report.describe("watches", [&] {
    const int fd = ::inotify_init1(IN_CLOEXEC);
    const std::string folder = scene.is_control() ? scene.get("rw") : "/tmp";
    const long wanted = scene.number("watches_max", 10'000);
    long made = 0;
    std::string why = "not refused";
    for (; made < wanted; ++made) {
      const std::string path = folder + "/w" + std::to_string(made);
      ::close(::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600));
      if (::inotify_add_watch(fd, path.c_str(), IN_MODIFY) < 0) {
        why = outcome_of(-1);
        break;
      }
    }
    for (long number = 0; number <= made; ++number) ::unlink((folder + "/w" + std::to_string(number)).c_str());
    ::close(fd);
    return std::to_string(made) + ": " + why;
  });
}

constexpr Check kChecks[] = {
    {"F11", make_devices},
    {"F12", leave_symlink},
    {"F15", link_across},
    {"F17", change_read_only},
    {"F19", connect_to_socket_file},
    {"F21", connect_to_abstract},
    {"F22", execute_from_memory},
    {"F23", execute_written_file},
    {"F26", show_environment},
    {"F28", fill_private_folders},
    {"F29", fill_grant},
    {"F30", exhaust_inotify},
    {"F31", look_for_secrets},
};

}  // namespace

std::span<const Check> grant_checks() {
  return kChecks;
}

}  // namespace liongate::escape
