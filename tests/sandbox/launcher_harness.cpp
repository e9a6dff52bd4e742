#include "launcher_harness.h"

#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "sandbox/launcher_process.h"
#include "sandbox/packet_socket.h"

namespace liongate::sandbox::testing {
namespace {

constexpr std::size_t kOutputBytesMax = 1024 * 1024;
namespace fs = std::filesystem;

void become_nobody() {
  const passwd* nobody = ::getpwnam("nobody");
  const uid_t uid = nobody != nullptr ? nobody->pw_uid : 65534;
  const gid_t gid = nobody != nullptr ? nobody->pw_gid : 65534;
  if (::setgroups(0, nullptr) != 0 || ::setresgid(gid, gid, gid) != 0 || ::setresuid(uid, uid, uid) != 0) ::_exit(125);
}

// Copies what the tests start to a place that nobody can reach, once.
const std::string& installed_folder() {
  static const SharedFolder folder;
  static const bool copied = [] {
    fs::copy_file(LIONGATE_LAUNCHER, folder.path() + "/liongate-launcher");
    fs::create_directory(folder.path() + "/programs");
    for (const auto& entry : fs::directory_iterator(LIONGATE_TEST_PROGRAMS)) {
      fs::copy_file(entry.path(), folder.path() + "/programs/" + entry.path().filename().string());
    }
    return true;
  }();
  REQUIRE(copied);
  return folder.path();
}

}  // namespace

std::vector<User> available_users() {
  if (::geteuid() == 0) return {User::kRoot, User::kNobody};
  return {User::kNobody};
}

const char* name_of(User user) {
  return user == User::kRoot ? "root" : "unprivileged";
}

SharedFolder::SharedFolder() {
  char name[] = "/tmp/liongate-sandbox-XXXXXX";
  REQUIRE(::mkdtemp(name) != nullptr);
  path_ = name;
  fs::permissions(path_, fs::perms(0755));
}

SharedFolder::~SharedFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

Launcher::Launcher(User user, std::vector<std::string> arguments) : user_(user) {
  const std::string path = installed_folder() + "/liongate-launcher";
  if (user == User::kRoot || ::geteuid() != 0) {
    if (arguments.empty()) {
      auto started = start_launcher(path);
      REQUIRE(started.has_value());
      pid_ = started->pid;
      control_ = std::move(started->control_socket);
      files_ = std::move(started->files_socket);
      return;
    }
  }
  auto control = packet_socket_pair().value();
  auto files = packet_socket_pair().value();
  pid_ = ::fork();
  REQUIRE(pid_ >= 0);
  if (pid_ == 0) {
    const int parked_control = ::fcntl(control.second.get(), F_DUPFD, 20);
    const int parked_files = ::fcntl(files.second.get(), F_DUPFD, 20);
    ::dup2(parked_control, 3);
    ::dup2(parked_files, 4);
    ::syscall(SYS_close_range, 5, ~0U, 0);
    if (user == User::kNobody && ::geteuid() == 0) become_nobody();
    std::vector<char*> argv{const_cast<char*>("liongate-launcher")};
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    ::execv(path.c_str(), argv.data());
    ::_exit(127);
  }
  control_ = std::move(control.first);
  files_ = std::move(files.first);
}

Launcher::~Launcher() {
  control_.reset();
  files_.reset();
  if (pid_ > 0) {
    ::waitpid(pid_, nullptr, 0);
  }
}

Launcher::Running Launcher::launch(LaunchRequest request) {
  request.launch_id = next_id_++;
  int input[2], output[2], frames[2];
  REQUIRE(::pipe2(input, O_CLOEXEC) == 0);
  REQUIRE(::pipe2(output, O_CLOEXEC) == 0);
  REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, frames) == 0);
  std::vector<int> passed{input[0], output[1], output[1], frames[0], frames[1]};
  passed.resize(request.descriptor_count + passed_secrets_);
  Running running{request.launch_id, UniqueFd(output[0]), UniqueFd(input[1])};
  const auto sent = send_request(control_.get(), request, passed);
  for (const int fd : {input[0], output[1], frames[0], frames[1]}) ::close(fd);
  if (!sent) FAIL("send_request: " << sent.error().message);
  return running;
}

void Launcher::record(const Denied& denied) {
  if (denied.denial_id == 0) return;
  REQUIRE(send_request(control_.get(), DenialRecordedRequest{denied.launch_id, denied.denial_id}, {}).has_value());
}

