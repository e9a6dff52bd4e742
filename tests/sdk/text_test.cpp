// What the wire's text fields may hold; the cases are the borders that RFC 3629 names.
#include "sdk/cpp/text.h"

#include <catch2/catch.hpp>
#include <string>

using liongate::plugin::as_utf8;
using liongate::plugin::is_utf8;

TEST_CASE("well-formed text") {
  const std::string text = GENERATE(as<std::string>{}, "", "plain ASCII, longer than eight bytes", "gr\xC3\xBC\xC3\x9F",
                                    "\xE2\x82\xAC", "\xED\x9F\xBF", "\xF0\x90\x80\x80", "\xF4\x8F\xBF\xBF");
  CHECK(is_utf8(text));
  CHECK(as_utf8(text) == text);
}

TEST_CASE("text that is not well-formed") {
  const std::string text = GENERATE(as<std::string>{}, "\x80", "\xC0\xAF", "\xC1\xBF", "\xE0\x9F\xBF", "\xED\xA0\x80",
                                    "\xF0\x8F\xBF\xBF", "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xFF", "cut \xE2\x82");
  CHECK_FALSE(is_utf8(text));
  CHECK(is_utf8(as_utf8(text)));
}

TEST_CASE("only what is wrong is replaced") {
  CHECK(as_utf8("a\xFFz") == "a?z");
  CHECK(as_utf8("\xC3\xBC\xC3") == "\xC3\xBC?");
}
