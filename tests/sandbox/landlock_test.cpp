// Goal: Landlock holds by itself, whatever the mounts allow; and in a sandbox it stops what a read-only mount lets
// through. Method: forked children under rules of their own, on plain folders; then real sandboxes. Where the kernel's
// ABI is too low for a claim, the claim is not made and the test says so.
#include <arpa/inet.h>
#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <catch2/catch.hpp>
#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>

#include "launcher_harness.h"
#include "sandbox/landlock.h"
#include "sandbox/privileges.h"

using namespace liongate;
using namespace liongate::sandbox;
using namespace liongate::sandbox::testing;

namespace {

namespace fs = std::filesystem;

bool kernel_has(int abi, const char* what) {
  const bool has = landlock_abi() >= abi;
  if (!has) std::printf("skipped: %s: the kernel's Landlock ABI is %d, it takes %d\n", what, landlock_abi(), abi);
  return has;
}

int errno_of(bool done) {
  return done ? 0 : errno;
}

int run_in_child(const std::function<int()>& attempt) {
  const pid_t pid = ::fork();
  REQUIRE(pid >= 0);
  if (pid == 0) ::_exit(attempt());
  int status = 0;
  REQUIRE(::waitpid(pid, &status, 0) == pid);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

// The errno of `attempt` (0: it worked) in a child under rules that give `reach` to `folder` and nothing else.
int attempt_with(const std::string& folder, Reach reach, const std::function<int()>& attempt) {
  return run_in_child([&] {
    constexpr int kBadSetUp = 255;
    LandlockRules rules(landlock_abi());
    const UniqueFd place(::open(folder.c_str(), O_PATH | O_CLOEXEC));
    const bool bound = rules.create() && rules.allow(place.get(), reach) && set_no_new_privileges() &&
                       restrict_by_landlock(rules.descriptor());
    return bound ? attempt() : kBadSetUp;
  });
}

struct Folders {
  SharedFolder shared;
  std::string granted = shared.path() + "/granted";
  std::string other = shared.path() + "/other";

  Folders() {
    for (const std::string& folder : {granted, other}) {
      fs::create_directories(folder + "/sub");
      std::ofstream(folder + "/file") << "contents";
    }
    REQUIRE(::mkfifo((granted + "/fifo").c_str(), 0666) == 0);
    fs::copy_file("/bin/true", granted + "/program");
  }
};

int open_with(const std::string& path, int flags) {
  return errno_of(UniqueFd(::open(path.c_str(), flags | O_NONBLOCK | O_CLOEXEC, 0600)).valid());
}

int execute(const std::string& path) {
  ::execl(path.c_str(), "program", nullptr);
  return errno;
}

int connect_abstract(const std::string& name) {
  const UniqueFd client(::socket(AF_UNIX, SOCK_STREAM, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), address.sun_path + 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  return errno_of(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
}

int use_tcp(int (*call)(int, const sockaddr*, socklen_t)) {
  const UniqueFd socket(::socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(9);
  return errno_of(call(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
}

}  // namespace

TEST_CASE("a place that may be read cannot be changed, and nothing beside it can be opened") {
  if (!kernel_has(1, "files")) return;
  const Folders folders;
  const auto read_only = [&](const std::function<int()>& attempt) {
    return attempt_with(folders.granted, Reach::kRead, attempt);
  };
  CHECK(read_only([&] { return open_with(folders.granted + "/file", O_RDONLY); }) == 0);
  CHECK(read_only([&] { return open_with(folders.granted + "/sub", O_RDONLY | O_DIRECTORY); }) == 0);
  CHECK(read_only([&] { return open_with(folders.granted + "/file", O_WRONLY); }) == EACCES);
  CHECK(read_only([&] { return open_with(folders.granted + "/file", O_RDWR); }) == EACCES);
  CHECK(read_only([&] { return open_with(folders.granted + "/new", O_WRONLY | O_CREAT); }) == EACCES);
  CHECK(read_only([&] { return errno_of(::unlink((folders.granted + "/file").c_str()) == 0); }) == EACCES);
  CHECK(read_only([&] { return errno_of(::mkdir((folders.granted + "/made").c_str(), 0700) == 0); }) == EACCES);
  CHECK(read_only([&] { return execute(folders.granted + "/program"); }) == EACCES);
  CHECK(read_only([&] { return open_with(folders.other + "/file", O_RDONLY); }) == EACCES);
  CHECK(read_only([&] { return open_with("/etc/passwd", O_RDONLY); }) == EACCES);
  CHECK(read_only([&] { return open_with(folders.granted + "/../other/file", O_RDONLY); }) == EACCES);
  if (!kernel_has(kLandlockAbiTruncate, "truncation")) return;
  CHECK(read_only([&] { return errno_of(::truncate((folders.granted + "/file").c_str(), 0) == 0); }) == EACCES);
}

TEST_CASE(
    "a place that may be executed runs programs, one that may be written does not and makes no devices or FIFOs") {
  if (!kernel_has(1, "files")) return;
  const Folders folders;
  const auto writable = [&](const std::function<int()>& attempt) {
    return attempt_with(folders.granted, Reach::kReadWrite, attempt);
  };
  fs::copy_file(program_folder() + "/hostile", folders.granted + "/static_program");
  CHECK(attempt_with(folders.granted, Reach::kReadExecute,
                     [&] { return execute(folders.granted + "/static_program"); }) == 2);  // its usage: it ran
  CHECK(writable([&] { return execute(folders.granted + "/static_program"); }) == EACCES);
  CHECK(writable([&] { return open_with(folders.granted + "/new", O_WRONLY | O_CREAT | O_TRUNC); }) == 0);
  CHECK(writable([&] { return errno_of(::mkdir((folders.granted + "/made").c_str(), 0700) == 0); }) == 0);
  CHECK(writable([&] { return errno_of(::rmdir((folders.granted + "/made").c_str()) == 0); }) == 0);
  CHECK(writable([&] { return errno_of(::symlink("file", (folders.granted + "/link").c_str()) == 0); }) == 0);
  CHECK(writable([&] { return errno_of(::mkfifo((folders.granted + "/pipe").c_str(), 0600) == 0); }) == EACCES);
  CHECK(writable([&] { return errno_of(::mknod((folders.granted + "/socket").c_str(), S_IFSOCK | 0600, 0) == 0); }) ==
        EACCES);
  if (!kernel_has(kLandlockAbiRefer, "moving between folders")) return;
  CHECK(writable([&] {
          return errno_of(::rename((folders.granted + "/file").c_str(), (folders.granted + "/sub/moved").c_str()) == 0);
        }) == 0);
}

TEST_CASE("no file is linked or moved from a place that may be read to one that may be written, nor the other way") {
  if (!kernel_has(1, "files")) return;
  const Folders folders;
  const auto with_both = [&](const std::function<int()>& attempt) {
    return run_in_child([&] {
      LandlockRules rules(landlock_abi());
      const UniqueFd readable(::open(folders.granted.c_str(), O_PATH));
      const UniqueFd writable(::open(folders.other.c_str(), O_PATH));
      if (!rules.create() || !rules.allow(readable.get(), Reach::kRead) ||
          !rules.allow(writable.get(), Reach::kReadWrite) || !set_no_new_privileges() ||
          !restrict_by_landlock(rules.descriptor()))
        return 255;
      return attempt();
    });
  };
  const std::string readable = folders.granted + "/file";
  const std::string writable = folders.other + "/file";
  const std::string inside_readable = folders.granted + "/taken";
  const std::string inside_writable = folders.other + "/taken";
  const auto refused = [](int sys_errno) { return sys_errno == EACCES || sys_errno == EXDEV; };
  CHECK(refused(with_both([&] { return errno_of(::link(readable.c_str(), inside_writable.c_str()) == 0); })));
  CHECK(refused(with_both([&] { return errno_of(::rename(readable.c_str(), inside_writable.c_str()) == 0); })));
  CHECK(refused(with_both([&] { return errno_of(::link(writable.c_str(), inside_readable.c_str()) == 0); })));
  CHECK(refused(with_both([&] { return errno_of(::rename(writable.c_str(), inside_readable.c_str()) == 0); })));
}

TEST_CASE("no TCP port is bound or connected to") {
  if (!kernel_has(kLandlockAbiTcp, "TCP")) return;
  CHECK(attempt_with("/", Reach::kRead, [] { return use_tcp(::bind); }) == EACCES);
  CHECK(attempt_with("/", Reach::kRead, [] { return use_tcp(::connect); }) == EACCES);
  CHECK(run_in_child([] { return use_tcp(::connect); }) == ECONNREFUSED);  // what happens without
}

TEST_CASE("no signal and no abstract socket leads out") {
  if (!kernel_has(kLandlockAbiScopes, "signals and abstract sockets")) return;
  const pid_t test = ::getpid();
  CHECK(attempt_with("/", Reach::kRead, [test] { return errno_of(::kill(test, 0) == 0); }) == EPERM);
  CHECK(run_in_child([test] { return errno_of(::kill(test, 0) == 0); }) == 0);
  const std::string name = "liongate-landlock-test-" + std::to_string(test);
  const UniqueFd server(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::copy(name.begin(), name.end(), address.sun_path + 1);
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  REQUIRE(::bind(server.get(), reinterpret_cast<sockaddr*>(&address), length) == 0);
  REQUIRE(::listen(server.get(), 8) == 0);
  CHECK(run_in_child([&] { return connect_abstract(name); }) == 0);
  CHECK(attempt_with("/", Reach::kRead, [&] { return connect_abstract(name); }) == EPERM);
}

TEST_CASE("what a kernel's ABI does not cover is named") {
  CHECK(missing_at_landlock_abi(kLandlockAbiScopes).empty());
  CHECK(missing_at_landlock_abi(2).find("TCP (ABI 4)") != std::string::npos);
  CHECK(missing_at_landlock_abi(2).find("truncation (ABI 3)") != std::string::npos);
  CHECK(missing_at_landlock_abi(5) == "abstract sockets and signals (ABI 6)");
}

TEST_CASE("a FIFO in a read-only grant cannot be opened for writing, though the mount would let it") {
  if (!kernel_has(1, "files")) return;
  const Folders folders;
  const std::string fifo = folders.granted + "/fifo";
  REQUIRE(::chmod(fifo.c_str(), 0666) == 0);
  const UniqueFd reader(::open(fifo.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  REQUIRE(reader.valid());
  if (::geteuid() == 0) {  // the positive control: a read-only mount alone
    CHECK(run_in_child([&] {
            const bool mounted =
                ::unshare(CLONE_NEWNS) == 0 && ::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
                ::mount(folders.granted.c_str(), folders.granted.c_str(), nullptr, MS_BIND, nullptr) == 0 &&
                ::mount(nullptr, folders.granted.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr) == 0;
            return mounted && open_with(folders.granted + "/new", O_WRONLY | O_CREAT) == EROFS
                       ? open_with(fifo, O_WRONLY)
                       : 255;
          }) == 0);
  }
  for (const User user : available_users()) {
    INFO(name_of(user));
    Launcher launcher(user);
    LaunchRequest request = run_program("hostile", {"open_for_writing", "/data/fifo"});
    request.binds.push_back({folders.granted, "/data", Access::kReadOnly, Presence::kRequired, false});
    CHECK(launcher.run(request).out == "/data/fifo=EACCES\n");
  }
}

TEST_CASE("in a sandbox: a pipe is reopened by /dev/stdin, a temporary file moves between folders, nothing made runs") {
  for (const User user : available_users()) {
    INFO(name_of(user));
    Launcher launcher(user);
    LaunchRequest request = run_system_program(
        "/bin/sh", {"sh", "-c",
                    "echo opened | cat /dev/stdin; echo null > /dev/null; mkdir /tmp/a /tmp/b && echo x > /tmp/a/f && "
                    "mv /tmp/a/f /tmp/b/f && echo moved; cp /bin/true /tmp/program; /tmp/program || echo refused $?"});
    request.allow_processes = true;
    const std::string said = launcher.run(std::move(request)).out;
    INFO(said);
    CHECK(said.find("opened\n") != std::string::npos);
    CHECK(said.find("moved\n") != std::string::npos);
    CHECK(said.find("refused 126\n") != std::string::npos);
  }
}

TEST_CASE("the posture names the ABI in force") {
  Launcher launcher(available_users().front());
  const Outcome outcome = launcher.run(run_program("hostile", {"exit", "0"}));
  REQUIRE(outcome.started);
  const auto& rows = outcome.started->posture;
  const auto row = std::ranges::find(rows, "landlock", &Mechanism::name);
  REQUIRE(row != rows.end());
  INFO(row->detail);
  CHECK(row->state == (landlock_abi() > 0 ? "active" : "absent"));
  CHECK((landlock_abi() == 0 || row->detail.starts_with("ABI " + std::to_string(landlock_abi()))));
}
