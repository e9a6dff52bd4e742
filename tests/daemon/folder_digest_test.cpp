// Goal: two folders have one digest exactly when a plugin could not tell them apart. Real folders in /tmp.
#include "daemon/folder_digest.h"

#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <set>

#include "kernel/base/limits.h"
#include "tests/daemon/fake_file_server.h"

using namespace liongate;
using namespace liongate::testing;

namespace fs = std::filesystem;

namespace {

Result<std::string> digest(const std::string& folder) {
  FakeFileServer server;
  daemon::DigestCache nothing_remembered;
  return daemon::digest_folder(server.opener(), nothing_remembered, folder);
}

std::string digest_of(const TemporaryFolder& folder) {
  const Result<std::string> result = digest(folder.path);
  INFO((result ? std::string() : result.error().message));
  REQUIRE(result.has_value());
  return *result;
}

}  // namespace

TEST_CASE("the same files give the same digest, in whatever order they were made") {
  const TemporaryFolder first;
  const TemporaryFolder second;
  for (int i = 0; i < 50; ++i) first.write("file-" + std::to_string(i), std::to_string(i));
  for (int i = 50; i-- > 0;) second.write("file-" + std::to_string(i), std::to_string(i));
  CHECK(digest_of(first) == digest_of(second));
  CHECK(digest_of(first).size() == 64);
}

TEST_CASE("times and owners are not in it") {
  const TemporaryFolder folder;
  folder.write("main", "code");
  const std::string before = digest_of(folder);
  fs::last_write_time(folder.path + "/main", fs::file_time_type::clock::now() - std::chrono::hours(24));
  CHECK(digest_of(folder) == before);
}

TEST_CASE("any change that a plugin can see changes the digest") {
  const TemporaryFolder folder;
  folder.write("main", "code");
  folder.write("data/words", "one");
  std::set<std::string> seen = {digest_of(folder)};
  const auto is_new = [&] { return seen.insert(digest_of(folder)).second; };

  folder.write("main", "coda");
  CHECK(is_new());
  fs::rename(folder.path + "/main", folder.path + "/start");
  CHECK(is_new());
  REQUIRE(::chmod((folder.path + "/start").c_str(), 0755) == 0);
  CHECK(is_new());
  folder.write("data/words", "two");
  CHECK(is_new());
  fs::rename(folder.path + "/data", folder.path + "/date");
  CHECK(is_new());
  fs::create_directory(folder.path + "/empty");
  CHECK(is_new());
  fs::create_symlink("start", folder.path + "/link");
  CHECK(is_new());
  fs::remove(folder.path + "/link");
  fs::create_symlink("date", folder.path + "/link");
  CHECK(is_new());
  fs::remove(folder.path + "/link");
  folder.write("link", "date");
  CHECK(is_new());
  REQUIRE(::mkfifo((folder.path + "/pipe").c_str(), 0600) == 0);
  CHECK(is_new());
}

TEST_CASE("what lies in a file cannot pose as another file") {
  const TemporaryFolder first;
  const TemporaryFolder second;
  first.write("a", "xb");
  first.write("c", "y");
  second.write("a", "x");
  second.write("bc", "y");
  CHECK(digest_of(first) != digest_of(second));
}

TEST_CASE("a symbolic link counts by its text and is not followed") {
  const TemporaryFolder target;
  target.write("file", "one");
  const TemporaryFolder folder;
  fs::create_symlink(target.path, folder.path + "/link");
  const std::string before = digest_of(folder);
  target.write("file", "two");
  CHECK(digest_of(folder) == before);
}

TEST_CASE("too many files are UNSAFE_FOLDER") {
  const TemporaryFolder folder;
  for (std::size_t i = 0; i < limits::kDigestFilesMax; ++i) {
    const std::string path = folder.path + "/" + std::to_string(i);
    REQUIRE(::symlink("x", path.c_str()) == 0);
  }
  CHECK(digest(folder.path).has_value());
  folder.write("one-more", "");
  const Result<std::string> result = digest(folder.path);
  REQUIRE_FALSE(result.has_value());
  CHECK(result.error().reason == Reason::kUnsafeFolder);
}

TEST_CASE("folders nested without end are UNSAFE_FOLDER") {
  const TemporaryFolder folder;
  std::string deep = folder.path;
  for (int i = 0; i < 40; ++i) deep += "/d";
  fs::create_directories(deep);
  CHECK(digest(folder.path).error().reason == Reason::kUnsafeFolder);
}

TEST_CASE("beyond the bound of contents a file's size and time of change stand for it") {
  const TemporaryFolder folder;
  folder.write("large", "");
  fs::resize_file(folder.path + "/large", limits::kDigestBytesMax + 1);  // sparse: costs no disk
  const std::string before = digest_of(folder);
  CHECK(digest_of(folder) == before);
  fs::resize_file(folder.path + "/large", limits::kDigestBytesMax + 2);
  CHECK(digest_of(folder) != before);
}

TEST_CASE("a cache changes no digest, also where files changed behind it") {
  const TemporaryFolder folder;
  folder.write("settled", "one");
  folder.write("data/words", "two");
  FakeFileServer server;
  daemon::DigestCache cache;
  const std::string before = *daemon::digest_folder(server.opener(), cache, folder.path);
  CHECK(before == digest_of(folder));
  CHECK(*daemon::digest_folder(server.opener(), cache, folder.path) == before);
  folder.write("settled", "eno");  // as long as before, within the clock's grain
  const std::string after = *daemon::digest_folder(server.opener(), cache, folder.path);
  CHECK(after != before);
  CHECK(after == digest_of(folder));
}

TEST_CASE("a folder that is not there is an error") {
  CHECK_FALSE(digest("/nowhere/at/all").has_value());
}
