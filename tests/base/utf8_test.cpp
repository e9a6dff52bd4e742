// Goal: well-formed UTF-8 (Unicode standard, table 3-7) is told from all else, and anything can be made printable.
#include "kernel/base/utf8.h"

#include <catch2/catch.hpp>

using namespace liongate;

namespace {

const std::string kReplacement = "\xEF\xBF\xBD";

}  // namespace

TEST_CASE("text of every length of sequence is UTF-8") {
  CHECK(is_utf8(""));
  CHECK(is_utf8("plain"));
  CHECK(is_utf8("gr\xC3\xBC\xC3\x9F"));
  CHECK(is_utf8("\xE2\x82\xAC"));
  CHECK(is_utf8("\xF0\x9F\xA6\x81"));
  CHECK(is_utf8(std::string_view("a\0b", 3)));
}

TEST_CASE("the ends of each range are UTF-8, their neighbours are not") {
  CHECK(is_utf8("\xC2\x80"));
  CHECK(is_utf8("\xE0\xA0\x80"));
  CHECK(is_utf8("\xED\x9F\xBF"));
  CHECK(is_utf8("\xEE\x80\x80"));
  CHECK(is_utf8("\xF0\x90\x80\x80"));
  CHECK(is_utf8("\xF4\x8F\xBF\xBF"));
  CHECK_FALSE(is_utf8("\xC1\xBF"));          // overlong
  CHECK_FALSE(is_utf8("\xE0\x9F\xBF"));      // overlong
  CHECK_FALSE(is_utf8("\xF0\x8F\xBF\xBF"));  // overlong
  CHECK_FALSE(is_utf8("\xED\xA0\x80"));      // a surrogate
  CHECK_FALSE(is_utf8("\xF4\x90\x80\x80"));  // above U+10FFFF
  CHECK_FALSE(is_utf8("\xF5\x80\x80\x80"));
}

TEST_CASE("cut and stray sequences are not UTF-8") {
  CHECK_FALSE(is_utf8("\xC3"));
  CHECK_FALSE(is_utf8("\xE2\x82"));
  CHECK_FALSE(is_utf8("\xF0\x9F\xA6"));
  CHECK_FALSE(is_utf8("\x80"));
  CHECK_FALSE(is_utf8("a\xFF"));
  CHECK_FALSE(is_utf8("\xC3\x28"));
}

TEST_CASE("what is UTF-8 stays as it is, every other byte is replaced") {
  CHECK(to_utf8("gr\xC3\xBCn") == "gr\xC3\xBCn");
  CHECK(to_utf8("a\xFF"
                "b") == "a" + kReplacement + "b");
  CHECK(to_utf8("\xE2\x82") == kReplacement + kReplacement);
  CHECK(to_utf8("\xC3\x28") == kReplacement + "(");
}

TEST_CASE("the result is UTF-8 for any two bytes") {
  for (int high = 0; high < 256; ++high) {
    for (int low = 0; low < 256; ++low) {
      const std::string bytes = {static_cast<char>(high), static_cast<char>(low)};
      if (!is_utf8(to_utf8(bytes))) FAIL_CHECK("bytes " << high << " " << low);
      if (is_utf8(bytes) && to_utf8(bytes) != bytes) FAIL_CHECK("bytes " << high << " " << low << " changed");
    }
  }
}
