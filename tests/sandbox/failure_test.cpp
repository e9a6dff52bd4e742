// Goal: a launch that cannot be set up says at which step, on what and why; only the host's faults are called that.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "kernel/base/limits.h"
#include "launcher_harness.h"
#include "sandbox/launcher_process.h"
#include "sandbox/packet_socket.h"

using namespace liongate::sandbox;
using namespace liongate::sandbox::testing;

namespace {

void check_failure(LaunchRequest request, const std::string& step, int sys_errno, const std::string& argument,
                   std::size_t secrets = 0) {
  for (const User user : available_users()) {
    Launcher launcher(user);
    launcher.pass_as_secrets(secrets);
    const Outcome outcome = launcher.run(request);
    INFO(name_of(user) << ": " << outcome.exited.step << " " << outcome.exited.argument << " " << outcome.out);
    CHECK_FALSE(outcome.started.has_value());
    CHECK(outcome.exited.kind == EndKind::kSetupFailed);
    CHECK(outcome.exited.step == step);
    CHECK(outcome.exited.step_errno == sys_errno);
    CHECK(outcome.exited.argument == argument);
    CHECK_FALSE(outcome.exited.host_refuses);
  }
}

void write_file(const std::string& path, const std::string& text, mode_t mode) {
  std::ofstream(path) << text;
  REQUIRE(::chmod(path.c_str(), mode) == 0);
}

}  // namespace

TEST_CASE("an entry point that is missing, a folder, not executable, not a program, without interpreter") {
  const SharedFolder folder;
  write_file(folder.path() + "/plain", "text", 0644);
  write_file(folder.path() + "/garbage",
             "\x7f"
             "ELFgarbage",
             0755);
  write_file(folder.path() + "/text", "no program", 0755);
  write_file(folder.path() + "/orphan", "#!/no/such/interpreter\n", 0755);
  write_file(folder.path() + "/loop", "#!/plugin/loop\n", 0755);
  write_file(folder.path() + "/nobody", "#!\n", 0755);
  const auto request = [&folder](const std::string& name) {
    LaunchRequest it = run_system_program(name, {"x"});
    it.binds.push_back({folder.path(), "/plugin", Access::kReadOnly, Presence::kRequired, true});
    return it;
  };
  check_failure(request("/plugin/missing"), "open the program", ENOENT, "/plugin/missing");
  check_failure(request("/plugin"), "open the program", EISDIR, "/plugin");
  check_failure(request("/dev/null"), "open the program", EACCES, "/dev/null");
  check_failure(request("/plugin/plain"), "open the program", EACCES, "/plugin/plain");
  check_failure(request("/plugin/text"), "execute the program", ENOEXEC, "/plugin/text");
  check_failure(request("/plugin/garbage"), "execute the program", ENOEXEC, "/plugin/garbage");
  check_failure(request("/plugin/orphan"), "open the script's interpreter", ENOENT, "/no/such/interpreter");
  check_failure(request("/plugin/loop"), "open the script's interpreter", ELOOP, "/plugin/loop");
  check_failure(request("/plugin/nobody"), "open the program", ENOEXEC, "/plugin/nobody");
  LaunchRequest dynamic = run_program("modern", {});
  check_failure(dynamic, "execute the program", ENOENT, "/plugin/modern");  // its loader is not there
}

TEST_CASE("secrets that make no sense") {
  LaunchRequest request = run_program("hostile", {"exit", "0"});
  request.descriptor_count = 4;
  for (const std::string& name :
       {std::string(), std::string("."), std::string(".."), std::string("a/b"), std::string("a\0b", 3)}) {
    request.secrets = {{name}};
    check_failure(request, "check the launch request", EINVAL, "name of a secret", 1);
  }
  request.secrets = {{"one"}, {"two"}};
  check_failure(request, "check the launch request", EINVAL, "5 descriptors", 1);
  request.secrets.assign(liongate::limits::kPermissionsMax + 1, {"one"});
  check_failure(request, "check the launch request", E2BIG, "secrets", 1);
}

TEST_CASE("requests that make no sense") {
  LaunchRequest request = run_program("hostile", {"exit", "0"});
  request.working_directory = "/nowhere";
  check_failure(request, "enter the working folder", ENOENT, "/nowhere");
  request = run_program("hostile", {"exit", "0"});
  request.arguments.clear();
  check_failure(request, "check the launch request", EINVAL, "arguments");
  request = run_program("hostile", {"exit", "0"});
  request.executable = "relative";
  check_failure(request, "check the launch request", EINVAL, "relative");
  request = run_program("hostile", {"exit", "0"});
  request.binds.push_back({"/usr", "/plugin/../etc", Access::kReadOnly, Presence::kRequired, false});
  check_failure(request, "make the mount point", EINVAL, "/plugin/../etc");
}

