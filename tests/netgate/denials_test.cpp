// Goal: the first refusal of a kind waits for its record; repetitions do not, and are counted; kinds are bounded.
#include "netgate/denials.h"

#include <catch2/catch.hpp>

using namespace liongate;
using namespace liongate::netgate;

namespace {

struct Told {
  std::vector<v1::Refused> reports;
  Denials denials{[this](v1::Refused refused) { reports.push_back(std::move(refused)); }};
  int let_go = 0;
  void refuse(const std::string& host) {
    denials.refuse({"connect", host, 80, "no permission"}, [this] { ++let_go; });
  }
};

}  // namespace

TEST_CASE("whoever is refused first waits until it is recorded") {
  Told told;
  told.refuse("a.example");
  REQUIRE(told.reports.size() == 1);
  CHECK(told.reports[0].refusal_id() != 0);
  CHECK(told.let_go == 0);
  told.refuse("a.example");  // meanwhile, the same again
  CHECK(told.reports.size() == 1);
  CHECK(told.let_go == 0);
  told.denials.recorded(told.reports[0].refusal_id());
  CHECK(told.let_go == 2);
}

TEST_CASE("repetitions are answered at once and told as a count") {
  Told told;
  told.refuse("a.example");
  told.denials.recorded(told.reports[0].refusal_id());
  for (int i = 0; i < 5; ++i) told.refuse("a.example");
  CHECK(told.let_go == 6);
  CHECK(told.reports.size() == 1);
  CHECK(told.denials.has_counts());
  told.denials.flush(Denials::Clock::now(), true);
  REQUIRE(told.reports.size() == 2);
  CHECK(told.reports[1].count() == 5);
  CHECK(told.reports[1].refusal_id() == 0);
  CHECK_FALSE(told.denials.has_counts());
}

TEST_CASE("kinds beyond the bound share one") {
  Told told;
  for (std::size_t number = 0; number < kRefusalKindsMax + 20; ++number) told.refuse("n" + std::to_string(number));
  CHECK(told.reports.size() == kRefusalKindsMax + 1);
  CHECK(told.reports.back().host() == "other hosts");
}

TEST_CASE("what is dropped is let go of, and nobody is called") {
  Told told;
  told.refuse("a.example");
  const auto id = told.reports[0].refusal_id();
  told.denials.drop();
  told.denials.recorded(id);
  CHECK(told.let_go == 0);
}
