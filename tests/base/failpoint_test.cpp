// Goal: a failpoint is armed by its name and by nothing else, and kills at the reach it was told. Method: a child that
// reaches it.
#include "kernel/base/failpoint.h"

#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <set>
#include <string>

using namespace liongate;

namespace {

// How often a child that armed `text` passed the place before it died; -1 where it lived.
int passes_before_death(const std::string& text) {
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  const pid_t child = ::fork();
  if (child == 0) {
    if (!failpoint::arm(text)) ::_exit(1);
    for (int i = 0; i < 10; ++i) {
      failpoint::reach(failpoint::Point::kLogBeforeWrite);
      failpoint::reach(failpoint::Point::kLogAfterWrite);
      if (::write(ends[1], "x", 1) != 1) ::_exit(1);
    }
    ::_exit(0);
  }
  ::close(ends[1]);
  char bytes[16];
  int passes = 0;
  for (ssize_t got = 0; (got = ::read(ends[0], bytes, sizeof bytes)) > 0;) passes += static_cast<int>(got);
  ::close(ends[0]);
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  return WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL ? passes : -1;
}

}  // namespace

TEST_CASE("an armed failpoint kills the process at the reach it was told") {
  CHECK(passes_before_death("log.after_write:crash") == 0);
  CHECK(passes_before_death("log.after_write:crash:4") == 3);
  CHECK(passes_before_death("log.after_write:crash:11") == -1);
  CHECK(passes_before_death("log.sealed:crash") == -1);
}

TEST_CASE("an armed failpoint throws, where that was asked for") {
  REQUIRE(failpoint::arm("log.before_seal:throw:2"));
  failpoint::reach(failpoint::Point::kLogBeforeSeal);
  CHECK_THROWS_AS(failpoint::reach(failpoint::Point::kLogBeforeSeal), std::runtime_error);
  failpoint::reach(failpoint::Point::kLogBeforeSeal);
}

TEST_CASE("what is no failpoint is refused with the way to the names") {
  for (const char* text : {"", "log.after_write", "log.after_write:", "log.nowhere:crash", "log.after_write:hang",
                           "log.after_write:crash:", "log.after_write:crash:0", "log.after_write:crash:x",
                           "log.after_write:crash:1x", "log.after_write:crash1", "log.after_write:throw0"}) {
    const Result<void> armed = failpoint::arm(text);
    INFO(text);
    REQUIRE_FALSE(armed.has_value());
    CHECK(armed.error().reason == Reason::kInvalidConfig);
    CHECK(armed.error().hint.find("--list-failpoints") != std::string::npos);
  }
}

TEST_CASE("every failpoint has a name of its own") {
  std::set<std::string_view> names;
  std::set<failpoint::Point> points;
  for (const failpoint::Name& name : failpoint::kNames) {
    names.insert(name.text);
    points.insert(name.point);
  }
  CHECK(names.size() == failpoint::kNames.size());
  CHECK(points.size() == failpoint::kNames.size());
  CHECK(static_cast<std::size_t>(*points.rbegin()) == failpoint::kNames.size());
}
