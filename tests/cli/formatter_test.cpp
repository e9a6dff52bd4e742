// Goal: times, sizes, durations and tables read well, and what a plugin wrote cannot leave its line.
#include <catch2/catch.hpp>
#include <sstream>

#include "cli/event_text.h"
#include "cli/plain_text.h"
#include "cli/plugin_text.h"
#include "cli/table.h"

using namespace liongate;
using namespace liongate::cli;

namespace {

Context context_on(std::ostringstream& out, Colour colour = Colour::kNo) {
  return {out, out, "", "", OutputFormat::kTable, Terminal::kNo, colour, ""};
}

}  // namespace

TEST_CASE("durations are read with their units") {
  CHECK(parse_duration_ms("500ms") == 500);
  CHECK(parse_duration_ms("5s") == 5000);
  CHECK(parse_duration_ms("5") == 5000);
  CHECK(parse_duration_ms("1.5s") == 1500);
  CHECK(parse_duration_ms("2m") == 120'000);
  CHECK(parse_duration_ms("1h") == 3'600'000);
  CHECK(parse_duration_ms("1d") == 86'400'000);
  for (const char* text : {"", "s", "0s", "-5s", "5 s", "5x", "1e3s", "nan", "inf", "0.1ms", "999999999d", "5ss"}) {
    INFO(text);
    CHECK_FALSE(parse_duration_ms(text));
  }
}

TEST_CASE("times are RFC 3339, or a duration ago") {
  CHECK(parse_time("1970-01-01T00:01:00Z")->seconds() == 60);
  CHECK(parse_time("1970-01-01T01:00:00+01:00")->seconds() == 0);
  CHECK(parse_time("10m")->seconds() > 1'700'000'000);
  CHECK_FALSE(parse_time("yesterday"));
}

TEST_CASE("times are shown in UTC with milliseconds, unset ones not at all") {
  google::protobuf::Timestamp time;
  CHECK(time_text(time).empty());
  time.set_seconds(60);
  time.set_nanos(7'000'000);
  CHECK(time_text(time) == "1970-01-01 00:01:00.007");
}

TEST_CASE("sizes are shown in the unit that fits") {
  CHECK(bytes_text(0) == "0 B");
  CHECK(bytes_text(1023) == "1023 B");
  CHECK(bytes_text(1536) == "1.5 KiB");
  CHECK(bytes_text(64ULL * 1024 * 1024) == "64.0 MiB");
}

TEST_CASE("a line has no control characters, neither old nor new ones") {
  CHECK(one_line("a\nb\tc") == "a b c");
  CHECK(one_line("\033[31mred\x7F") == "?[31mred?");
  CHECK(one_line("a\xC2\x9B"
                 "b") == "a?b");
  CHECK(one_line("\xC3\xA9") == "\xC3\xA9");
}

TEST_CASE("a cut never splits a character") {
  CHECK(one_line("ab\xC3\xA9", 3) == "ab...");
  CHECK(one_line("abc", 3) == "abc");
}

TEST_CASE("a table is aligned by characters, not bytes, and its last column is not padded") {
  std::ostringstream out;
  Context context = context_on(out);
  Table table({"A", "B", "C"});
  table.add({"\xC3\xA9\xC3\xA9\xC3\xA9", "x", "y"});
  table.add({"1", "2", "3"});
  table.flush(context);
  CHECK(out.str() == "A    B  C\n\xC3\xA9\xC3\xA9\xC3\xA9  x  y\n1    2  3\n");
}

TEST_CASE("colour is there only where it is wanted, and does not disturb the columns") {
  std::ostringstream out;
  Context context = context_on(out, Colour::kYes);
  Table table({"STATE", "X"});
  table.add({"running", "1"});
  table.add({"failed", "2"});
  table.flush(context);
  CHECK(out.str() == "STATE    X\n\033[32mrunning\033[0m  1\n\033[31mfailed\033[0m   2\n");
}

TEST_CASE("a sheet leaves out what is empty") {
  std::ostringstream out;
  Context context = context_on(out);
  Sheet sheet;
  sheet.add("name", "hello");
  sheet.add("reason", "");
  sheet.add("version", "1");
  sheet.write(context);
  CHECK(out.str() == "name:     hello\nversion:  1\n");
}

TEST_CASE("states have their plain names") {
  CHECK(state_text(v1::PLUGIN_STATE_RUNNING) == "running");
  CHECK(state_text(static_cast<v1::PluginState>(42)) == "state 42");
}

TEST_CASE("an event's detail is the gist of its payload") {
  v1::Event event;
  event.mutable_plugin_invoked()->set_operation("greet");
  event.mutable_plugin_invoked()->mutable_input()->set_text("test");
  CHECK(event_detail(event) == "greet \"test\"");
  event.mutable_plugin_error()->set_reason("PLUGIN_CRASHED");
  event.mutable_plugin_error()->set_message("signal 9");
  CHECK(event_detail(event) == "PLUGIN_CRASHED: signal 9");
  v1::Content& output = *event.mutable_plugin_result()->mutable_output();
  output.set_size_bytes(2048);
  output.set_sha256("0123456789abcdef");
  CHECK(event_detail(event) == "2.0 KiB, sha256 0123456789ab... in 0.00 ms");
}

TEST_CASE("an observer's cursor, lag and settings are shown where plugins are") {
  v1::Plugin plugin;
  plugin.set_name("watcher");
  plugin.mutable_manifest()->set_role("observer");
  plugin.mutable_manifest()->mutable_observer()->add_types("PluginError");
  plugin.mutable_manifest()->mutable_observer()->set_plugin("hello");
  plugin.mutable_observer()->set_cursor_seq(40);
  plugin.mutable_observer()->set_lag_events(2);
  plugin.mutable_observer()->set_events_sent(9);
  plugin.mutable_observer()->set_startup_error("on_startup: no database");
  plugin.mutable_observer()->set_listed_in("/etc/liongate/plugins.yaml");
  std::ostringstream one;
  Context context = context_on(one);
  print_plugin(context, plugin);
  for (const char* text : {"PluginError of plugin hello", "event 40, 2 behind", "9 sent, 0 acknowledged, 0 missed",
                           "on_startup: no database", "/etc/liongate/plugins.yaml"}) {
    INFO(one.str());
    CHECK(one.str().find(text) != std::string::npos);
  }
  google::protobuf::RepeatedPtrField<v1::Plugin> all;
  *all.Add() = plugin;
  all.Add()->set_name("hello");
  std::ostringstream list;
  Context listing = context_on(list);
  print_plugins(listing, all);
  CHECK(list.str().find("observer") != std::string::npos);
  CHECK(list.str().find("callable") != std::string::npos);
}

TEST_CASE("what a plugin says of its health in several lines is a page, each line by itself") {
  v1::GetPluginHealthResponse health;
  health.set_healthy(true);
  health.set_detail("2 plugins\nPLUGIN CALLS\nhello 3\x1b[31m\n");
  std::ostringstream out;
  Context context = context_on(out);
  print_health(context, health);
  CHECK(out.str().find("2 plugins\n") != std::string::npos);
  CHECK(out.str().ends_with("\nPLUGIN CALLS\nhello 3?[31m\n"));
}

TEST_CASE("what concerns observers is told in words") {
  v1::Event event;
  event.mutable_observer_gap()->set_first_missing_seq(3);
  event.mutable_observer_gap()->set_last_missing_seq(5);
  event.mutable_observer_gap()->set_count(3);
  CHECK(event_detail(event) == "3 events, 3 to 5, were removed before it came to them");
  event.mutable_plugins_file_read()->set_path("/p.yaml");
  event.mutable_plugins_file_read()->add_added("a");
  CHECK(event_detail(event) == "/p.yaml: 1 added, 0 changed, 0 removed");
  event.mutable_plugins_file_read()->set_error("/p.yaml:1: bad");
  CHECK(event_detail(event) == "/p.yaml is refused: /p.yaml:1: bad");
  event.mutable_observer_cursor_reset()->set_message("the cursor is beyond the end of the log");
  event.mutable_observer_cursor_reset()->set_start_seq(1);
  CHECK(event_detail(event) == "the cursor is beyond the end of the log; it begins with event 1");
}
