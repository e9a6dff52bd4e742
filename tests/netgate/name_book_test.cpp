// Goal: a name has one address of each family for good, an address stands for one name, and both are bounded.
#include "netgate/name_book.h"

#include <catch2/catch.hpp>

using namespace liongate::netgate;

TEST_CASE("names get addresses of their own and keep them") {
  NameBook book;
  const auto first = book.enter("a.example");
  const auto second = book.enter("b.example");
  REQUIRE(first);
  REQUIRE(second);
  CHECK(*first != *second);
  CHECK(book.enter("a.example") == first);
  REQUIRE(book.name_at(NameBook::ipv4_of(*first)) != nullptr);
  CHECK(*book.name_at(NameBook::ipv4_of(*first)) == "a.example");
  CHECK(*book.name_at(NameBook::ipv6_of(*second)) == "b.example");
}

TEST_CASE("an address that no name has stands for nothing, and is still ours") {
  NameBook book;
  book.enter("a.example");
  CHECK(book.name_at(NameBook::ipv4_of(200)) == nullptr);
  CHECK(book.name_at(NameBook::dns_address()) == nullptr);
  CHECK(NameBook::is_ours(NameBook::ipv6_of(200)));
  CHECK(NameBook::is_ours(NameBook::dns_address()));
  CHECK_FALSE(NameBook::is_ours(boost::asio::ip::make_address("198.20.0.1")));
  CHECK_FALSE(NameBook::is_ours(boost::asio::ip::make_address("fd6c:696f:6e68::1")));
}

TEST_CASE("names are bounded") {
  NameBook book;
  for (std::size_t number = 0; number < kNamesMax; ++number) {
    REQUIRE(book.enter("n" + std::to_string(number) + ".example"));
  }
  CHECK_FALSE(book.enter("one-more.example"));
  CHECK(book.enter("n0.example"));
}

TEST_CASE("a place is kept for a name that was entered, with so many addresses, and goes when there are none") {
  NameBook book;
  const std::vector<Address> many(kAddressesMax + 10, NameBook::dns_address());
  book.set_place("a.example", {many, {}});
  CHECK(book.place("a.example") == nullptr);
  book.enter("a.example");
  book.set_place("a.example", {many, {}});
  REQUIRE(book.place("a.example") != nullptr);
  CHECK(book.place("a.example")->addresses.size() == kAddressesMax);
  book.set_place("a.example", {});
  CHECK(book.place("a.example") == nullptr);
}
