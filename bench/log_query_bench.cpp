// What selective queries and summaries of a large log cost: time, and how much of the log is read for them.
//
// Usage: bench_log_query FOLDER EVENTS        writes a log of EVENTS into FOLDER unless one is there, and measures it
// The log: calls of a hundred plugins by turns, two events a call with an id of its own; one call in a million is by
// somebody else, and one says "needle". Times are medians of runs with warm caches. FOLDER stays.

#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "bench/measurement.h"
#include "bench/sample_event.h"
#include "kernel/base/clock.h"
#include "kernel/event_log/event_log.h"
#include "kernel/event_log/query.h"

namespace liongate::bench {
namespace {

using event_log::EventQuery;
using event_log::Filter;

constexpr int kRounds = 5;
constexpr std::uint64_t kPlugins = 100;
constexpr std::uint64_t kCallsInTurn = 10'000;  // a plugin is called so often before the next has its turn
constexpr std::uint64_t kRare = 1'000'000;

template <typename T>
T must(Result<T> result) {
  if (!result) give_up("bench_log_query: " + result.error().message);
  return std::move(result).value();
}

v1::Event event_of(std::uint64_t number) {
  v1::Event event = sample_event(number);
  const std::uint64_t call = number / 2;
  const std::uint64_t plugin = call / kCallsInTurn % kPlugins;
  event.set_plugin_name("plugin-" + std::to_string(plugin));
  event.set_correlation_id("call-" + std::to_string(call));
  if (call % kRare == kRare / 2) event.set_actor("uid:4711");
  if (number == kRare / 2) event.mutable_plugin_invoked()->mutable_input()->set_text("a needle in the log");
  return event;
}

void write_log(const std::string& folder, std::uint64_t events) {
  const SystemClock clock;
  event_log::Options options;
  options.folder = folder;
  const auto log = must(event_log::EventLog::open(options, {}, clock));
  for (std::uint64_t number = 0; number < events;) {
    v1::Event event = event_of(number);
    const auto seq = log->append(event, event_log::SyncClass::kEventually, event_log::RecordUse::kNewWork);
    if (seq) {
      ++number;
    } else if (seq.error().reason == Reason::kQueueFull) {
      std::this_thread::yield();  // the writer is behind
    } else {
      give_up("bench_log_query: " + seq.error().message);
    }
  }
  if (!log->close()) give_up("bench_log_query: close");
}

using Figures = std::vector<std::pair<std::string, double>>;

// Walks over what matches; returns how much that is.
std::uint64_t find_all(EventQuery& query) {
  std::uint64_t found_count = 0;
  for (;;) {
    EventQuery::Found found;
    const EventQuery::Step step = must(query.next(found));
    if (step == EventQuery::Step::kEnd) return found_count;
    if (step == EventQuery::Step::kEvent) ++found_count;
    if (step == EventQuery::Step::kPause) query.begin_slice();
  }
}

enum class Way : std::uint8_t { kFind, kCount };

void measure(Figures& figures, const std::string& folder, const std::string& name, const Filter& filter, Way way) {
  Samples samples;
  std::uint64_t found = 0;
  event_log::QueryCost cost;
  for (int round = 0; round < kRounds; ++round) {
    const auto query = must(event_log::query_offline(folder, filter));
    const std::uint64_t begin = now_ns();
    found = way == Way::kCount ? must(event_log::summarize(*query)).total : find_all(*query);
    samples.add_ns(now_ns() - begin);
    cost = query->cost();
  }
  figures.emplace_back(name + "_ms", samples.percentile_us(0.5) / 1e3);
  figures.emplace_back(name + "_found", static_cast<double>(found));
  figures.emplace_back(name + "_read_bytes", static_cast<double>(cost.read_bytes));
  figures.emplace_back(name + "_read_percent",
                       100.0 * static_cast<double>(cost.read_bytes) / static_cast<double>(cost.log_bytes));
}

int run(int argc, char** argv) {
  if (argc != 3) give_up("usage: bench_log_query FOLDER EVENTS");
  const std::string folder = argv[1];
  const auto events = static_cast<std::uint64_t>(std::atoll(argv[2]));
  if (!std::filesystem::exists(folder)) write_log(folder, events);
  const std::string call = "call-" + std::to_string(events / 2 / 3);
  Figures figures;
  measure(figures, folder, "summary", {}, Way::kCount);
  measure(figures, folder, "plugin_summary", {.plugin = "plugin-7"}, Way::kCount);
  measure(figures, folder, "correlation", {.correlation_id = call}, Way::kFind);
  measure(figures, folder, "absent", {.correlation_id = "call-that-never-was"}, Way::kFind);
  measure(figures, folder, "plugin", {.plugin = "plugin-7"}, Way::kFind);
  measure(figures, folder, "actor", {.actor = "uid:4711"}, Way::kFind);
  measure(figures, folder, "text", {.text = "a needle in the log"}, Way::kFind);
  measure(figures, folder, "everything", {.actor = "uid:1000"}, Way::kFind);
  figures.emplace_back("events", static_cast<double>(events));
  print_figures(figures);
  return 0;
}

}  // namespace
}  // namespace liongate::bench

int main(int argc, char** argv) {
  return liongate::bench::run(argc, argv);
}
