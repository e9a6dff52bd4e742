// Goal: what a plugin prints is kept within its ring, every loss is counted, and lines do not depend on how bytes came.
#include "kernel/supervision/plugin_log.h"

#include <catch2/catch.hpp>
#include <memory>
#include <vector>

using namespace liongate;
using supervision::LineSplitter;
using supervision::LogLine;
using supervision::PluginLog;

namespace {

std::size_t bytes_kept(const PluginLog& log) {
  std::size_t bytes = 0;
  for (const LogLine& line : log.lines()) bytes += line.text.size();
  return bytes;
}

std::uint64_t lines_lost(const PluginLog& log) {
  std::uint64_t lost = 0;
  for (const LogLine& line : log.lines()) lost += line.dropped_before;
  return lost;
}

// The lines of `pieces`, given one after the other.
std::vector<std::string> split(const std::vector<std::string>& pieces) {
  LineSplitter splitter;
  std::vector<std::string> lines;
  const auto take = [&](std::string_view line) { lines.emplace_back(line); };
  for (const std::string& piece : pieces) splitter.feed(piece, take);
  splitter.finish(take);
  return lines;
}

}  // namespace

TEST_CASE("a line is kept with where it came from") {
  const SystemClock clock;
  PluginLog log(clock);
  log.add("log", "warning", "low on ink", "call-1");
  REQUIRE(log.lines().size() == 1);
  CHECK(log.lines()[0].source == "log");
  CHECK(log.lines()[0].level == "warning");
  CHECK(log.lines()[0].text == "low on ink");
  CHECK(log.lines()[0].execution_id == "call-1");
  CHECK(log.lines()[0].wall_ns > 0);
}

TEST_CASE("a line over the bound is cut") {
  const SystemClock clock;
  PluginLog log(clock);
  log.add("log", "", std::string(limits::kPluginLogLineBytesMax + 1, 'x'), "");
  CHECK(log.lines()[0].text.size() == limits::kPluginLogLineBytesMax);
}

TEST_CASE("the ring stays below its bound and keeps the newest") {
  const SystemClock clock;
  PluginLog log(clock);
  for (int i = 0; i < 1000; ++i) log.add("stdout", "", std::to_string(i) + std::string(4000, '.'), "");
  CHECK(bytes_kept(log) <= limits::kPluginLogBytesMax);
  CHECK(bytes_kept(log) > limits::kPluginLogBytesMax / 2);
  CHECK(log.lines().back().text.starts_with("999."));
}

