// Goal: what tells a daemon what to do is read only where nobody else could have written it, with the remedy to type.
// Method: real files of every mode; other owners where the test may make them (as root).
#include "config/trusted_file.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "config/policy_file.h"

using namespace liongate;
using config::read_trusted_file;

namespace {

constexpr uid_t kSomebody = 4321;

class OneFile {
 public:
  OneFile() {
    std::string pattern = std::filesystem::temp_directory_path() / "liongate-trusted-XXXXXX";
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    folder_ = pattern;
    std::ofstream(path()) << "rules: []\n";
    set_mode(0644);
  }
  ~OneFile() { std::filesystem::remove_all(folder_); }
  OneFile(const OneFile&) = delete;
  OneFile& operator=(const OneFile&) = delete;

  std::string path() const { return folder_ + "/file.yaml"; }
  void set_mode(mode_t mode) const { REQUIRE(::chmod(path().c_str(), mode) == 0); }
  void set_owner(uid_t uid, gid_t gid) const { REQUIRE(::chown(path().c_str(), uid, gid) == 0); }
  Result<std::string> read() const { return read_trusted_file(path(), 1024); }

 private:
  std::string folder_;
};

}  // namespace

TEST_CASE("a file of ours that others may only read is read") {
  const OneFile file;
  CHECK(file.read().value() == "rules: []\n");
  file.set_mode(0600);
  CHECK(file.read());
}

TEST_CASE("a file that everybody may write is refused with the command that mends it") {
  const OneFile file;
  file.set_mode(0646);
  const auto read = file.read();
  REQUIRE_FALSE(read);
  CHECK(read.error().reason == Reason::kInvalidConfig);
  CHECK(read.error().message == file.path() + ": everybody may write it, who could tell this daemon what to do");
  CHECK(read.error().hint == "chmod o-w " + file.path());
}

TEST_CASE("a user's own group may write a user's file; none but root's may write root's") {
  const OneFile file;
  file.set_mode(0664);
  CHECK(file.read());
  if (::geteuid() != 0) return;
  file.set_owner(0, kSomebody);
  const auto read = file.read();
  REQUIRE_FALSE(read);
  CHECK(read.error().hint == "chmod g-w " + file.path());
}

TEST_CASE("a file of another user is refused") {
  if (::geteuid() != 0) return;
  const OneFile file;
  file.set_owner(kSomebody, kSomebody);
  const auto read = file.read();
  REQUIRE_FALSE(read);
  CHECK(read.error().message.find("it belongs to uid 4321") != std::string::npos);
}

TEST_CASE("a FIFO keeps nobody waiting, and what is too long is refused") {
  const OneFile file;
  CHECK_FALSE(read_trusted_file(file.path(), 4));
  REQUIRE(::unlink(file.path().c_str()) == 0);
  REQUIRE(::mkfifo(file.path().c_str(), 0600) == 0);
  CHECK(file.read().value().empty());
}

TEST_CASE("a policy that others may write is none that a daemon goes by") {
  const OneFile file;
  file.set_mode(0666);
  config::DaemonConfig config;
  config.policy_file = file.path();
  CHECK(config::load_policy("", config).error().message.find("everybody may write it") != std::string::npos);
  CHECK(config::load_policy_file(file.path(), config::Environment::kProduction));  // trying one out is another matter
}