TEST_CASE("a grant that is missing, behind a symbolic link, or a socket or device") {
  const SharedFolder folder;
  std::filesystem::create_directory(folder.path() + "/real");
  std::filesystem::create_directory_symlink(folder.path() + "/real", folder.path() + "/link");
  const auto request = [](const std::string& source) {
    LaunchRequest it = run_program("hostile", {"exit", "0"});
    it.binds.push_back({source, "/data", Access::kReadOnly, Presence::kRequired, false});
    return it;
  };
  check_failure(request(folder.path() + "/missing"), "open the granted path", ENOENT, folder.path() + "/missing");
  check_failure(request(folder.path() + "/link"), "open the granted path", ELOOP, folder.path() + "/link");
  check_failure(request(folder.path() + "/link/below"), "open the granted path", ELOOP, folder.path() + "/link/below");
  check_failure(request("/dev/null"), "open the granted path", ENOTSUP, "/dev/null");
}

TEST_CASE("a grant within another one makes nothing in it and follows no link in it") {
  const SharedFolder folder;
  std::filesystem::create_directories(folder.path() + "/outer/place");
  std::filesystem::create_directory_symlink("/tmp", folder.path() + "/outer/link");
  const auto request = [&folder](const std::string& target, Access access) {
    LaunchRequest it = run_program("hostile", {"exit", "0"});
    it.binds.push_back({folder.path() + "/outer", "/data", access, Presence::kRequired, false});
    it.binds.push_back({folder.path(), target, Access::kReadOnly, Presence::kRequired, false});
    return it;
  };
  check_failure(request("/data/new", Access::kReadOnly), "make the mount point", EROFS, "/data/new");
  check_failure(request("/data/new", Access::kReadWrite), "make the mount point", EROFS, "/data/new");
  check_failure(request("/data/link", Access::kReadOnly), "make the mount point", ENOTDIR, "/data/link");
  CHECK_FALSE(std::filesystem::exists(folder.path() + "/outer/new"));
  Launcher launcher(available_users().front());
  CHECK(launcher.run(request("/data/place", Access::kReadOnly)).exited.kind == EndKind::kExited);
}

TEST_CASE("a packet that does not decode ends the launcher, and a wrong descriptor count the launch") {
  Launcher launcher(available_users().front());
  LaunchRequest request = run_program("hostile", {"exit", "0"});
  request.launch_id = 99;
  REQUIRE(send_request(launcher.control(), request, {}).has_value());
  const auto exited = std::get<Exited>(launcher.next_report());
  CHECK(exited.launch_id == 99);
  CHECK(exited.step == "check the launch request");
  const std::byte garbage[] = {std::byte{1}, std::byte{2}, std::byte{3}};
  REQUIRE(send_packet(launcher.control(), garbage, {}).has_value());
  CHECK(receive_report(launcher.control()).error().reason == liongate::Reason::kSandboxUnavailable);
}

TEST_CASE("a launcher that is missing is an error, not a process") {
  CHECK(start_launcher("/no/such/launcher").error().sys_errno == ENOENT);
}

TEST_CASE("files are opened with the launcher's rights, without following the last link or waiting") {
  const SharedFolder folder;
  write_file(folder.path() + "/file", "text", 0644);
  std::filesystem::create_symlink(folder.path() + "/file", folder.path() + "/link");
  REQUIRE(::mkfifo((folder.path() + "/fifo").c_str(), 0600) == 0);
  for (const User user : available_users()) {
    Launcher launcher(user);
    const auto open = [&launcher](const std::string& path, OpenKind kind) {
      REQUIRE(send_request(launcher.files(), OpenRequest{5, path, kind}, {}).has_value());
      auto received = receive_report(launcher.files()).value();
      const auto opened = std::get<Opened>(received.report);
      CHECK(opened.request_id == 5);
      CHECK(received.descriptors.size() == (opened.open_errno == 0 ? 1U : 0U));
      return opened.open_errno;
    };
    CHECK(open(folder.path() + "/file", OpenKind::kFile) == 0);
    CHECK(open(folder.path(), OpenKind::kFolder) == 0);
    CHECK(open(folder.path() + "/link", OpenKind::kFile) == ELOOP);
    CHECK(open(folder.path(), OpenKind::kFile) == EISDIR);
    CHECK(open(folder.path() + "/file", OpenKind::kFolder) == ENOTDIR);
    CHECK(open(folder.path() + "/none", OpenKind::kFile) == ENOENT);
    const int fifo = open(folder.path() + "/fifo", OpenKind::kFile);
    CHECK((fifo == ENOTSUP || (user == User::kNobody && fifo == EACCES)));
  }
}
