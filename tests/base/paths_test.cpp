// Goal: no path passes for one inside a folder because their names begin alike.
#include "kernel/base/paths.h"

#include <catch2/catch.hpp>

using namespace liongate;

TEST_CASE("what lies in a folder, at any depth, is inside it") {
  CHECK(is_inside("/a/b", "/a"));
  CHECK(is_inside("/a/b/c", "/a"));
  CHECK(is_inside("/a/b", "/a/"));
  CHECK(is_inside("/a", "/"));
}

TEST_CASE("a name that begins like the folder's is not inside it") {
  CHECK_FALSE(is_inside("/ab", "/a"));
  CHECK_FALSE(is_inside("/a", "/a/b"));
  CHECK_FALSE(is_inside("", "/a"));
}

TEST_CASE("a folder is not inside itself, but it is the same") {
  CHECK_FALSE(is_inside("/a", "/a"));
  CHECK_FALSE(is_inside("/a/", "/a"));
  CHECK_FALSE(is_inside("/", "/"));
  CHECK(is_same_or_inside("/a", "/a"));
  CHECK(is_same_or_inside("/", "/"));
  CHECK(is_same_or_inside("/a/b", "/a"));
  CHECK_FALSE(is_same_or_inside("/ab", "/a"));
}