TEST_CASE("a flood of empty lines is bounded too") {
  const SystemClock clock;
  PluginLog log(clock);
  for (int i = 0; i < 100'000; ++i) log.add("stdout", "", "", "");
  CHECK(log.lines().size() < 20'000);
}

TEST_CASE("every line is either kept or counted as dropped before one that is") {
  const SystemClock clock;
  PluginLog log(clock);
  for (std::uint64_t added = 1; added <= 3000; ++added) {
    log.add("stdout", "", std::string(added % 7 * 1000, 'x'), "");
    if (added % 500 == 0) CHECK(log.lines().size() + lines_lost(log) == added);
  }
  CHECK(log.lines().front().dropped_before > 0);
}

TEST_CASE("a follower hears each new line until it gives its token back") {
  const SystemClock clock;
  PluginLog log(clock);
  log.add("stdout", "", "before", "");
  std::vector<std::string> heard;
  const std::uint64_t token = log.follow([&](const LogLine* line) { heard.push_back(line->text); }).value();
  CHECK(token != 0);
  log.add("stdout", "", "one", "");
  log.add("stdout", "", "two", "");
  log.unfollow(token);
  log.add("stdout", "", "after", "");
  CHECK(heard == std::vector<std::string>{"one", "two"});
}

TEST_CASE("followers have tokens of their own") {
  const SystemClock clock;
  PluginLog log(clock);
  int first = 0;
  int second = 0;
  const std::uint64_t token = log.follow([&](const LogLine*) { ++first; }).value();
  const std::uint64_t other = log.follow([&](const LogLine*) { ++second; }).value();
  CHECK(other != token);
  log.unfollow(token);
  log.add("stdout", "", "x", "");
  log.unfollow(other);
  CHECK(first == 0);
  CHECK(second == 1);
}

TEST_CASE("a follower may unfollow itself while it is called, and goes on undisturbed") {
  const SystemClock clock;
  PluginLog log(clock);
  std::uint64_t token = 0;
  std::vector<std::string> heard;
  // Long enough to live on the heap: a function that is destroyed while it runs shows under the address sanitizer.
  const std::string mark = "a text that no small string optimisation holds";
  const auto follower = [&log, &token, &heard, mark](const LogLine* line) {
    log.unfollow(token);
    heard.push_back(mark + line->text);
  };
  token = log.follow(follower).value();
  int others = 0;
  const std::uint64_t other = log.follow([&](const LogLine*) { ++others; }).value();
  log.add("stdout", "", "one", "");
  log.add("stdout", "", "two", "");
  log.unfollow(other);
  CHECK(heard == std::vector<std::string>{mark + "one"});
  CHECK(others == 2);
}

TEST_CASE("a plugin's output is followed by no more than so many") {
  const SystemClock clock;
  PluginLog log(clock);
  std::vector<std::uint64_t> tokens;
  while (tokens.size() < limits::kLogFollowersPerPluginMax) {
    tokens.push_back(log.follow([](const LogLine*) {}).value());
  }
  const auto refused = log.follow([](const LogLine*) {});
  REQUIRE_FALSE(refused);
  CHECK(refused.error().reason == Reason::kQueueFull);
  log.unfollow(tokens.front());
  CHECK(log.follow([](const LogLine*) {}));
}

TEST_CASE("a follower is told once that there will be no more lines") {
  const SystemClock clock;
  auto log = std::make_unique<PluginLog>(clock);
  int ends = 0;
  REQUIRE(log->follow([&](const LogLine* line) { ends += line == nullptr ? 1 : 0; }));
  log->add("stdout", "", "one", "");
  CHECK(ends == 0);
  log.reset();
  CHECK(ends == 1);
}

TEST_CASE("the tail is the last whole lines that fit") {
  const SystemClock clock;
  PluginLog log(clock);
  CHECK(log.tail(100).empty());
  log.add("stderr", "", "first", "");
  log.add("stderr", "", "second", "");
  log.add("stderr", "", "third", "");
  CHECK(log.tail(100) == "first\nsecond\nthird");
  CHECK(log.tail(13) == "second\nthird");
  CHECK(log.tail(12).size() <= 12);
}

TEST_CASE("lines end at the line end; what is left is given at the finish") {
  CHECK(split({"one\ntwo\n"}) == std::vector<std::string>{"one", "two"});
  CHECK(split({"one\ntw", "o\nthree"}) == std::vector<std::string>{"one", "two", "three"});
  CHECK(split({"\n\n"}) == std::vector<std::string>{"", ""});
  CHECK(split({""}).empty());
}

TEST_CASE("a line over the bound comes in pieces, and nothing of it is lost") {
  const std::string line = std::string(limits::kPluginLogLineBytesMax, 'a') + std::string(10, 'b');
  CHECK(split({line + "\nnext\n"}) == std::vector<std::string>{line.substr(0, limits::kPluginLogLineBytesMax),
                                                               line.substr(limits::kPluginLogLineBytesMax), "next"});
}

TEST_CASE("lines are the same however the bytes are cut") {
  const std::string longest(limits::kPluginLogLineBytesMax, 'x');
  for (const std::string& text : {std::string("a\nbb\n\nccc"), longest + "\nend\n", longest + "y\nend"}) {
    const std::vector<std::string> whole = split({text});
    for (std::size_t cut = 0; cut <= text.size(); ++cut) {
      if (split({text.substr(0, cut), text.substr(cut)}) != whole) {
        FAIL_CHECK("a text of " << text.size() << " bytes cut at " << cut << " gives other lines");
        break;
      }
    }
  }
}

TEST_CASE("a line that was cut takes no more memory than what is kept of it") {
  const SystemClock clock;
  for (const bool hides : {false, true}) {
    PluginLog log(clock, hides ? [](std::string text) { return text; } : PluginLog::Hide());
    log.add("log", "info", std::string(1 << 20, 'x'), "");
    CHECK(log.lines().back().text.size() == limits::kPluginLogLineBytesMax);
    CHECK(log.lines().back().text.capacity() <= 2 * limits::kPluginLogLineBytesMax);
  }
}
