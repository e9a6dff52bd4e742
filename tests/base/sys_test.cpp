// Goal: the wrappers report what failed and on what, and respect their bounds. Method: real files.
#include "kernel/base/sys.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <cerrno>
#include <cstdlib>
#include <filesystem>

using namespace liongate;

namespace {
struct TemporaryFolder {
  std::string path;
  TemporaryFolder() {
    char name[] = "/tmp/liongate-sys-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path = name;
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
};
}  // namespace

TEST_CASE("opening what is missing names the path and the errno") {
  const auto result = sys::open("/nowhere/at/all", O_RDONLY);
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().sys_errno == ENOENT);
  CHECK(result.error().message.find("/nowhere/at/all") != std::string::npos);
}

TEST_CASE("a file larger than the bound is refused, one at the bound is read") {
  const TemporaryFolder folder;
  const std::string path = folder.path + "/file";
  const UniqueFd fd = sys::open(path, O_WRONLY | O_CREAT, 0600).value();
  REQUIRE(sys::write_all(fd.get(), std::string(100, 'x')).has_value());
  CHECK(sys::read_file(path, 100)->size() == 100);
  CHECK(sys::read_file(path, 99).error().reason == Reason::kInvalidArgument);
}

TEST_CASE("descriptors are close-on-exec") {
  const auto [read_end, write_end] = sys::pipe().value();
  CHECK((::fcntl(read_end.get(), F_GETFD) & FD_CLOEXEC) != 0);
  CHECK((::fcntl(write_end.get(), F_GETFD) & FD_CLOEXEC) != 0);
}

TEST_CASE("directories are made with what is missing above them; a file in the way is an error") {
  const TemporaryFolder folder;
  CHECK(sys::make_directories(folder.path + "/a/b/c", 0700).has_value());
  CHECK(sys::make_directories(folder.path + "/a/b/c", 0700).has_value());
  const UniqueFd fd = sys::open(folder.path + "/a/file", O_WRONLY | O_CREAT, 0600).value();
  CHECK_FALSE(sys::make_directories(folder.path + "/a/file", 0700).has_value());
  CHECK_FALSE(sys::make_directories(folder.path + "/a/file/below", 0700).has_value());
}
