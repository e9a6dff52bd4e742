// Goal: LG_TRY and LG_ASSIGN leave at the first error and nowhere else.
#include "kernel/base/result.h"

#include <catch2/catch.hpp>
#include <memory>

using namespace liongate;

namespace {
Result<int> half(int number) {
  if (number % 2 != 0) return make_error(Reason::kInvalidArgument, "odd");
  return number / 2;
}
Result<int> quarter(int number) {
  LG_ASSIGN(const int first, half(number));
  LG_ASSIGN(const int second, half(first));
  return second;
}
Result<void> both_halves(int a, int b) {
  LG_TRY(half(a));
  LG_TRY(half(b));
  return {};
}
}  // namespace

TEST_CASE("a value passes through LG_ASSIGN") {
  CHECK(*quarter(12) == 3);
}

TEST_CASE("the first error leaves the function") {
  CHECK(quarter(6).error().message == "odd");
  CHECK_FALSE(both_halves(2, 3).has_value());
  CHECK(both_halves(2, 4).has_value());
}

TEST_CASE("a Result holds move-only values") {
  Result<std::unique_ptr<int>> result = std::make_unique<int>(7);
  const std::unique_ptr<int> taken = std::move(result).value();
  CHECK(*taken == 7);
}
