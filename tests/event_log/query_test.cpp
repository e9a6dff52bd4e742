// Goal: a query finds exactly what a reader of everything would, in each segment, sealed or not, and reads little where
// the footers rule out much. Method: logs of many segments, each filter held against a walk over all events.
#include <thread>

#include "kernel/event_log/event_fields.h"
#include "kernel/event_log/format.h"
#include "kernel/event_log/query.h"
#include "kernel/event_log/storage.h"
#include "tests/event_log/log_fixture.h"

using namespace liongate;
using namespace liongate::event_log;

namespace {

constexpr std::uint64_t kQuerySegmentBytes = 1024 * 1024;
constexpr EventSeq kQueriedEvents = 30'000;  // several segments of several blocks

// Five plugins by turns; one seldom; texts that differ; a caller that shows up once.
v1::Event varied_event(EventSeq number) {
  v1::Event event = make_event(number);
  event.set_plugin_name("plugin-" + std::to_string(number / 1000 % 5));
  event.set_plugin_id("id-" + std::to_string(number / 1000 % 5));
  event.set_correlation_id("call-" + std::to_string(number / 2));
  if (number % 2 == 1) {
    event.set_type("PluginResult");
    event.mutable_plugin_result()->mutable_output()->set_text("output " + std::to_string(number));
    event.mutable_plugin_result()->set_execution_id("execution-" + std::to_string(number));
  }
  if (number == 12'345) event.set_actor("uid:4711");
  if (number == 20'000) {
    event.set_type("PluginError");
    event.mutable_plugin_error()->set_message("the needle broke");
  }
  return event;
}

struct VariedLog {
  TemporaryFolder folder{Medium::kMemory};
  LivingLog living{{.folder = folder.path, .segment_bytes = kQuerySegmentBytes}};

  explicit VariedLog(EventSeq events = kQueriedEvents) {
    for (EventSeq i = 1; i <= events; ++i) {
      v1::Event event = varied_event(i);
      const SyncClass sync = i % 512 == 0 || i == events ? SyncClass::kNow : SyncClass::kEventually;
      while (!living.log->append(event, sync, RecordUse::kNewWork)) std::this_thread::yield();
    }
    REQUIRE(living.durable.wait(events));
  }
};

struct Outcome {
  std::vector<EventSeq> seqs;
  QueryCost cost;
};

Outcome ask(EventLog& log, const Filter& filter) {
  Outcome outcome;
  const auto query = log.query(filter).value();
  for (;;) {
    query->begin_slice();
    EventQuery::Found found;
    EventQuery::Step step = query->next(found).value();
    for (; step == EventQuery::Step::kEvent; step = query->next(found).value()) {
      v1::Event event;
      REQUIRE(event.ParseFromArray(found.bytes.data(), static_cast<int>(found.bytes.size())));
      CHECK(event.seq() == found.seq);
      outcome.seqs.push_back(found.seq);
    }
    if (step == EventQuery::Step::kEnd) break;
  }
  outcome.cost = query->cost();
  return outcome;
}

// The same by looking at everything.
std::vector<EventSeq> walk(EventLog& log, const Filter& filter) {
  std::vector<EventSeq> seqs;
  const auto reader = log.read(0).value();
  v1::Event event;
  while (reader->next(event).value()) {
    const std::string bytes = event.SerializeAsString();
    EventFields fields;
    REQUIRE(read_fields(bytes, fields));
    const std::int64_t time_ns = event.time().seconds() * 1'000'000'000 + event.time().nanos();
    if (!filter.matches(event.seq(), time_ns, fields)) continue;
    if (!filter.text.empty() && !payload_has_text(event, filter.text)) continue;
    seqs.push_back(event.seq());
  }
  return seqs;
}

std::int64_t time_of(EventLog& log, EventSeq seq) {
  const auto reader = log.read(seq - 1).value();
  v1::Event event;
  REQUIRE(reader->next(event).value());
  return event.time().seconds() * 1'000'000'000 + event.time().nanos();
}

}  // namespace

TEST_CASE("each filter finds what a walk over everything finds, and counts it") {
  VariedLog varied;
  EventLog& log = *varied.living.log;
  REQUIRE(segments_in(varied.folder.path).size() > 4);
  const std::int64_t middle = time_of(log, 14'000);
  const std::int64_t later = time_of(log, 15'000);
  const std::vector<Filter> filters = {
      {},
      {.after_seq = 12'000},
      {.plugin = "plugin-3"},
      {.plugin = "id-3", .types = {"PluginResult", "PluginError"}},
      {.types = {"PluginError"}},
      {.correlation_id = "call-9000"},
      {.correlation_id = "call-9000", .actor = "nobody"},
      {.actor = "uid:4711"},
      {.text = "needle"},
      {.text = "output 2999"},
      {.plugin = "plugin-1", .text = "1.1"},
      {.text = "no such text anywhere"},
      {.since_ns = middle},
      {.since_ns = middle, .until_ns = later},
      {.plugin = "nobody"},
      {.after_seq = kQueriedEvents},
  };
  for (std::size_t i = 0; i < filters.size(); ++i) {
    INFO("filter " << i);
    const std::vector<EventSeq> expected = walk(log, filters[i]);
    CHECK(ask(log, filters[i]).seqs == expected);
    const Summary summary = summarize(*log.query(filters[i]).value()).value();
    CHECK(summary.total == expected.size());
    CHECK(summary.first_seq == (expected.empty() ? 0 : expected.front()));
    CHECK(summary.last_seq == (expected.empty() ? 0 : expected.back()));
    std::uint64_t by_type = 0;
    for (const auto& [type, count] : summary.counts_by_type) by_type += count;
    CHECK(by_type == expected.size());
  }
}

TEST_CASE("a selective query over sealed segments reads a small part of them") {
  VariedLog varied;
  REQUIRE(varied.living.log->close().has_value());
  LivingLog again({.folder = varied.folder.path, .segment_bytes = kQuerySegmentBytes});
  const Filter filter = GENERATE(Filter{.types = {"PluginError"}}, Filter{.correlation_id = "call-9000"},
                                 Filter{.actor = "uid:4711"}, Filter{.text = "needle broke"});
  const Outcome outcome = ask(*again.log, filter);
  CHECK(!outcome.seqs.empty());
  CHECK(outcome.cost.log_bytes > 4'000'000);
  CHECK(outcome.cost.read_bytes < outcome.cost.log_bytes / 10);
  CHECK(outcome.cost.segments_skipped >= outcome.cost.segments - 2);
  CHECK(outcome.cost.events_seen < 2000);
}

TEST_CASE("a summary of sealed segments reads footers alone") {
  VariedLog varied;
  REQUIRE(varied.living.log->close().has_value());
  LivingLog again({.folder = varied.folder.path, .segment_bytes = kQuerySegmentBytes});
  const auto query = again.log->query({.plugin = "plugin-2"}).value();
  CHECK(summarize(*query)->total == 6000);
  CHECK(query->cost().events_seen == 0);
  CHECK(query->cost().read_bytes < query->cost().log_bytes / 50);
}

TEST_CASE("a query that is at the end goes on when there is more, over the end of a segment too") {
  VariedLog varied(100);
  EventLog& log = *varied.living.log;
  const auto query = log.query({.types = {"PluginError"}}).value();
  EventQuery::Found found;
  CHECK(query->next(found).value() == EventQuery::Step::kEnd);
  CHECK(query->position() == 100);
  for (EventSeq i = 101; i <= 20'000; ++i) {
    v1::Event event = varied_event(i);
    while (!log.append(event, i == 20'000 ? SyncClass::kNow : SyncClass::kEventually, RecordUse::kNewWork)) {
      std::this_thread::yield();
    }
  }
  REQUIRE(varied.living.durable.wait(20'000));
  EventQuery::Step step = EventQuery::Step::kPause;
  while (step == EventQuery::Step::kPause) {
    query->begin_slice();
    step = query->next(found).value();
  }
  CHECK(step == EventQuery::Step::kEvent);
  CHECK(found.seq == 20'000);
}

TEST_CASE("what retention took before a query came to it is a gap, told once and exactly") {
  const TemporaryFolder folder(Medium::kMemory);
  LivingLog living({.folder = folder.path, .segment_bytes = 16 * 1024, .retention_bytes_max = 64 * 1024});
  living.append_durable(10);
  const auto query = living.log->query({.after_seq = 5}).value();
  const auto from_the_beginning = living.log->query({}).value();
  living.append_durable(2000);
  const EventSeq oldest = *parse_segment_name(segments_in(folder.path).front());
  REQUIRE(oldest > 6);
  EventQuery::Found found;
  REQUIRE(query->next(found).value() == EventQuery::Step::kGap);
  CHECK(found.gap.first_missing == 6);
  CHECK(found.gap.last_missing == oldest - 1);
  REQUIRE(query->next(found).value() == EventQuery::Step::kEvent);
  CHECK(found.seq == oldest);
  // Who asks for all there is misses nothing.
  REQUIRE(from_the_beginning->next(found).value() == EventQuery::Step::kEvent);
  CHECK(found.seq == oldest);
}

TEST_CASE("a slice ends in the middle of a long search, and the search goes on") {
  VariedLog varied;
  const auto query = varied.living.log->query({.text = "xx"}).value();  // too short for any footer
  EventQuery::Found found;
  query->begin_slice();
  CHECK(query->next(found).value() == EventQuery::Step::kPause);
  CHECK(query->position() > 0);
  CHECK(query->position() < kQueriedEvents);
  EventQuery::Step step = EventQuery::Step::kPause;
  while (step == EventQuery::Step::kPause) {
    query->begin_slice();
    step = query->next(found).value();
  }
  CHECK(step == EventQuery::Step::kEnd);
  CHECK(query->position() == kQueriedEvents);
}

TEST_CASE("filters that cannot be meant are refused, with what is wrong") {
  VariedLog varied(10);
  EventLog& log = *varied.living.log;
  const auto refused = [&](const Filter& filter) {
    const auto query = log.query(filter);
    REQUIRE_FALSE(query.has_value());
    CHECK(query.error().reason == Reason::kInvalidArgument);
    return query.error().message;
  };
  CHECK(log.query({.after_seq = 10}).has_value());
  CHECK(refused({.after_seq = 11}).find("beyond the end of the log, whose last event is 10") != std::string::npos);
  CHECK(refused({.since_ns = 2, .until_ns = 1}).find("later than until") != std::string::npos);
  CHECK(log.query({.text = std::string(limits::kFilterTextBytesMax, 'x')}).has_value());
  CHECK(refused({.text = std::string(limits::kFilterTextBytesMax + 1, 'x')}).find("bound") != std::string::npos);
  CHECK(log.query({.types = std::vector<std::string>(limits::kFilterTypesMax, "A")}).has_value());
  CHECK(refused({.types = std::vector<std::string>(limits::kFilterTypesMax + 1, "A")}).find("bound") !=
        std::string::npos);
}

TEST_CASE("a query sees what was appended before it, though nobody waited for the disk") {
  VariedLog varied(10);
  varied.living.append(SyncClass::kEventually);
  CHECK(ask(*varied.living.log, {.after_seq = 10}).seqs == std::vector<EventSeq>{11});
  CHECK(varied.living.log->durable_seq() == 11);
}

TEST_CASE("the text of an event is that of its payload: no id, no figure") {
  v1::Event event = varied_event(1);
  event.mutable_plugin_result()->mutable_metadata()->insert({"colour", "green"});
  event.mutable_plugin_result()->add_warnings("slow");
  CHECK(payload_has_text(event, "output 1"));
  CHECK(payload_has_text(event, "green"));
  CHECK(payload_has_text(event, "slow"));
  CHECK_FALSE(payload_has_text(event, "execution-1"));
  CHECK_FALSE(payload_has_text(event, "plugin-0"));
  CHECK_FALSE(payload_has_text(event, "greenslow"));
}

TEST_CASE("reading the fields of any bytes ends, and a walk tells a broken message") {
  EventFields fields;
  const std::string whole = varied_event(1).SerializeAsString();
  for (std::size_t cut = 0; cut <= whole.size(); ++cut) (void)read_fields(whole.substr(0, cut), fields);
  REQUIRE(read_fields(whole, fields));
  CHECK(fields.type == "PluginResult");
  CHECK(fields.plugin_id == "id-0");
  CHECK(fields.plugin_name == "plugin-0");
  CHECK(fields.correlation_id == "call-0");
  CHECK(fields.actor == "uid:1000");
  CHECK(fields.payload_field == v1::Event::kPluginResultFieldNumber);
  CHECK_FALSE(read_fields("\xFF\xFF\xFF", fields));
  CHECK_FALSE(read_fields(std::string("\x1A\x7F", 2), fields));
}
