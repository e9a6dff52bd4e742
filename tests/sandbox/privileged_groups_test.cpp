// Goal: groups that are as good as root are found by their number and name, whatever else the group file holds.
#include "sandbox/privileged_groups.h"

#include <array>
#include <catch2/catch.hpp>

using namespace liongate::sandbox;

namespace {

constexpr const char* kGroupFile =
    "root:x:0:\ndisk:x:6:\nusers:x:100:me\nsudo:x:27:me\ndocker:x:998:me,you\nbroken\nlxd:x:\nincus:x:12x:\n::\nstaff:"
    "x:50:";

std::vector<std::string> among(std::initializer_list<gid_t> groups) {
  return privileged_among(std::vector<gid_t>(groups), kGroupFile);
}

}  // namespace

TEST_CASE("privileged groups are named, ordinary and unknown ones are not") {
  CHECK(among({}).empty());
  CHECK(among({100, 4242}).empty());
  CHECK(among({100, 27, 998}) == std::vector<std::string>{"sudo", "docker"});
  CHECK(among({0}) == std::vector<std::string>{"root"});
  CHECK(among({50}) == std::vector<std::string>{"staff"});  // the last line, without a line break
}

TEST_CASE("lines that are none do no harm") {
  CHECK(among({12}).empty());
  CHECK(privileged_among(std::array<gid_t, 1>{0}, "").empty());
}
