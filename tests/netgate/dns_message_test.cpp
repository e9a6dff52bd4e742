// Goal: one question in, one answer out; everything else is no question.
#include "netgate/dns_message.h"

#include <catch2/catch.hpp>
#include <string_view>

using namespace liongate::netgate;

namespace {

std::vector<std::byte> bytes(std::string_view text) {
  const auto* begin = reinterpret_cast<const std::byte*>(text.data());
  return {begin, begin + text.size()};
}

std::string header(const char* counts = "\0\1\0\0\0\0\0\0") {
  return std::string("\x12\x34\x01\x00", 4) + std::string(counts, 8);
}

std::vector<std::byte> question(const std::string& name, char type) {
  return bytes(header() + name + std::string("\0\0", 1) + '\0' + type + std::string("\0\1", 2));
}

const std::string kName("\7Example\3org", 12);

}  // namespace

TEST_CASE("a question is read, and its spelling kept") {
  const auto read = read_question(question(kName, 1));
  REQUIRE(read);
  CHECK(read->id == 0x1234);
  CHECK(read->recursion_desired);
  CHECK(read->name == "Example.org");
  CHECK(read->type == 1);
}

TEST_CASE("an answer repeats the question and holds one address of its kind") {
  const auto asked = *read_question(question(kName, 1));
  const auto answer = make_answer(asked, AnswerCode::kNoError, boost::asio::ip::make_address("198.18.0.16"));
  CHECK(answer.size() == 12 + asked.question.size() + 16);
  CHECK(std::vector(answer.end() - 4, answer.end()) == bytes(std::string("\xc6\x12\x00\x10", 4)));
  CHECK(std::to_integer<int>(answer[7]) == 1);
  const auto six = make_answer(asked, AnswerCode::kNoError, boost::asio::ip::make_address("fd6c::1"));
  CHECK(six.size() == 12 + asked.question.size());  // nobody asked for it
}

TEST_CASE("an error has no record") {
  const auto asked = *read_question(question(kName, 28));
  const auto answer = make_answer(asked, AnswerCode::kNameError, std::nullopt);
  CHECK((std::to_integer<int>(answer[3]) & 0xf) == 3);
  CHECK(std::to_integer<int>(answer[7]) == 0);
}

TEST_CASE("every cut of a question is none") {
  const auto whole = question(kName, 1);
  for (std::size_t size = 0; size < whole.size(); ++size) {
    CHECK_FALSE(read_question(std::span(whole).first(size)).has_value());
  }
}

TEST_CASE("what is no question of ours") {
  CHECK_FALSE(read_question(question("\xc0\x0c", 1)));                                 // a pointer
  CHECK_FALSE(read_question(question(std::string("\3a.b", 4), 1)));                    // a dot within a label
  CHECK_FALSE(read_question(bytes(header("\0\2\0\0\0\0\0\0") + std::string(16, 0))));  // two questions
  auto answer = question(kName, 1);
  answer[2] |= std::byte{0x80};
  CHECK_FALSE(read_question(answer));
  auto other_class = question(kName, 1);
  other_class.back() = std::byte{3};
  CHECK_FALSE(read_question(other_class));
  std::string long_name;
  for (int i = 0; i < 30; ++i)
    long_name += std::string(
        "\x0a"
        "abcdefghij",
        11);
  CHECK_FALSE(read_question(question(long_name, 1)));
}