// Nothing when it was a denial.
std::optional<Report> Launcher::read_report() {
  auto received = receive_report(control_.get());
  if (!received) FAIL("receive_report: " << received.error().message);
  const auto* denied = std::get_if<Denied>(&received->report);
  if (denied == nullptr) return std::move(received->report);
  if (answers_denials) record(*denied);
  denials.push_back(*denied);
  return std::nullopt;
}

Denied Launcher::next_denial(int timeout_ms) {
  while (denials.empty()) {
    pollfd readable{control_.get(), POLLIN, 0};
    if (::poll(&readable, 1, timeout_ms) != 1) FAIL("no denial within " << timeout_ms << " ms");
    if (read_report()) FAIL("another report, not a denial");
  }
  return denials.back();
}

Report Launcher::next_report(int timeout_ms) {
  for (;;) {
    pollfd readable{control_.get(), POLLIN, 0};
    if (::poll(&readable, 1, timeout_ms) != 1) FAIL("no report within " << timeout_ms << " ms");
    if (auto report = read_report()) return std::move(*report);
  }
}

Outcome Launcher::finish(Running running, int timeout_ms) {
  running.input.reset();
  Outcome outcome;
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::milliseconds(timeout_ms);
  bool ended = false;
  while (!ended || running.output.valid()) {
    pollfd ready[2] = {{ended ? -1 : control_.get(), POLLIN, 0}, {running.output.get(), POLLIN, 0}};
    const auto left =
        std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now());
    if (left.count() <= 0 || ::poll(ready, 2, static_cast<int>(left.count())) <= 0) {
      FAIL("the sandbox did not end in time; it said: " << outcome.out);
    }
    if (running.output.valid() && ready[1].revents != 0) {
      char chunk[4096];
      const ssize_t got = ::read(running.output.get(), chunk, sizeof chunk);
      if (got <= 0) running.output.reset();
      if (got > 0 && outcome.out.size() < kOutputBytesMax) outcome.out.append(chunk, static_cast<std::size_t>(got));
    }
    if (!ended && ready[0].revents != 0) {
      std::optional<Report> report = read_report();
      if (!report) continue;
      if (auto* started = std::get_if<Started>(&*report)) {
        CHECK_FALSE(outcome.started.has_value());
        outcome.started = std::move(*started);
      } else {
        outcome.exited = std::get<Exited>(std::move(*report));
        CHECK(outcome.exited.launch_id == running.launch_id);
        ended = true;
      }
    }
  }
  for (const Denied& denied : denials) {
    if (denied.launch_id == running.launch_id) outcome.denials.push_back(denied);
  }
  return outcome;
}

Outcome Launcher::run(LaunchRequest request, const std::string& input) {
  Running running = launch(std::move(request));
  if (!input.empty())
    REQUIRE(::write(running.input.get(), input.data(), input.size()) == static_cast<ssize_t>(input.size()));
  running.input.reset();
  return finish(std::move(running));
}

void Launcher::kill_launch(std::uint64_t launch_id) {
  REQUIRE(send_request(control_.get(), KillRequest{launch_id}, {}).has_value());
}

const std::string& program_folder() {
  static const std::string folder = installed_folder() + "/programs";
  return folder;
}

LaunchRequest run_program(const std::string& program, std::vector<std::string> arguments) {
  LaunchRequest request;
  request.name = "hostile";
  request.executable = "/plugin/" + program;
  request.arguments = std::move(arguments);
  request.arguments.insert(request.arguments.begin(), program);
  request.environment = {"PATH=/usr/bin:/bin", "LANG=C"};
  request.working_directory = "/plugin";
  request.binds.push_back({program_folder(), "/plugin", Access::kReadOnly, Presence::kRequired, true});
  return request;
}

LaunchRequest run_system_program(const std::string& executable, std::vector<std::string> arguments) {
  LaunchRequest request;
  request.name = "system";
  request.executable = executable;
  request.arguments = std::move(arguments);
  request.environment = {"PATH=/usr/bin:/bin", "LANG=C.UTF-8"};
  request.binds.push_back({"/usr", "/usr", Access::kReadOnly, Presence::kRequired, true});
  request.binds.push_back({"/etc/ld.so.cache", "/etc/ld.so.cache", Access::kReadOnly, Presence::kOptional, false});
  request.binds.push_back({"/etc/alternatives", "/etc/alternatives", Access::kReadOnly, Presence::kOptional, false});
  request.links = {{"usr/bin", "/bin"}, {"usr/lib", "/lib"}, {"usr/lib64", "/lib64"}, {"usr/sbin", "/sbin"}};
  request.files = {{"/etc/passwd", "plugin:x:1000:1000::/:/bin/sh\n"}, {"/etc/group", "plugin:x:1000:\n"}};
  return request;
}

}  // namespace liongate::sandbox::testing
