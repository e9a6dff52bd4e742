// Goal: the control socket is made safely: stale ones are replaced, nothing else that is there is touched.
#include "daemon/control_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstring>

#include "kernel/base/limits.h"
#include "tests/daemon/fake_file_server.h"

using namespace liongate;
using namespace liongate::testing;
using daemon::ControlSocket;
using daemon::listen_on;

namespace {

UniqueFd connected_to(const std::string& path) {
  UniqueFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd.reset();
  return fd;
}

struct stat stat_of(const std::string& path) {
  struct stat info {};
  ::lstat(path.c_str(), &info);
  return info;
}

}  // namespace

TEST_CASE("a socket is made with the folders above it, for its owner alone") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/run/deep/control.sock";
  const Result<UniqueFd> listening = listen_on(path);
  REQUIRE(listening.has_value());
  CHECK(S_ISSOCK(stat_of(path).st_mode));
  CHECK((stat_of(path).st_mode & 0777) == 0600);
  CHECK(connected_to(path).valid());
}

TEST_CASE("a stale socket is replaced") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/control.sock";
  { const Result<UniqueFd> killed = listen_on(path); }
  CHECK(S_ISSOCK(stat_of(path).st_mode));
  const Result<UniqueFd> listening = listen_on(path);
  REQUIRE(listening.has_value());
  CHECK(connected_to(path).valid());
}

TEST_CASE("a socket on which another daemon answers is left to it") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/control.sock";
  const Result<UniqueFd> first = listen_on(path);
  REQUIRE(first.has_value());
  const ino_t inode = stat_of(path).st_ino;
  const Result<UniqueFd> second = listen_on(path);
  REQUIRE_FALSE(second.has_value());
  CHECK(second.error().message.find("another daemon") != std::string::npos);
  CHECK_FALSE(second.error().hint.empty());
  CHECK(stat_of(path).st_ino == inode);
}

TEST_CASE("a file of another kind is refused and left as it is") {
  const TemporaryFolder folder;
  folder.write("file", "precious");
  std::filesystem::create_directory(folder.path + "/folder");
  std::filesystem::create_symlink(folder.path + "/file", folder.path + "/link");
  for (const char* name : {"file", "folder", "link"}) {
    const Result<UniqueFd> refused = listen_on(folder.path + "/" + name);
    REQUIRE_FALSE(refused.has_value());
    CHECK(refused.error().reason == Reason::kInvalidConfig);
  }
  CHECK(std::filesystem::file_size(folder.path + "/file") == 8);
}

TEST_CASE("a path at the system's bound works, a longer one is INVALID_CONFIG that says how long it may be") {
  const TemporaryFolder folder;
  std::string path = folder.path + "/";
  path.append(limits::kSocketPathBytesMax - path.size(), 's');
  CHECK(listen_on(path).has_value());
  const Result<UniqueFd> refused = listen_on(path + "s");
  REQUIRE_FALSE(refused.has_value());
  CHECK(refused.error().reason == Reason::kInvalidConfig);
  CHECK(refused.error().message.find(std::to_string(limits::kSocketPathBytesMax)) != std::string::npos);
}

TEST_CASE("a folder that cannot be made is an error") {
  const TemporaryFolder folder;
  folder.write("file", "");
  CHECK_FALSE(listen_on(folder.path + "/file/control.sock").has_value());
}

TEST_CASE("connections are accepted, all that wait, and the file goes with the socket") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/control.sock";
  boost::asio::io_context io;
  std::vector<UniqueFd> accepted;
  {
    ControlSocket socket(io, listen_on(path).value(), path, [&](UniqueFd fd) { accepted.push_back(std::move(fd)); });
    socket.start();
    std::vector<UniqueFd> clients;
    for (int i = 0; i < 100; ++i) clients.push_back(connected_to(path));
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (accepted.size() < 100 && std::chrono::steady_clock::now() < end) io.run_one_until(end);
    CHECK(accepted.size() == 100);
  }
  CHECK(stat_of(path).st_ino == 0);
}

TEST_CASE("a socket file that somebody else put there meanwhile stays") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/control.sock";
  boost::asio::io_context io;
  Result<UniqueFd> other = make_error(Reason::kInternal, "not yet");
  {
    ControlSocket socket(io, listen_on(path).value(), path, [](UniqueFd) {});
    std::filesystem::rename(path, path + ".moved");
    other = listen_on(path);
    REQUIRE(other.has_value());
  }
  CHECK(S_ISSOCK(stat_of(path).st_mode));
  CHECK(connected_to(path).valid());
}
