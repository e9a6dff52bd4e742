// Goal: names that appear in a watched folder are told once, and nothing else.
#include "kernel/supervision/file_watch.h"

#include <sys/inotify.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using supervision::FileWatch;

namespace {

FileWatch watch_on(const std::string& folder, const std::string& shown_as) {
  UniqueFd inotify(::inotify_init1(IN_NONBLOCK | IN_CLOEXEC));
  const int number = ::inotify_add_watch(inotify.get(), folder.c_str(), IN_CREATE | IN_MOVED_TO);
  REQUIRE(number >= 0);
  return FileWatch(std::move(inotify), {{number, shown_as}});
}

}  // namespace

TEST_CASE("new names are told once, with the folder as the plugin sees it") {
  const testing::TemporaryFolder folder;
  FileWatch watch = watch_on(folder.path, "/data");
  CHECK(watch.take().names.empty());
  std::ofstream(folder.path + "/one") << "x";
  std::filesystem::create_directory(folder.path + "/two");
  CHECK(watch.take().names == std::vector<std::string>{"/data/one", "/data/two"});
  std::ofstream(folder.path + "/one") << "again";  // not a new name
  CHECK(watch.take().names.empty());
}

TEST_CASE("a name that is no UTF-8 is made printable") {
  const testing::TemporaryFolder folder;
  FileWatch watch = watch_on(folder.path, "/data");
  std::ofstream(folder.path + "/a\xFF") << "x";
  CHECK(watch.take().names == std::vector<std::string>{"/data/a\xEF\xBF\xBD"});
}

TEST_CASE("a flood of new files is looked at in parts, and of each part a bounded number of names is kept") {
  constexpr std::uint32_t kFiles = 6'000;
  const testing::TemporaryFolder folder;
  FileWatch watch = watch_on(folder.path, "/data");
  for (std::uint32_t i = 0; i < kFiles; ++i) {
    std::ofstream(folder.path + "/" + std::to_string(i) + std::string(120, 'x')) << "x";
  }
  const supervision::CreatedFiles first = watch.take();
  CHECK(first.names.size() == supervision::kCreatedFilesMax);
  std::uint32_t seen = static_cast<std::uint32_t>(first.names.size()) + first.left_out;
  CHECK(seen < kFiles);
  for (supervision::CreatedFiles next = watch.take(); !next.names.empty(); next = watch.take()) {
    seen += static_cast<std::uint32_t>(next.names.size()) + next.left_out;
  }
  CHECK(seen == kFiles);
}

TEST_CASE("without a watch there are no names") {
  FileWatch none;
  CHECK_FALSE(none.valid());
  CHECK(none.take().names.empty());
}
