// What the tests of the event log share: a temporary folder, events that can be told apart, a log that can be waited
// for.
//
// Ownership and thread: one fixture a test case; `wait_durable` may be called from the test's thread.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <catch2/catch.hpp>
#include <condition_variable>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <string>
#include <vector>

#include "kernel/base/clock.h"
#include "kernel/event_log/event_log.h"

namespace liongate::event_log {

// Where nothing depends on a real disk, thousands of logs are opened in memory: a sync costs nothing there.
enum class Medium : std::uint8_t { kDisk, kMemory };

struct TemporaryFolder {
  std::string path;
  explicit TemporaryFolder(Medium medium = Medium::kDisk) {
    const bool memory = medium == Medium::kMemory && ::access("/dev/shm", W_OK) == 0;
    path = std::string(memory ? "/dev/shm" : "/tmp") + "/liongate-log-XXXXXX";
    REQUIRE(::mkdtemp(path.data()) != nullptr);
  }
  ~TemporaryFolder() { std::filesystem::remove_all(path); }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
};

// About 200 bytes, the number in the text.
inline v1::Event make_event(std::uint64_t number) {
  v1::Event event;
  event.set_type("PluginInvoked");
  event.set_plugin_id("7c9e6679-7425-40de-944b-e07fc1f90ae7");
  event.set_plugin_name("hello");
  event.set_correlation_id("call-" + std::to_string(number));
  event.set_actor("uid:1000");
  event.mutable_plugin_invoked()->set_operation("greet");
  event.mutable_plugin_invoked()->mutable_input()->set_text("input " + std::to_string(number) + std::string(60, '.'));
  return event;
}

// Waits for the writer thread without asking it again and again.
class DurableGate {
 public:
  void reached(EventSeq seq) {
    const std::lock_guard lock(mutex_);
    seq_ = seq;
    wake_.notify_all();
  }
  bool wait(EventSeq seq) {
    std::unique_lock lock(mutex_);
    return wake_.wait_for(lock, std::chrono::seconds(30), [&] { return seq_ >= seq; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  EventSeq seq_ = 0;
};

// An open log of a test.
struct LivingLog {
  DurableGate durable;
  DurableGate fatal;
  DurableGate read_only;  // counts changes
  EventSeq changes = 0;
  SystemClock clock;
  std::unique_ptr<EventLog> log;

  Handlers handlers() {
    return {.on_durable = [this](EventSeq seq) { durable.reached(seq); },
            .on_read_only = [this](bool, const std::string&) { read_only.reached(++changes); },
            .on_fatal = [this](const Error&) { fatal.reached(1); }};
  }
  explicit LivingLog(Options options) { log = EventLog::open(std::move(options), handlers(), clock).value(); }

  EventSeq append(SyncClass sync = SyncClass::kNow) {
    v1::Event event = make_event(log->last_seq() + 1);
    return log->append(event, sync, RecordUse::kNewWork).value();
  }
  void append_durable(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) append();
    REQUIRE(durable.wait(log->last_seq()));
  }
};

// Reads what is left of `reader` and checks that the numbers have no gap and the events are what make_event made.
inline EventSeq read_all(EventReader& reader) {
  v1::Event event;
  for (;;) {
    const auto any = reader.next(event);
    INFO((any ? std::string() : any.error().message));
    REQUIRE(any.has_value());
    if (!*any) return reader.position();
    if (event.seq() != reader.position() || event.correlation_id() != "call-" + std::to_string(event.seq())) {
      FAIL("event " << event.seq() << " is not what was appended");
    }
  }
}

inline std::string read_bytes(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

inline void write_bytes(const std::string& path, const std::string& bytes) {
  std::ofstream file(path, std::ios::binary | std::ios::trunc);
  file.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  REQUIRE(file.good());
}

inline std::vector<std::string> segments_in(const std::string& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() == ".lgl") names.push_back(entry.path().filename());
  }
  std::sort(names.begin(), names.end());
  return names;
}

// A copy of a living log's files: what a crash at this moment leaves behind.
inline void copy_log(const std::string& from, const std::string& to) {
  std::filesystem::remove_all(to);
  std::filesystem::create_directory(to);
  for (const std::string& name : segments_in(from)) std::filesystem::copy_file(from + "/" + name, to + "/" + name);
}

}  // namespace liongate::event_log
