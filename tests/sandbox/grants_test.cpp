// Goal: a grant gives what it says and no more. Method: folders owned by root with several modes, both kinds of
// launcher.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <thread>

#include "launcher_harness.h"

using namespace liongate::sandbox;
using namespace liongate::sandbox::testing;

namespace {

namespace fs = std::filesystem;

struct GrantFolder {
  SharedFolder shared;
  std::string path = shared.path() + "/data";

  explicit GrantFolder(User user, mode_t mode) {
    fs::create_directory(path);
    std::ofstream(path + "/existing") << "contents";
    REQUIRE(::chmod((path + "/existing").c_str(), mode & 0666) == 0);
    REQUIRE(::chmod(path.c_str(), mode) == 0);
    // An unprivileged daemon grants what is its own.
    if (user == User::kNobody && ::geteuid() == 0) {
      REQUIRE(::chown(path.c_str(), 65534, 65534) == 0);
      REQUIRE(::chown((path + "/existing").c_str(), 65534, 65534) == 0);
    }
  }
};

LaunchRequest with_grant(const std::string& source, Access access, std::vector<std::string> arguments) {
  LaunchRequest request = run_program("hostile", std::move(arguments));
  request.binds.push_back({source, "/data", access, Presence::kRequired, true});
  return request;
}

}  // namespace

TEST_CASE("a read-only grant is read, even of a private folder, and nothing in it changes") {
  for (const User user : available_users()) {
    for (const mode_t mode : {0755U, 0700U}) {
      INFO(name_of(user) << " mode " << std::oct << mode);
      Launcher launcher(user);
      const GrantFolder folder(user, mode);
      CHECK(launcher.run(with_grant(folder.path, Access::kReadOnly, {"show", "/data/existing"})).out == "contents");
      const std::string said = launcher.run(with_grant(folder.path, Access::kReadOnly, {"writing", "/data"})).out;
      INFO(said);
      for (const char* line : {"create=EROFS", "chmod=EROFS", "unlink=EROFS", "link_out=EXDEV"}) {
        CHECK(said.find(line) != std::string::npos);
      }
      CHECK(said.find("=ok") == std::string::npos);
      CHECK(fs::file_size(folder.path + "/existing") == 8);
    }
  }
}

TEST_CASE("a read-write grant is written as its owner, never executable, never with a set-id bit") {
  for (const User user : available_users()) {
    INFO(name_of(user));
    Launcher launcher(user);
    const GrantFolder folder(user, 0700);
    const Outcome modes = launcher.run(with_grant(folder.path, Access::kReadWrite, {"modes", "/data"}));
    INFO(modes.out);
    CHECK(modes.out.find("create=ok") != std::string::npos);
    CHECK(modes.out.find("chmod_plain=ok") != std::string::npos);
    for (const char* line : {"chmod_setuid=EPERM", "fchmod_setgid=EPERM", "fchmodat_setuid=EPERM", "fchmodat2=ENOSYS",
                             "open_setuid=EPERM", "tmpfile_setuid=EPERM", "creat_setuid=EPERM", "mkdir_setgid=EPERM"}) {
      CHECK(modes.out.find(line) != std::string::npos);
    }
    struct stat made {
    }, above{};
    REQUIRE(::stat((folder.path + "/file").c_str(), &made) == 0);
    REQUIRE(::stat(folder.path.c_str(), &above) == 0);
    CHECK(made.st_uid == above.st_uid);
    CHECK((made.st_mode & 07777) == 0755);
    fs::copy_file(program_folder() + "/hostile", folder.path + "/program");
    REQUIRE(::chmod((folder.path + "/program").c_str(), 0755) == 0);
    LaunchRequest brought = with_grant(folder.path, Access::kReadWrite, {"exit", "0"});
    brought.executable = "/data/program";
    CHECK(launcher.run(brought).exited.step_errno == EACCES);
  }
}

TEST_CASE("an optional grant that is missing is left out") {
  Launcher launcher(available_users().front());
  LaunchRequest request = run_program("hostile", {"list", "/"});
  request.binds.push_back({"/no/such/path", "/data", Access::kReadOnly, Presence::kOptional, false});
  CHECK(launcher.run(request).out.find("data") == std::string::npos);
}

TEST_CASE("two sandboxes of a root launcher are different users outside") {
  if (available_users().front() != User::kRoot) return;
  Launcher launcher(User::kRoot, {"--plugin-uids", "2147000100-2147000101"});
  auto first = launcher.launch(run_program("hostile", {"wait"}));
  auto second = launcher.launch(run_program("hostile", {"wait"}));
  std::vector<uid_t> users;
  while (users.size() < 2) {
    const auto started = std::get<Started>(launcher.next_report());
    struct stat info {};
    REQUIRE(::stat(("/proc/" + std::to_string(started.pid)).c_str(), &info) == 0);
    users.push_back(info.st_uid);
  }
  CHECK(users.at(0) != users.at(1));
  CHECK(std::min(users.at(0), users.at(1)) == 2147000100);
  // Both users are taken: a third sandbox is refused rather than given one of them.
  auto third = launcher.launch(run_program("hostile", {"wait"}));
  const auto refused = std::get<Exited>(launcher.next_report());
  CHECK(refused.step_errno == EAGAIN);
  CHECK_FALSE(refused.host_refuses);
}

TEST_CASE(
    "a granted path that is swapped for a link while sandboxes start is the folder or nothing, never the link's end") {
  for (const User user : available_users()) {
    INFO(name_of(user));
    Launcher launcher(user);
    const SharedFolder shared;
    for (const char* name : {"granted", "elsewhere"}) {
      fs::create_directory(shared.path() + "/" + name);
      std::ofstream(shared.path() + "/" + name + "/file") << name;
    }
    const std::string granted = shared.path() + "/granted";
    const std::string link = shared.path() + "/link";
    fs::create_symlink(shared.path() + "/elsewhere", link);
    std::jthread swapper([&](const std::stop_token& stop) {
      while (!stop.stop_requested()) {
        ::syscall(SYS_renameat2, AT_FDCWD, granted.c_str(), AT_FDCWD, link.c_str(), RENAME_EXCHANGE);
      }
    });
    constexpr int kStarts = 60;
    for (int start = 0; start < kStarts; ++start) {
      LaunchRequest request = run_program("hostile", {"show", "/data/file"});
      request.binds.push_back({granted, "/data", Access::kReadOnly, Presence::kRequired, false});
      const Outcome outcome = launcher.run(std::move(request));
      if (outcome.started) {
        CHECK(outcome.out == "granted");
      } else {
        const int sys_errno = outcome.exited.step_errno;
        CHECK((sys_errno == ELOOP || sys_errno == ENOENT || sys_errno == ESTALE || sys_errno == EAGAIN));
        CHECK_FALSE(outcome.exited.host_refuses);
      }
    }
  }
}
