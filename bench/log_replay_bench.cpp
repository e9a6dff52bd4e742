// Replay in one process: a log is written, opened again, and read back from its files, CRC checked, each event decoded.
//
// Usage: bench_log_replay FOLDER EVENTS        FOLDER is made and removed
// The floor beside it decodes the same events from memory and does nothing else.

#include <google/protobuf/arena.h>

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

using event_log::EventReader;

constexpr int kRounds = 3;

template <typename T>
T must(Result<T> result) {
  if (!result) give_up("bench_log_replay: " + result.error().message);
  return std::move(result).value();
}

std::unique_ptr<event_log::EventLog> open_log(const std::string& folder, const Clock& clock) {
  event_log::Options options;
  options.folder = folder;
  return must(event_log::EventLog::open(options, {}, clock));
}

// Returns the serialised events as they were written.
std::vector<std::string> write_log(const std::string& folder, std::uint64_t events, const Clock& clock) {
  std::vector<std::string> serialised;
  serialised.reserve(events);
  const auto log = open_log(folder, clock);
  while (serialised.size() < events) {
    v1::Event event = sample_event(serialised.size());
    const auto seq = log->append(event, event_log::SyncClass::kEventually, event_log::RecordUse::kNewWork);
    if (seq) {
      serialised.push_back(event.SerializeAsString());
    } else if (seq.error().reason == Reason::kQueueFull) {
      std::this_thread::yield();  // the writer is behind
    } else {
      give_up("bench_log_replay: " + seq.error().message);
    }
  }
  if (!log->close()) give_up("bench_log_replay: close");
  return serialised;
}

// Reads the whole log with `read`, one event a call, until it returns false.
template <typename Read>
double events_per_s(const std::string& folder, std::uint64_t expected, Read read) {
  const std::uint64_t begin = now_ns();
  const auto reader = must(event_log::read_offline(folder, 0));
  while (read(*reader)) {
  }
  if (reader->position() != expected) give_up("bench_log_replay: ended at " + std::to_string(reader->position()));
  return static_cast<double>(expected) / (static_cast<double>(now_ns() - begin) / 1e9);
}

double decoded_per_s(const std::vector<std::string>& serialised) {
  const std::uint64_t begin = now_ns();
  v1::Event event;
  for (const std::string& bytes : serialised) {
    if (!event.ParseFromString(bytes)) give_up("bench_log_replay: an event does not decode");
  }
  return static_cast<double>(serialised.size()) / (static_cast<double>(now_ns() - begin) / 1e9);
}

// As a query walks: the fields that filters look at are found, the rest stays serialised.
double fields_per_s(const std::string& folder, std::uint64_t expected) {
  const auto query = must(event_log::query_offline(folder, {}));
  const std::uint64_t begin = now_ns();
  event_log::EventQuery::Found found;
  auto step = event_log::EventQuery::Step::kPause;
  while (step != event_log::EventQuery::Step::kEnd) {
    if (step == event_log::EventQuery::Step::kPause) query->begin_slice();
    step = must(query->next(found));
  }
  if (query->position() != expected) give_up("bench_log_replay: ended at " + std::to_string(query->position()));
  return static_cast<double>(expected) / (static_cast<double>(now_ns() - begin) / 1e9);
}

// Decoded into an arena that is emptied now and then: what a decoded replay gains by it.
double arena_per_s(const std::string& folder, std::uint64_t expected) {
  constexpr int kEventsPerArena = 512;
  const std::uint64_t begin = now_ns();
  const auto reader = must(event_log::read_offline(folder, 0));
  google::protobuf::Arena arena;
  EventSeq seq = 0;
  std::string_view bytes;
  for (int i = 0; must(reader->next_bytes(seq, bytes)); ++i) {
    if (i % kEventsPerArena == 0) arena.Reset();
    auto* const event = google::protobuf::Arena::CreateMessage<v1::Event>(&arena);
    if (!event->ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) give_up("bench_log_replay: no event");
  }
  return static_cast<double>(expected) / (static_cast<double>(now_ns() - begin) / 1e9);
}

double median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

int run(int argc, char** argv) {
  if (argc != 3) give_up("usage: bench_log_replay FOLDER EVENTS");
  const std::string folder = argv[1];
  const auto events = static_cast<std::uint64_t>(std::atoll(argv[2]));
  const SystemClock clock;
  const std::vector<std::string> serialised = write_log(folder, events, clock);
  const std::uint64_t opening = now_ns();
  open_log(folder, clock);
  const double open_ms = static_cast<double>(now_ns() - opening) / 1e6;

  std::vector<double> decoded;
  std::vector<double> undecoded;
  std::vector<double> floor;
  std::vector<double> fields;
  std::vector<double> arena;
  v1::Event event;
  EventSeq seq = 0;
  std::string_view bytes;
  for (int round = 0; round < kRounds; ++round) {
    decoded.push_back(events_per_s(folder, events, [&](EventReader& reader) { return must(reader.next(event)); }));
    undecoded.push_back(
        events_per_s(folder, events, [&](EventReader& reader) { return must(reader.next_bytes(seq, bytes)); }));
    floor.push_back(decoded_per_s(serialised));
    fields.push_back(fields_per_s(folder, events));
    arena.push_back(arena_per_s(folder, events));
  }
  std::filesystem::remove_all(folder);
  print_figures({{"events_per_s", median(decoded)},
                 {"bytes_events_per_s", median(undecoded)},
                 {"decode_events_per_s", median(floor)},
                 {"fields_events_per_s", median(fields)},
                 {"arena_events_per_s", median(arena)},
                 {"open_ms", open_ms},
                 {"event_bytes", static_cast<double>(serialised.back().size())},
                 {"events", static_cast<double>(events)}});
  return 0;
}

}  // namespace
}  // namespace liongate::bench

int main(int argc, char** argv) {
  return liongate::bench::run(argc, argv);
}
