// Goal: every way a request can fail has the contract's line, hint and exit code, whoever it was that failed it.
#include <signal.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <catch2/catch.hpp>

#include <cstring>
#include <fstream>
#include <thread>

#include "fake_daemon.h"
#include "kernel/base/limits.h"
#include "kernel/base/unique_fd.h"

using namespace liongate;
using namespace liongate::test;

namespace {

UniqueFd bound_socket(const std::string& path, int type) {
  UniqueFd fd(::socket(AF_UNIX, type | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size());
  REQUIRE(::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
  return fd;
}

}  // namespace

TEST_CASE("each reason of the table has its exit code, its name in the line and its hint") {
  FakeDaemon daemon;
  for (std::size_t i = 0; i < reason_count(); ++i) {
    const ReasonTraits& traits = traits_of(static_cast<Reason>(i));
    if (traits.code == StatusCode::kOk) continue;
    INFO(traits.name);
    daemon.status = status_of(traits.reason, "what went wrong", {{"hint", "what to do"}});
    const Run run = ctl(daemon, {"get-plugin", "hello"});
    CHECK(run.exit_code == static_cast<int>(traits.exit_code));
    CHECK(run.out.empty());
    CHECK(run.err == "liongatectl: hello: what went wrong (" + std::string(traits.name) + ")\nhint: what to do\n");
  }
}

TEST_CASE("with -o json an error is one object of code, reason, message and metadata") {
  FakeDaemon daemon;
  daemon.status = status_of(Reason::kPluginNotFound, "no plugin \"x\"", {{"category", "InvokeFailure"}});
  const Run run = ctl(daemon, {"-o", "json", "get-plugin", "x"});
  CHECK(run.exit_code == 4);
  CHECK(run.out.empty());
  CHECK(run.err == R"({"code":"NOT_FOUND","reason":"PLUGIN_NOT_FOUND","message":"x: no plugin \"x\"",)"
                   R"("metadata":{"category":"InvokeFailure"}})"
                   "\n");
}

TEST_CASE("a message that names its subject does not get it twice, and each of its lines is an error line") {
  FakeDaemon daemon;
  daemon.status = status_of(Reason::kInvalidManifest, "/m.toml:1: name: is missing\n/m.toml:2: version: is missing");
  const Run run = ctl(daemon, {"load-plugin", "/m.toml"});
  CHECK(run.exit_code == 7);
  CHECK(run.err ==
        "liongatectl: /m.toml:1: name: is missing (INVALID_MANIFEST)\n"
        "liongatectl: /m.toml:2: version: is missing (INVALID_MANIFEST)\n");
}

TEST_CASE("a message cannot steer the terminal") {
  FakeDaemon daemon;
  daemon.status = status_of(Reason::kPluginError, "\033[2Jboo\r");
  CHECK(ctl(daemon, {"get-plugin", "x"}).err == "liongatectl: x: ?[2Jboo? (PLUGIN_ERROR)\n");
}

TEST_CASE("a status without our details goes by its code") {
  FakeDaemon daemon;
  daemon.status = {grpc::StatusCode::RESOURCE_EXHAUSTED, "too big"};
  const Run run = ctl(daemon, {"get-plugin", "x"});
  CHECK(run.exit_code == 9);
  CHECK(run.err == "liongatectl: x: too big (RESOURCE_EXHAUSTED)\n");
}

TEST_CASE("a method that the daemon does not have yet says so") {
  FakeDaemon daemon;
  const Run run = ctl(daemon, {"get-status"});
  CHECK(run.exit_code == 1);
  CHECK(run.err.find("the daemon does not know this request (UNIMPLEMENTED)") != std::string::npos);
}

TEST_CASE("no daemon: exit 3, the path that was tried, and how to start one") {
  FakeDaemon daemon;
  const std::string nothing = daemon.folder() + "/nothing";
  const std::string file = daemon.folder() + "/file";
  std::ofstream(file) << "x";
  const std::string stale = daemon.folder() + "/stale";
  bound_socket(stale, SOCK_STREAM);
  const std::string datagram = daemon.folder() + "/datagram";
  const UniqueFd other = bound_socket(datagram, SOCK_DGRAM);
  const std::string too_long = "/" + std::string(limits::kSocketPathBytesMax, 'x');
  for (const std::string& path : {nothing, file, stale, datagram, too_long, daemon.folder()}) {
    INFO(path);
    const Run run = ctl({"--socket", path, "list-plugins"});
    CHECK(run.exit_code == 3);
    CHECK(run.err.find("liongatectl: " + path + ": cannot reach the daemon: ") == 0);
    CHECK(run.err.find("(UNAVAILABLE)\nhint: ") != std::string::npos);
    CHECK(run.err.find("liongated") != std::string::npos);
  }
  CHECK(ctl({"--address", "127.0.0.1:1", "list-plugins"}).exit_code == 3);
}

TEST_CASE("a daemon that goes away in the middle of a call is not reachable") {
  auto daemon = std::make_unique<FakeDaemon>();
  const std::string socket = daemon->socket();  // the daemon is the other thread's from here on
  std::thread killer([&] {
    while (!daemon->is_waiting) std::this_thread::yield();
    daemon.reset();
  });
  const Run run = ctl({"--socket", socket, "invoke-plugin", "x", "--operation", "wait"});
  killer.join();
  // The server may cancel the call before it closes the connection.
  CHECK((run.exit_code == 3 || run.exit_code == 8));
}

TEST_CASE("Ctrl-C cancels a call: exit 8") {
  FakeDaemon daemon;
  std::thread user([&] {
    while (!daemon.is_waiting) std::this_thread::yield();
    ::kill(::getpid(), SIGINT);
  });
  const Run run = ctl(daemon, {"invoke-plugin", "x", "--operation", "wait"});
  user.join();
  CHECK(run.exit_code == 8);
  CHECK(run.err == "liongatectl: x: cancelled (CANCELLED)\n");
}

TEST_CASE("Ctrl-C is how one leaves --follow: exit 0") {
  FakeDaemon daemon;
  std::thread user([&] {
    while (!daemon.is_waiting) std::this_thread::yield();
    ::kill(::getpid(), SIGINT);
  });
  const Run run = ctl(daemon, {"replay-log", "--follow"});
  user.join();
  CHECK(run.exit_code == 0);
  CHECK(run.err.empty());
}
