// Goal: UUIDs have the standard's form and do not repeat.
#include "kernel/base/ids.h"

#include <catch2/catch.hpp>
#include <set>

using namespace liongate;

TEST_CASE("a new UUID is a version 4 UUID") {
  const std::string id = new_uuid();
  CHECK(is_uuid(id));
  CHECK(id[14] == '4');
  CHECK(std::string("89ab").find(id[19]) != std::string::npos);
}

TEST_CASE("UUIDs do not repeat") {
  std::set<std::string> seen;
  for (int i = 0; i < 1000; ++i) seen.insert(new_uuid());
  CHECK(seen.size() == 1000);
}

TEST_CASE("what is not a UUID is told apart") {
  CHECK_FALSE(is_uuid(""));
  CHECK_FALSE(is_uuid("hello"));
  CHECK_FALSE(is_uuid("00000000-0000-0000-0000-00000000000g"));
  CHECK_FALSE(is_uuid("00000000x0000-0000-0000-000000000000"));
}
