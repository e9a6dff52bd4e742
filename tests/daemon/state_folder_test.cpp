// Goal: a state folder that others can change is refused with the command that mends it, one that they can only read is
// closed. Method: real folders with every wrong mode, a link, another owner.
#include "daemon/state_folder.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <filesystem>

using namespace liongate;
using namespace liongate::daemon;

namespace {

struct State {
  std::string path = "/tmp/liongate-state-XXXXXX";
  std::string log;
  State() {
    REQUIRE(::mkdtemp(path.data()) != nullptr);
    log = path + "/log";
    REQUIRE(::mkdir(log.c_str(), 0700) == 0);
  }
  ~State() { std::filesystem::remove_all(path); }
  State(const State&) = delete;
  State& operator=(const State&) = delete;

  static void set_mode(const std::string& folder, mode_t mode) { REQUIRE(::chmod(folder.c_str(), mode) == 0); }
  static mode_t mode(const std::string& folder) {
    struct stat info {};
    REQUIRE(::stat(folder.c_str(), &info) == 0);
    return info.st_mode & 07777;
  }
  Error refused() const {
    const auto result = secure_state_folder(path);
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().reason == Reason::kInvalidConfig);
    return result.error();
  }
};

}  // namespace

TEST_CASE("a private state folder is fine, with and without a log") {
  const State state;
  CHECK(secure_state_folder(state.path)->empty());
  std::filesystem::remove(state.log);
  CHECK(secure_state_folder(state.path)->empty());
}

TEST_CASE("a log folder that others can read is closed to them, and said so") {
  const State state;
  const mode_t mode = GENERATE(0755, 0750, 0705, 0711);
  State::set_mode(state.log, mode);
  const auto mended = secure_state_folder(state.path);
  REQUIRE(mended.has_value());
  REQUIRE(mended->size() == 1);
  CHECK(mended->front().find("was closed to others") != std::string::npos);
  CHECK(State::mode(state.log) == 0700);
  CHECK(secure_state_folder(state.path)->empty());
}

TEST_CASE("a folder that others can change is refused and left as it is") {
  const State state;
  const mode_t mode = GENERATE(0720, 0702, 0777, 01777);
  const std::string folder = GENERATE(0, 1) == 0 ? state.path : state.log;
  State::set_mode(folder, mode);
  const Error error = state.refused();
  CHECK(error.hint.find("chmod 700 " + folder) == 0);
  CHECK(error.metadata.at("path") == folder);
  CHECK(State::mode(folder) == mode);
}

TEST_CASE("a link or a file in the log's place is refused") {
  const State state;
  std::filesystem::remove(state.log);
  SECTION("link") {
    std::filesystem::create_directory_symlink("/tmp", state.log);
  }
  SECTION("file") {
    std::filesystem::copy_file("/proc/self/comm", state.log);
  }
  CHECK(state.refused().message.find("is no folder") != std::string::npos);
}

TEST_CASE("another user's folder is refused") {
  if (::geteuid() != 0) return;
  const State state;
  const std::string folder = GENERATE(0, 1) == 0 ? state.path : state.log;
  REQUIRE(::chown(folder.c_str(), 65534, 65534) == 0);
  CHECK(state.refused().message.find("belongs to uid 65534") != std::string::npos);
}
