// Goal: an observer's cursor is what was written last, whatever a crash left in the middle of.
#include "kernel/observation/cursor_file.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "tests/kernel/kernel_fixture.h"

using namespace liongate;
using observation::Cursor;
using observation::CursorFile;

namespace {

const std::string kNode = "5f8d6a50-98a6-4f0e-8a5e-0123456789ab";

struct CursorPath {
  testing::TemporaryFolder folder;
  std::string path = folder.path + "/a.cursor";

  CursorFile open() const { return CursorFile::open(path).value(); }
  // Flips a byte of one of the two slots.
  void damage(std::size_t slot) const {
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(static_cast<std::streamoff>(slot * 128 + 17));
    const int byte = file.get();
    file.seekp(static_cast<std::streamoff>(slot * 128 + 17));
    file.put(static_cast<char>(byte ^ 0xFF));
  }
};

}  // namespace

TEST_CASE("a new cursor file holds no cursor") {
  const CursorPath path;
  CHECK_FALSE(path.open().cursor());
  CHECK(std::filesystem::file_size(path.path) == 256);
  const auto mode = std::filesystem::status(path.path).permissions() & std::filesystem::perms::all;
  CHECK(mode == (std::filesystem::perms::owner_read | std::filesystem::perms::owner_write));
}

TEST_CASE("a cursor is read back by the next life") {
  const CursorPath path;
  for (EventSeq seq = 1; seq <= 5; ++seq) {
    REQUIRE(path.open().write({seq * 1'000'000'007, kNode}));
    const CursorFile again = path.open();
    REQUIRE(again.cursor());
    CHECK(again.cursor()->seq == seq * 1'000'000'007);
    CHECK(again.cursor()->node_id == kNode);
  }
}

TEST_CASE("a write that tore leaves the cursor before it") {
  const CursorPath path;
  CursorFile file = path.open();
  REQUIRE(file.write({7, kNode}));  // generation 1: the second slot
  REQUIRE(file.write({8, kNode}));  // generation 2: the first
  path.damage(0);
  REQUIRE(path.open().cursor());
  CHECK(path.open().cursor()->seq == 7);
}

TEST_CASE("a file that is damaged altogether holds no cursor") {
  const CursorPath path;
  CursorFile file = path.open();
  REQUIRE(file.write({7, kNode}));
  REQUIRE(file.write({8, kNode}));
  path.damage(0);
  path.damage(1);
  CHECK_FALSE(path.open().cursor());
  std::ofstream(path.path, std::ios::trunc) << "hello";
  CHECK_FALSE(path.open().cursor());
}

TEST_CASE("a cursor may go back: an observer that begins anew") {
  const CursorPath path;
  REQUIRE(path.open().write({100, kNode}));
  REQUIRE(path.open().write({3, kNode}));
  CHECK(path.open().cursor()->seq == 3);
}

TEST_CASE("a cursor's file is not a symbolic link, nor in a folder that is not there") {
  const CursorPath path;
  std::filesystem::create_symlink("/etc/hostname", path.path);
  CHECK_FALSE(CursorFile::open(path.path));
  CHECK_FALSE(CursorFile::open(path.folder.path + "/none/a.cursor"));
}
