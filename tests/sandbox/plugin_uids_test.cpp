// Goal: no two living sandboxes share a user; the range is read exactly.
#include "sandbox/plugin_uids.h"

#include <catch2/catch.hpp>
#include <set>

using namespace liongate::sandbox;

TEST_CASE("ids are handed out once each and come back") {
  PluginUids uids({100, 103});
  std::set<uid_t> taken;
  for (int count = 0; count < 4; ++count) taken.insert(uids.take().value());
  CHECK(taken == std::set<uid_t>{100, 101, 102, 103});
  CHECK_FALSE(uids.take().has_value());
  uids.give_back(102);
  CHECK(uids.take() == 102U);
}

TEST_CASE("an id just returned is not the next one given") {
  PluginUids uids({100, 103});
  const uid_t first = uids.take().value();
  uids.give_back(first);
  CHECK(uids.take() != first);
}

TEST_CASE("a range is FIRST-LAST, without root, not empty, not endless") {
  CHECK(parse_uid_range("5-9")->last == 9);
  for (const char* text : {"", "5", "-", "5-", "-9", "9-5", "0-5", "a-b", "5-9x", "1-4294967295", "5--9", " 5-9"}) {
    INFO(text);
    CHECK_FALSE(parse_uid_range(text).has_value());
  }
}
